"""Trials of a model on a batch of its own: what it does when it is run again from the middle.

Each trial runs two made-up prompts of `length` tokens and answers one question. `abilities.py` asks them and keeps the
answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain, count
from typing import Any

import torch

from lakatos.tools.component import KINDS, Component
from lakatos.tools.forward.hooking import hooked
from lakatos.tools.forward.suffix import KeptKeys, Recording, Window
from lakatos.tools.forward.unembedding import unembed, unembed_columns
from lakatos.tools.model import Bridge

ROWS = 2  # prompts of a trial
SHORTEST = (6, 8, 10)  # tokens of the first one


def reach(model: Bridge, length: int) -> tuple[dict[str, tuple[int, ...]], bool]:
    """The shapes at the hook points of components, and whether blocks do nothing but add to the stream."""
    layers = int(model.cfg.n_layers)
    names = {Component(layer, kind).hook_name(layers) for layer in range(layers) for kind in KINDS}
    names = (names | {Component(layers, "residual").hook_name(layers)}) & model.hook_dict.keys()
    seen: dict[str, torch.Tensor] = {}

    def keeper(name: str) -> Callable[..., None]:
        def keep(activation: torch.Tensor, hook: Any = None) -> None:  # noqa: ARG001 - TransformerLens names it
            seen[name] = activation

        return keep

    with hooked(model, {name: [keeper(name)] for name in names}):
        model(some_tokens(model, length), return_type=None)
    return {name: tuple(value.shape) for name, value in seen.items()}, all(
        _adds(seen, x, layers) for x in range(layers)
    )


def _adds(seen: Mapping[str, torch.Tensor], layer: int, layers: int) -> bool:
    """Whether a block's output is its input plus its attention's and its MLP's, each number up to its own rounding."""
    places = [Component(layer, kind) for kind in ("residual", "attention", "mlp")] + [Component(layer + 1, "residual")]
    names = [place.hook_name(layers) for place in places]
    if not seen.keys() >= set(names) or len({seen[name].shape for name in names}) > 1:
        return False
    before, attention, mlp, after = (seen[name] for name in names)
    apart = (before.double() + attention.double() + mlp.double() - after.double()).abs()
    allowed = 8 * torch.finfo(after.dtype).eps * (before.abs() + attention.abs() + mlp.abs()).double() + 1e-30
    return bool(((apart <= allowed) | apart.isnan()).all())


def is_causal(model: Bridge, length: int) -> bool:
    """Whether prompts give the same numbers when they are filled up on the right.

    The shortest prefix comes last: it puts back what a model remembers of the longest prompt that it has seen.
    """
    tokens = some_tokens(model, length)
    whole = model(tokens, return_type="logits")
    cuts = sorted({4, length // 2}, reverse=True)
    alike = [close(whole[:, :cut], model(tokens[:, :cut], return_type="logits")) for cut in cuts]
    return all(alike)


def find_roles(model: Bridge, length: int) -> tuple[Any, ...]:
    """Which dimensions follow the number of prompts and of tokens: two runs differ in both."""
    one = Recording.record(model, some_tokens(model, length))
    other = Recording.record(model, some_tokens(model, length - 1, ROWS + 1))
    sizes = {(a, b): role for a, b, role in zip(one.tokens.shape, other.tokens.shape, ("row", "pos"), strict=True)}
    found = []
    for call, again in zip(one.calls, other.calls, strict=True):
        named = {k: _role(v, again.kwargs[k], sizes) for k, v in call.kwargs.items()}
        found.append((_role(call.args, again.args, sizes), named))
    return tuple(found)


def _role(one: Any, other: Any, sizes: Mapping[tuple[int, int], str]) -> Any:
    """Which dimensions of an argument changed as the prompts or the tokens did."""
    if isinstance(one, tuple | list):
        return [_role(a, b, sizes) for a, b in zip(one, other, strict=True)]
    if not isinstance(one, torch.Tensor):
        if not isinstance(one, KeptKeys) and one != other:
            raise ValueError("an argument changes with the number of prompts or tokens")
        return None
    found = tuple(None if a == b else sizes.get((a, b), "both") for a, b in zip(one.shape, other.shape, strict=True))
    if "both" in found or "row" in found[1:]:
        raise ValueError("prompts are not the first dimension of an argument")
    return found


def drives(
    model: Bridge,
    roles: tuple[Any, ...],
    length: int,
    start: list[int],
    width: int,
    layers: Sequence[int] | None = None,
) -> bool:
    """Whether resuming more rows than there were, under a disturbance, gives what the model itself gives under it.

    Args:
        start, width: which positions of the two prompts run again.
        layers: the blocks before which the residual stream is disturbed; by default the first, the middle, the last.
    """
    tokens = some_tokens(model, length)
    run = Recording.record(model, tokens, roles)
    begin = torch.tensor(start, device=tokens.device)
    rows = torch.tensor([1, 0, 1], device=tokens.device)
    window = Window(rows, begin[rows], width)
    late = (torch.arange(tokens.shape[1], device=tokens.device) >= begin[:, None])[..., None]

    def disturb(activation: torch.Tensor, hook: Any = None) -> torch.Tensor:  # noqa: ARG001 - TransformerLens names it
        changed = activation + activation.roll(1, -1)
        return changed if len(activation) == len(rows) else torch.where(late, changed, activation)

    several = {0, len(model.blocks) // 2, len(model.blocks) - 1}
    for layer in sorted(several) if layers is None else layers:
        hook = f"blocks.{layer}.hook_resid_pre"
        own = model.run_with_hooks(tokens, return_type="logits", fwd_hooks=[(hook, disturb)])
        again = unembed(model, run.resume(window, [layer] * len(rows), {hook: [disturb]}))
        if not close(again, window.of(own)):
            return False
    return True


def unembeds(model: Bridge, length: int) -> bool:
    """Whether the logits are what the last norm and the unembedding make of the last residual stream."""
    tokens = some_tokens(model, length)
    return close(unembed(model, Recording.record(model, tokens).hidden[-1]), model(tokens, return_type="logits"))


def follows_embeddings(model: Bridge, roles: tuple[Any, ...], length: int) -> bool:
    """Whether other embeddings do to the model what the residual stream that they make before block 0 does."""
    tokens = some_tokens(model, length)
    run = Recording.record(model, tokens, roles)

    def disturb(activation: torch.Tensor, hook: Any = None) -> torch.Tensor:  # noqa: ARG001 - TransformerLens names it
        return activation + activation.roll(1, -1)

    with hooked(model, {"hook_embed": [disturb]}):
        own = model(tokens, return_type="logits")
        stream = model(tokens, return_type=None, stop_at_layer=0)
    again = run.resume(run.whole(), [0, 0], {"blocks.0.hook_resid_pre": [lambda *_, **__: stream]})
    return close(unembed(model, again), own)


def has_columns(model: Bridge, length: int) -> bool:
    """Whether single logits are those of the whole unembedding."""
    tokens = some_tokens(model, length)
    final = Recording.record(model, tokens).hidden[-1][:, -1]
    asked = torch.tensor([[3, 5], [7, 2]], device=tokens.device)
    found = unembed_columns(model, final, asked)
    return close(found, unembed(model, final.unsqueeze(1))[:, 0].gather(1, asked))


def trial_length(model: Bridge, longest: int) -> int:
    """How many tokens to try: a rung at or above `longest`, and no number that could be one of heads or groups."""
    heads = {component.width(model.cfg) for component in (Component(0, "head", 0), Component(0, "key", 0))}
    rungs = chain(SHORTEST, (12, 16, 24, 32, 48), count(64, 16))
    length = next(rung for rung in rungs if rung >= longest and rung not in heads)
    return max(longest, min(length, int(model.cfg.n_ctx)))


def some_tokens(model: Bridge, length: int, rows: int = ROWS) -> torch.Tensor:
    """[row, length] made-up token ids."""
    ids = (torch.arange(rows * length).reshape(rows, length) * 7919 + 11) % int(model.cfg.d_vocab)
    return ids.to(model.cfg.device)


def close(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Equal up to rounding, NaN and infinity in the same places included: those are named where they are measured."""
    tolerance = 1e-4 if other.dtype in (torch.float32, torch.float64) else 5e-2
    finite = other[other.isfinite()]
    scale = max(1.0, float(finite.abs().max())) if finite.numel() else 1.0
    return torch.allclose(one, other.to(one.dtype), rtol=0.0, atol=tolerance * scale, equal_nan=True)
