"""Interventions by forward hooks on a Hugging Face model itself, one prompt at a time: no bridge, no engine, no cache.

What a family calls its parts stands in `FAMILIES`; a random configuration of it is drawn by `draw`.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from random import Random
from typing import Any, NamedTuple

import torch
import transformers as t

from lakatos.tools.component import Component
from lakatos.tools.intervention import Intervention


class Parts(NamedTuple):
    """Where a family keeps what components are: paths from the model, or from a block."""

    blocks: str
    heads: str  # the module whose input is every head's z
    attention: str  # the module whose output is added to the residual stream
    mlp: str
    embedding: str


_LLAMA = Parts("model.layers", "self_attn.o_proj", "self_attn", "mlp", "model.embed_tokens")
_NORMED = _LLAMA._replace(attention="post_attention_layernorm", mlp="post_feedforward_layernorm")
_GPT2 = Parts("transformer.h", "attn.c_proj", "attn", "mlp", "transformer.wte")

Draw = Callable[[Random], dict[str, Any]]


def _sizes(rng: Random) -> dict[str, Any]:
    return {"hidden_size": 32, "num_hidden_layers": rng.choice([2, 3, 4]), "initializer_range": rng.choice([0.2, 0.3])}


def _llama(rng: Random) -> dict[str, Any]:
    heads = rng.choice([2, 4, 8])
    groups = rng.choice([g for g in (1, 2, 4, 8) if heads % g == 0])
    more = {"num_attention_heads": heads, "num_key_value_heads": groups, "head_dim": rng.choice([4, 8])}
    return {**_sizes(rng), **more, "intermediate_size": rng.choice([24, 48]), "tie_word_embeddings": rng.random() < 0.3}


def _rope(rng: Random, dim: int) -> dict[str, Any]:
    kind = rng.choice(["default", "linear", "dynamic", "yarn", "llama3", "longrope"])
    theta, old = {"rope_theta": rng.choice([100.0, 10000.0])}, {"original_max_position_embeddings": rng.choice([8, 16])}
    more: dict[str, dict[str, Any]] = {
        "default": {},
        "linear": {"factor": 2.0},
        "dynamic": {"factor": 4.0},
        "yarn": {"factor": 4.0, **old},
        "llama3": {"factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, **old},
        "longrope": {
            "short_factor": [1.0 + 0.1 * k for k in range(dim // 2)],
            "long_factor": [2.0 + k for k in range(dim // 2)],
            "factor": 4.0,
            **old,
        },
    }
    return {"rope_type": kind, **theta, **more[kind]}


def _roped(rng: Random) -> dict[str, Any]:
    sizes = _llama(rng)
    rope = _rope(rng, sizes["head_dim"])
    few = {"max_position_embeddings": rng.choice([12, 20])} if rope["rope_type"] == "dynamic" else {}
    return {**sizes, "rope_parameters": rope, **few}


def _window(rng: Random) -> dict[str, Any]:
    sizes = _llama(rng)
    kinds = [rng.choice(["sliding_attention", "full_attention"]) for _ in range(sizes["num_hidden_layers"])]
    return {**sizes, "sliding_window": rng.choice([3, 4, 7, 12]), "layer_types": kinds}


def _gemma(rng: Random) -> dict[str, Any]:
    return {**_window(rng), "query_pre_attn_scalar": 8, "final_logit_softcapping": rng.choice([None, 5.0])}


def _heads(rng: Random) -> dict[str, Any]:
    return {**_sizes(rng), "num_attention_heads": rng.choice([2, 4]), "intermediate_size": 48}


def _parallel(rng: Random) -> dict[str, Any]:
    return {**_llama(rng), "use_parallel_residual": rng.random() < 0.5}


def _no_head_dim(more: Draw) -> Draw:
    return lambda rng: {k: v for k, v in more(rng).items() if k != "head_dim"}


def _neo(rng: Random) -> dict[str, Any]:
    layers = rng.choice([2, 4])
    kinds = rng.choice([["global", "local"], ["local"], ["local", "global"]])
    return {
        **{"hidden_size": 32, "num_layers": layers, "num_heads": rng.choice([2, 4]), "initializer_range": 0.3},
        **{"attention_types": [[kinds, layers // len(kinds)]], "window_size": rng.choice([3, 5, 8, 12, 20])},
    }


def _neox(rng: Random) -> dict[str, Any]:
    rotary = {"rope_theta": 10000.0, "partial_rotary_factor": rng.choice([0.25, 0.5, 1.0]), "rope_type": "default"}
    return {**_heads(rng), "use_parallel_residual": rng.random() < 0.5, "rope_parameters": rotary}


def _falcon(rng: Random) -> dict[str, Any]:
    return {
        **_sizes(rng),
        **{"num_attention_heads": 4, "new_decoder_architecture": False, "multi_query": rng.random() < 0.5},
        **{"alibi": rng.random() < 0.3, "parallel_attn": rng.random() < 0.5, "bias": rng.random() < 0.5},
    }


def _opt(rng: Random) -> dict[str, Any]:
    projected, after = rng.choice([(16, False), (16, True), (32, False)])  # TransformerLens cannot run the fourth
    return {
        **{"hidden_size": 32, "num_hidden_layers": rng.choice([2, 3]), "num_attention_heads": 4, "ffn_dim": 48},
        **{"word_embed_proj_dim": projected, "do_layer_norm_before": not after, "init_std": 0.3, "dropout": 0.0},
    }


def _gpt2(rng: Random) -> dict[str, Any]:
    more = {"scale_attn_by_inverse_layer_idx": rng.random() < 0.3, "n_inner": rng.choice([None, 24])}
    return {
        "n_embd": 32,
        "n_layer": rng.choice([2, 3, 4]),
        "n_head": rng.choice([2, 4]),
        "initializer_range": 0.3,
        **more,
    }


def _mixture(rng: Random) -> dict[str, Any]:
    experts = {"num_local_experts": 4, "num_experts_per_tok": rng.choice([1, 2])}
    return {**_llama(rng), **experts, "sliding_window": rng.choice([None, 4])}


FAMILIES: dict[str, tuple[type, Draw, Parts]] = {
    "gpt2": (t.GPT2Config, _gpt2, _GPT2),
    "gpt_neo": (t.GPTNeoConfig, _neo, _GPT2._replace(heads="attn.attention.out_proj")),
    "gptj": (
        t.GPTJConfig,
        lambda rng: {"n_embd": 32, "n_layer": 3, "n_head": rng.choice([2, 4]), "rotary_dim": 4},
        _GPT2._replace(heads="attn.out_proj"),
    ),
    "gpt_neox": (
        t.GPTNeoXConfig,
        _neox,
        Parts("gpt_neox.layers", "attention.dense", "attention", "mlp", "gpt_neox.embed_in"),
    ),
    "llama": (t.LlamaConfig, _roped, _LLAMA),
    "mistral": (t.MistralConfig, lambda rng: {**_llama(rng), "sliding_window": rng.choice([None, 3, 6, 11])}, _LLAMA),
    "qwen2": (t.Qwen2Config, lambda rng: {**_no_head_dim(_window)(rng), "use_sliding_window": True}, _LLAMA),
    "qwen3": (t.Qwen3Config, lambda rng: {**_window(rng), "use_sliding_window": True}, _LLAMA),
    "phi": (
        t.PhiConfig,
        lambda rng: {**_heads(rng), "partial_rotary_factor": 0.5},
        _LLAMA._replace(heads="self_attn.dense"),
    ),
    "phi3": (t.Phi3Config, lambda rng: {**_no_head_dim(_llama)(rng), "sliding_window": rng.choice([None, 5])}, _LLAMA),
    "gemma": (t.GemmaConfig, _llama, _LLAMA),
    "gemma2": (t.Gemma2Config, _gemma, _NORMED),
    "gemma3": (t.Gemma3TextConfig, _gemma, _NORMED),
    "olmo": (t.OlmoConfig, _no_head_dim(_llama), _LLAMA),
    "olmo2": (t.Olmo2Config, _no_head_dim(_llama), _NORMED),
    "stablelm": (
        t.StableLmConfig,
        lambda rng: {**_no_head_dim(_parallel)(rng), "partial_rotary_factor": 0.5},
        _LLAMA,
    ),
    "cohere": (t.CohereConfig, lambda rng: {**_no_head_dim(_llama)(rng), "logit_scale": 0.5}, _LLAMA),
    "granite": (
        t.GraniteConfig,
        lambda rng: {**_no_head_dim(_llama)(rng), "logits_scaling": 0.5, "residual_multiplier": 0.3},
        _LLAMA,
    ),
    "mixtral": (t.MixtralConfig, _mixture, _LLAMA),
    "falcon": (
        t.FalconConfig,
        _falcon,
        Parts("transformer.h", "self_attention.dense", "self_attention", "mlp", "transformer.word_embeddings"),
    ),
    "bloom": (
        t.BloomConfig,
        lambda rng: {"hidden_size": 32, "n_layer": 3, "n_head": rng.choice([2, 4]), "initializer_range": 0.3},
        Parts(
            "transformer.h", "self_attention.dense", "self_attention.dense", "mlp.dense_4h_to_h",
            "transformer.word_embeddings",
        ),
    ),
    "opt": (
        t.OPTConfig,
        _opt,
        Parts("model.decoder.layers", "self_attn.out_proj", "self_attn", "fc2", "model.decoder.embed_tokens"),
    ),
}  # fmt: skip


class Plain:
    """A Hugging Face model with its parts named."""

    def __init__(self, hf: Any, family: str, heads: int) -> None:
        self.hf = hf
        self.parts = FAMILIES[family][2]
        self.blocks = attrgetter(self.parts.blocks)(hf)
        self.heads = heads

    @torch.no_grad()
    def logits(self, tokens: torch.Tensor, hooks: list[Any] = ()) -> torch.Tensor:
        """[vocab] at the last token of one prompt [pos]."""
        try:
            return self.hf(tokens[None]).logits[0, -1].double()
        finally:
            for hook in hooks:
                hook.remove()

    @torch.no_grad()
    def measure(
        self, intervention: Intervention, base: torch.Tensor, source: torch.Tensor, positions: dict[str, int]
    ) -> torch.Tensor:
        """Logits [vocab] of the run on tokens `base` with the components' values of the run on `source`."""
        seen: dict[Component, torch.Tensor] = {}
        if intervention.source != "zero":
            self.logits(source, [self._attach(c, self._noting(seen, c)) for c in intervention.components])

        def write(component: Component) -> Any:
            at = positions.get(component.position, component.position)
            where = slice(None) if at is None else at

            def change(activation: torch.Tensor) -> torch.Tensor:
                changed = activation.clone()
                changed[0, where] = seen[component][0, where] if component in seen else 0.0
                return changed

            return change

        return self.logits(base, [self._attach(c, write(c)) for c in intervention.components])

    def _noting(self, seen: dict[Component, torch.Tensor], component: Component) -> Any:
        def note(activation: torch.Tensor) -> torch.Tensor:
            seen[component] = activation.clone()
            return activation

        return note

    def _attach(self, component: Component, change: Callable[[torch.Tensor], torch.Tensor]) -> Any:
        """Put `change` where the component's activation [1, pos, width] passes."""
        if component.kind == "embedding":
            return attrgetter(self.parts.embedding)(self.hf).register_forward_hook(lambda _m, _a, out: change(out))
        if component.kind == "residual":
            last = component.layer == len(self.blocks)
            block = self.blocks[component.layer - last]
            return _output(block, change) if last else _input(block, change)
        block = self.blocks[component.layer]
        if component.kind != "head":
            return _output(attrgetter(getattr(self.parts, component.kind))(block), change)

        def of_head(z: torch.Tensor) -> torch.Tensor:
            by_head = z.reshape(1, -1, self.heads, z.shape[-1] // self.heads).clone()
            by_head[:, :, component.index] = change(by_head[:, :, component.index])
            return by_head.reshape(z.shape)

        return _input(attrgetter(self.parts.heads)(block), of_head)


def _input(module: Any, change: Any) -> Any:
    def hook(_module: Any, args: Any, kwargs: Any) -> Any:
        if args:
            return (_shaped(change, args[0]), *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": _shaped(change, kwargs["hidden_states"])}

    return module.register_forward_pre_hook(hook, with_kwargs=True)


def _output(module: Any, change: Any) -> Any:
    def hook(_module: Any, _args: Any, out: Any) -> Any:
        return (_shaped(change, out[0]), *out[1:]) if isinstance(out, tuple) else _shaped(change, out)

    return module.register_forward_hook(hook)


def _shaped(change: Any, activation: torch.Tensor) -> torch.Tensor:
    """OPT flattens prompts and positions into one dimension."""
    return change(activation) if activation.dim() == 3 else change(activation[None])[0]


def draw(seed: int) -> tuple[str, Any, dict[str, Any]]:
    """A family, a configuration class and its settings; families take turns."""
    rng = Random(seed)
    family = list(FAMILIES)[seed % len(FAMILIES)]
    kind, settings, _ = FAMILIES[family]
    return family, kind, settings(rng)
