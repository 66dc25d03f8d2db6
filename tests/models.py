"""Tiny random models of nine architectures, and a toy behaviour with its tokenizer: offline, a tenth of a second each.

The weights are drawn wide, so that every component moves the logits; nothing about the models is meaningful otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import (
    AutoModelForCausalLM,
    BertConfig,
    BloomConfig,
    CohereConfig,
    DeepseekV3Config,
    Gemma2Config,
    Gemma3TextConfig,
    Gemma4TextConfig,
    GPT2Config,
    GPTNeoXConfig,
    GraniteConfig,
    LlamaConfig,
    MambaConfig,
    MixtralConfig,
    OPTConfig,
    PhiConfig,
    PreTrainedTokenizerFast,
    Qwen3Config,
)

from lakatos.tools.behaviour import Behaviour
from lakatos.tools.model import LoadedModel, wrap_model

NAMES = {
    "exploration": ["Ann", "Bob", "Cat", "Dan", "Eve", "Fay", "Gus", "Hal", "Ida", "Jon"],
    "confirmation": ["Kim", "Leo", "Mia", "Ned", "Oda", "Pam", "Quy", "Ron", "Sue", "Tom"],
}
PLACES = {"exploration": ["park", "shop", "farm"], "confirmation": ["bank", "mill", "dock"]}
WORDS = ["<s>", "<pad>", "<unk>", "A", "B", "X", "then", "when", "and", "met", "at", "the", "in", "went", "."]
WORDS += ["a", "gave", "to", "it", "was", "old", "new", "big", "red"]
VOCABULARY = [*WORDS, *(w for lists in (NAMES, PLACES) for split in lists.values() for w in split)]

TOY = Behaviour.model_validate(
    {
        "name": "toy",
        "version": 1,
        "question": "who was named once?",
        "selected_because": "small",
        "bos": "model",
        "fillers": {"name": NAMES, "place": PLACES},
        "draw": {"io": "name", "s": "name", "place": "place"},
        "clean": {"s2": "{s}"},
        "corrupted": {"s2": "{io}"},
        "answer": " {io}",
        "wrong": " {s}",
        "templates": {
            "exploration": [
                {"id": "short", "text": "then [IO:{io}] and {s} went . [S2:{s2}] gave it to"},
                {"id": "long", "text": "when [IO:{io}] and {s} met at the {place} . [S2:{s2}] gave it to"},
            ],
            "confirmation": [
                {"id": "short2", "text": "[IO:{io}] and {s} met . then [S2:{s2}] gave it to"},
                {"id": "long2", "text": "in the {place} [IO:{io}] and {s} met . [S2:{s2}] gave it to"},
            ],
        },
        "controls": ["toy_text"],
    }
)
TOY_TEXT = Behaviour.model_validate(
    {
        "name": "toy_text",
        "version": 1,
        "kind": "text",
        "question": "plain text",
        "selected_because": "a control",
        "bos": "model",
        "fillers": {"name": NAMES, "place": PLACES},
        "draw": {"x": "name", "y": "name", "place": "place"},
        "templates": {
            "exploration": [
                {"id": "t1", "text": "{x} went to the old {place} and met {y} ."},
                {"id": "t2", "text": "the {place} was big and red . {x} met {y} in it ."},
            ],
            "confirmation": [{"id": "t3", "text": "{x} and {y} went to the new {place} ."}],
        },
        "controls": [],
    }
)

_SIZES: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "initializer_range": 0.3}
_GROUPED: dict[str, Any] = {**_SIZES, "intermediate_size": 48, "num_key_value_heads": 2, "head_dim": 8}
_COMMON: dict[str, Any] = {"vocab_size": len(VOCABULARY), "max_position_embeddings": 32}
_COMMON |= {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 1}
_CONFIGS: dict[str, tuple[Any, dict[str, Any]]] = {
    "gpt2": (GPT2Config, {**_SIZES, "attn_pdrop": 0.0}),
    "llama": (LlamaConfig, _GROUPED),
    "gemma2": (Gemma2Config, {**_GROUPED, "sliding_window": 4, "final_logit_softcapping": 5.0}),
    "gpt_neox": (GPTNeoXConfig, {**_SIZES, "intermediate_size": 48, "use_parallel_residual": True}),
    "qwen3": (Qwen3Config, _GROUPED),
    "gemma3": (
        Gemma3TextConfig,
        {
            **_GROUPED,
            "sliding_window": 4,
            "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
            "query_pre_attn_scalar": 8,
            "architectures": ["Gemma3ForCausalLM"],
        },
    ),
    "phi": (PhiConfig, {**_SIZES, "intermediate_size": 48, "partial_rotary_factor": 0.5, "attention_dropout": 0.0}),
    "opt": (OPTConfig, {**_SIZES, "ffn_dim": 48, "word_embed_proj_dim": 32, "init_std": 0.3, "dropout": 0.0}),
    "mixtral": (MixtralConfig, {**_GROUPED, "num_local_experts": 4, "num_experts_per_tok": 2}),
}
ARCHITECTURES = tuple(_CONFIGS)
_SOON, _LAST = ("llama",), ("qwen3", "phi")  # the last do nothing that none of the others does
_ODD: dict[str, tuple[Any, dict[str, Any]]] = {  # each for something that it does unlike the others
    "granite": (GraniteConfig, {**_GROUPED, "logits_scaling": 0.5, "residual_multiplier": 0.22}),
    "cohere": (CohereConfig, {**_GROUPED, "logit_scale": 0.5}),
    "deepseek_v3": (
        DeepseekV3Config,
        {
            **_SIZES,
            **dict.fromkeys(("num_attention_heads", "num_key_value_heads", "moe_intermediate_size"), 16),
            **dict.fromkeys(("kv_lora_rank", "q_lora_rank", "qk_nope_head_dim", "v_head_dim"), 8),
            **dict.fromkeys(("qk_rope_head_dim", "n_routed_experts"), 4),
            **{"intermediate_size": 48, "n_group": 1, "topk_group": 1, "num_experts_per_tok": 2},
        },
    ),
    "gemma4": (Gemma4TextConfig, _GROUPED),
    "bert": (BertConfig, {**_SIZES, "intermediate_size": 48}),
    "mamba": (MambaConfig, {"hidden_size": 32, "num_hidden_layers": 3, "state_size": 4, "initializer_range": 0.3}),
    "bloom": (BloomConfig, {"hidden_size": 32, "n_layer": 3, "n_head": 4, "initializer_range": 0.3}),
}
LAYERS, HEADS, NEURONS = 3, 4, 48
PAIR_TEXT = "then Ann and Bob went . Bob gave it to"


def build_tokenizer() -> PreTrainedTokenizerFast:
    """A word is a token, with or without a space before it, so answers are one token and never merge."""
    words = Tokenizer(WordLevel({word: i for i, word in enumerate(VOCABULARY)}, unk_token="<unk>"))
    words.pre_tokenizer = Whitespace()
    special = {"bos_token": "<s>", "eos_token": "<s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    # with these two, TransformerLens does not look for the tokenizer on the hub
    return PreTrainedTokenizerFast(tokenizer_object=words, name_or_path="toy", add_bos_token=True, **special)


def build_hf(architecture: str, seed: int = 0, **changes: Any) -> Any:
    """The Hugging Face model behind `build_tiny`."""
    kind, settings = (_CONFIGS | _ODD)[architecture]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(kind(**_COMMON | settings | changes)).eval()
    model.config.architectures = [type(model).__name__]
    return model


def in_turn(names: Iterable[str] = ARCHITECTURES) -> list[Any]:
    """Parameters of a test: one architecture now, the others marked `heavy`, and the last of them `accept`."""
    later = {name: pytest.mark.accept if name in _LAST else pytest.mark.heavy for name in names}
    return [name if name in _SOON else pytest.param(name, marks=mark) for name, mark in later.items()]


def build_tiny(
    architecture: str, seed: int = 0, hf: Any = None, dtype: torch.dtype = torch.float32, **changes: Any
) -> LoadedModel:
    """A model of your own to change; `tiny` gives a shared one."""
    from transformer_lens.model_bridge import TransformerBridge

    bridge = TransformerBridge.boot_transformers(
        f"tiny-{architecture}",
        hf_model=hf or build_hf(architecture, seed, **changes),
        tokenizer=build_tokenizer(),
        device="cpu",
        dtype=dtype,
    )
    return wrap_model(bridge, name=f"tiny-{architecture}#{seed}")


@lru_cache
def tiny(architecture: str) -> LoadedModel:
    """Shared between tests: read only."""
    return build_tiny(architecture)


def hooks_on(bridge: Any) -> int:
    """Every hook of any kind on any module."""
    modules = {id(m): m for m in [*bridge.modules(), *bridge.hook_dict.values()]}.values()
    visible = sum(len(p.fwd_hooks) + len(p.bwd_hooks) for p in bridge.hook_dict.values())
    return visible + sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in modules)
