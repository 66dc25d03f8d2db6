"""What a model allows when it is run again from the middle: tried on a small batch, assumed of no architecture."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from lakatos.tools.suffix import KeptKeys, Recording, Window, unembed, unembed_columns

_REFUSALS = (
    AssertionError, AttributeError, IndexError, KeyError, NotImplementedError, RuntimeError, TypeError, ValueError,
)  # fmt: skip


@dataclass(frozen=True)
class Abilities:
    """What resuming may rely on."""

    causal: bool  # tokens change nothing before them
    blocks: bool  # blocks can be called again with the recorded arguments
    windows: bool  # ... for some positions alone, with recorded keys and values for the rest
    columns: bool  # single logits are products of the last norm's output with rows of the unembedding
    roles: tuple[Any, ...]  # per block: which dimensions of its arguments are rows and positions


_known: weakref.WeakKeyDictionary[Any, Abilities] = weakref.WeakKeyDictionary()


def abilities(model: Any) -> Abilities:
    """What the model allows: tried once per model.

    The residual stream is disturbed before the first, the middle and the last block, so that a model whose later blocks
    are called with something that earlier blocks computed (and that resuming would not renew) is found out.
    """
    known = _known.get(model)
    if known is None:
        known = _known[model] = _try(model)
    return known


def _try(model: Any) -> Abilities:
    with torch.no_grad():
        causal = _refused_or(lambda: _is_causal(model))
        roles = _refused_or(lambda: _find_roles(model)) or ()
        length = _some_tokens(model).shape[1]
        return Abilities(
            causal=causal,
            blocks=_refused_or(lambda: _drives(model, roles, [0, 0], length)),
            windows=causal and _refused_or(lambda: _drives(model, roles, [2, 1], length - 2)),
            columns=_refused_or(lambda: _has_columns(model)),
            roles=roles,
        )


def _refused_or(attempt: Callable[[], Any]) -> Any:
    try:
        return attempt()
    except _REFUSALS:
        return False


def _is_causal(model: Any) -> bool:
    tokens = _some_tokens(model)
    return _close(model(tokens, return_type="logits")[:, :4], model(tokens[:, :4], return_type="logits"))


def _find_roles(model: Any) -> tuple[Any, ...]:
    """Which dimensions follow the number of prompts and of tokens: two runs differ in both."""
    one = Recording.record(model, _some_tokens(model))
    other = Recording.record(model, _some_tokens(model, 3, 7))
    found = []
    for call, again in zip(one.calls, other.calls, strict=True):
        named = {k: _role(v, again.kwargs[k]) for k, v in call.kwargs.items()}
        found.append((_role(call.args, again.args), named))
    return tuple(found)


def _role(one: Any, other: Any) -> Any:
    if isinstance(one, tuple | list):
        return [_role(a, b) for a, b in zip(one, other, strict=True)]
    if not isinstance(one, torch.Tensor):
        if not isinstance(one, KeptKeys) and one != other:
            raise ValueError("an argument changes with the number of prompts or tokens")
        return None
    named = {(2, 3): "row", (6, 7): "pos"}
    found = tuple(None if a == b else named[a, b] for a, b in zip(one.shape, other.shape, strict=True))
    if "row" in found[1:]:
        raise ValueError("rows are not the first dimension of an argument")
    return found


def _drives(model: Any, roles: tuple[Any, ...], start: list[int], width: int) -> bool:
    """Whether resuming more rows than there were, under a disturbance, gives what the model itself gives under it."""
    tokens = _some_tokens(model)
    run = Recording.record(model, tokens, roles)
    begin = torch.tensor(start, device=tokens.device)
    rows = torch.tensor([1, 0, 1, 1, 0], device=tokens.device)
    window = Window(rows, begin[rows], width)
    late = (torch.arange(tokens.shape[1], device=tokens.device) >= begin[:, None])[..., None]

    def disturb(activation: torch.Tensor, hook: Any = None) -> torch.Tensor:  # noqa: ARG001 - TransformerLens names it
        changed = activation + activation.roll(1, -1)
        return changed if len(activation) == len(rows) else torch.where(late, changed, activation)

    for layer in sorted({0, len(model.blocks) // 2, len(model.blocks) - 1}):
        hook = f"blocks.{layer}.hook_resid_pre"
        own = model.run_with_hooks(tokens, return_type="logits", fwd_hooks=[(hook, disturb)])
        again = unembed(model, run.resume(window, [layer] * len(rows), {hook: [disturb]}))
        if not _close(again, window.of(own)):
            return False
    return True


def _has_columns(model: Any) -> bool:
    tokens = _some_tokens(model)
    final = Recording.record(model, tokens).hidden[-1][:, -1]
    asked = torch.tensor([[3, 5], [7, 2]], device=tokens.device)
    found = unembed_columns(model, final, asked)
    return _close(found, unembed(model, final.unsqueeze(1))[:, 0].gather(1, asked))


def _some_tokens(model: Any, rows: int = 2, length: int = 6) -> torch.Tensor:
    return ((torch.arange(rows * length).reshape(rows, length) * 7919 + 11) % int(model.cfg.d_vocab)).to(
        model.cfg.device
    )


def _close(one: torch.Tensor, other: torch.Tensor) -> bool:
    tolerance = 1e-4 if other.dtype in (torch.float32, torch.float64) else 5e-2
    return float((one - other).abs().max()) < tolerance * max(1.0, float(other.abs().max()))
