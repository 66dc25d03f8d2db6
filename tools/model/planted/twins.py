"""Null twins: a planted model with its mechanism taken out, and as much as possible of the rest left."""

from __future__ import annotations

import re
from typing import Any, Final

import torch

from lakatos.tools.errors import UserError
from lakatos.tools.model.loaded import LoadedModel, wrap_model

TWINS: Final = ("redrawn", "permuted", "shuffled")
_HEADS = re.compile(r"\.(q|k|v|o)(_proj)?\.(weight|bias)$")  # of TransformerLens's own models and of Hugging Face's
_UNEMBEDDING = "head.weight"


def twin(model: LoadedModel, kind: str, seed: int) -> LoadedModel:
    """Change a model's weights in place, and return it under its twin's name.

    Args:
        model: a model that nothing else uses.
        kind: one of `TWINS`: redrawn (every weight anew from a normal distribution with its tensor's mean and spread),
            permuted (each of queries, keys, values and outputs exchanged between all heads of the model, each by an
            order of its own) or shuffled (answers: every token's unembedding is another token's).
        seed: of what is drawn.

    Raises:
        UserError: this model can have none with shuffled answers.
    """
    generator = torch.Generator().manual_seed(seed)
    state = _state(model)
    with torch.no_grad():
        if kind == "redrawn":
            _redraw(state, generator)
        elif kind == "permuted":
            _permute(model, state, generator)
        else:
            _shuffle(model, state, generator)
    name, mark, number = model.name.partition("#")
    return wrap_model(model.bridge, name=f"{name}~{kind}{mark}{number}")


def _state(model: LoadedModel) -> dict[str, Any]:
    """Each tensor once, under the name that the model itself gives it."""
    found: dict[int, tuple[str, Any]] = {}
    for key, tensor in model.bridge.original_model.state_dict().items():
        found.setdefault(tensor.data_ptr(), (key.replace("._original_component", ""), tensor))
    return dict(found.values())


def _redraw(state: dict[str, Any], generator: torch.Generator) -> None:
    for tensor in state.values():
        if tensor.is_floating_point() and tensor.numel() > 1:
            drawn = torch.randn(tensor.shape, generator=generator)
            tensor.copy_(drawn * tensor.float().std() + tensor.float().mean())


def _permute(model: LoadedModel, state: dict[str, Any], generator: torch.Generator) -> None:
    by_part: dict[tuple[str, str], list[str]] = {}
    for key in state:
        if found := _HEADS.search(key):
            by_part.setdefault((found[1], found[3]), []).append(key)
    orders: dict[str, torch.Tensor] = {}
    for (part, which), keys in sorted(by_part.items()):
        if part == "o" and which == "bias":  # of a layer, not of a head
            continue
        axis = 1 if part == "o" else 0
        heads = int(model.cfg.n_heads if part in "qo" else model.cfg.n_key_value_heads or model.cfg.n_heads)
        pieces = [piece for key in keys for piece in state[key].tensor_split(heads, axis)]
        order = orders.setdefault(part, torch.randperm(len(pieces), generator=generator))
        moved = [pieces[i].clone() for i in order]
        for piece, other in zip(pieces, moved, strict=True):
            piece.copy_(other)


def _shuffle(model: LoadedModel, state: dict[str, Any], generator: torch.Generator) -> None:
    found = [state[key] for key in state if key.endswith(_UNEMBEDDING)]
    if not found:  # or it is one with the embedding, and known by that name
        raise UserError(f"{model.name} reads its answers off the embedding: it has no twin with shuffled answers.")
    order = torch.randperm(len(found[0]), generator=generator)
    turned = torch.empty_like(order)
    turned[order] = order.roll(1)  # one cycle: no token keeps its own
    found[0].copy_(found[0][turned].clone())
