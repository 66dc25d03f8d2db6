"""Trained models: `trained-induction` repeats what followed a word before, `trained-addition` adds modulo 43.

Nothing was built into them, so what is true of them was measured: exhaustive patching of every head, MLP and path on
1,024 pairs, whose result lies beside the weights. What moves the behaviour by less than 2 % of the gap is inert, by
more than 10 % used; between the two nothing is said (`Truth.unclear`). The weights are those that one machine trained:
training rounds otherwise on another processor, and another model would come of it.

The induction model has attention alone (Elhage et al. 2021): its MLPs write next to nothing, and are there because
every layer of every model here has one. The addition model has one layer (Nanda et al. 2023).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final, NamedTuple

import torch
from safetensors.torch import load

from lakatos.tools.errors import UserError
from lakatos.tools.model.loaded import PLANTED_PREFIX, LoadedModel, wrap_model
from lakatos.tools.model.planted.truth import Truth
from lakatos.tools.model.planted.words import Words
from lakatos.tools.model.wording import SPECIAL, word_tokenizer

NUMBERS: Final = 43
_HOME: Final = "lakatos.tools.model.planted.trained"


class Shape(NamedTuple):
    """The size of a trained model."""

    layers: int
    d_mlp: int
    behaviour: str
    words: tuple[str, ...] = ()  # beside those of plain text
    heads: int = 4
    d_model: int = 64


TRAINED: Final[Mapping[str, Shape]] = {
    "trained-induction": Shape(layers=2, d_mlp=4, behaviour="planted_repeat"),
    "trained-addition": Shape(
        layers=1, d_mlp=128, behaviour="planted_addition", words=(*map(str, range(NUMBERS)), "=")
    ),
}


def words_of(name: str) -> tuple[str, ...]:
    """All words of a model but the special ones, in the order of their tokens."""
    return (*Words.known().all, *TRAINED[name].words)


def empty_model(name: str) -> tuple[Any, Any]:
    """TransformerLens's own model with weights drawn from torch's generator, and its configuration."""
    from transformer_lens.config import TransformerBridgeConfig
    from transformer_lens.model_bridge.sources.native import NativeModel

    shape = TRAINED[name]
    config = TransformerBridgeConfig(
        n_layers=shape.layers,
        n_heads=shape.heads,
        d_model=shape.d_model,
        d_head=shape.d_model // shape.heads,
        d_mlp=shape.d_mlp,
        n_ctx=32,
        d_vocab=len(SPECIAL) + len(words_of(name)),
        act_fn="relu",
        normalization_type="LN",
        positional_embedding_type="standard",
        init_weights=False,
    )
    return NativeModel(config), config


def load_trained(name: str, seed: int = 0, *, device: str = "cpu") -> LoadedModel:
    """A trained model, in float32 and evaluation mode.

    Args:
        name: a key of `TRAINED`.
        seed: another one is the same model; it is there because other planted models have noise.
        device: a torch device.

    Raises:
        UserError: the weights that came with the package were changed.
    """
    from transformer_lens.model_bridge.sources import build_bridge_from_module

    stored = (files(_HOME) / f"{name}.safetensors").read_bytes()
    found = hashlib.sha256(stored).hexdigest()
    if found != _facts(name)["sha256"]:
        raise UserError(f"The weights of {PLANTED_PREFIX}{name} are not those of this version ({found}): install anew.")
    with torch.random.fork_rng(devices=[]):
        model, config = empty_model(name)
    model.load_state_dict({key: tensor.float() for key, tensor in load(stored).items()})
    bridge = build_bridge_from_module(
        model.to(device),
        architecture="TransformerLensNative",
        tl_config=config,
        tokenizer=word_tokenizer(words_of(name)),
        dtype=torch.float32,
        device=device,
        model_name=PLANTED_PREFIX + name,
    )
    return wrap_model(bridge, name=f"{PLANTED_PREFIX}{name}#{seed}" if seed else f"{PLANTED_PREFIX}{name}")


def trained_truth(name: str) -> Truth:
    """What exhaustive patching has shown of a trained model."""
    stored = _facts(name)["truth"]
    return Truth(**{field: _tuples(value) for field, value in stored.items()})


@cache
def _facts(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((files(_HOME) / f"{name}.json").read_text("utf-8"))
    return found


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
