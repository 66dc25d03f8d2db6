"""What a model allows when it is run again from the middle: tried on a small batch, assumed of no architecture."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

import torch

from lakatos.tools.component import Component, Kind
from lakatos.tools.suffix import KeptKeys, Recording, Window, hooked, out_of_memory, unembed, unembed_columns

_REFUSALS = (
    AssertionError, AttributeError, IndexError, KeyError, NotImplementedError, RuntimeError, TypeError, ValueError,
)  # fmt: skip


_WIRING = ("transformer_lens.", "transformers.")  # modules that put hooks of their own on every model


@dataclass(frozen=True)
class Abilities:
    """What resuming may rely on, and what the hook points hold."""

    causal: bool  # tokens change nothing before them
    blocks: bool  # blocks can be called again with the recorded arguments
    windows: bool  # ... for some positions alone, with recorded keys and values for the rest
    embeddings: bool  # ... and what blocks are called with does not come from the embeddings by another way
    unembeds: bool  # the logits are those of `suffix.unembed`
    columns: bool  # single logits are products of the last norm's output with rows of the unembedding
    adds: bool  # a block adds its attention's and its MLP's output to the residual stream, and nothing else
    roles: tuple[Any, ...]  # per block: which dimensions of its arguments are rows and positions
    shapes: Mapping[str, tuple[int, ...]]  # at the hook points that the trial reached; empty where it was not possible
    trial: tuple[int, int]  # prompts and tokens that were tried
    why: str  # it cannot be driven, where it cannot


_known: weakref.WeakKeyDictionary[Any, tuple[frozenset[Any], Abilities]] = weakref.WeakKeyDictionary()


def abilities(model: Any) -> Abilities:
    """What the model allows: tried once per model, and again where hooks were put on it or taken off.

    The embeddings and the residual stream before the first, the middle and the last block are disturbed, so that a
    model whose blocks are called with something computed elsewhere (and that resuming would not renew) is found out.
    A model with hooks of its user's own is not driven: they may mean certain prompts or positions.
    """
    hooks = users_hooks(model)
    known = _known.get(model)
    if known is None or known[0] != hooks:
        known = _known[model] = hooks, _try(model, bool(hooks))
    return known[1]


def users_hooks(model: Any) -> frozenset[Any]:
    """The hooks on the model's hook points and modules, the libraries' own wiring aside."""
    points = {id(point) for point in model.hook_dict.values()}
    found = {handle.hook: handle.user_hook for point in model.hook_dict.values() for handle in point.fwd_hooks}
    for module in model.original_model.modules():
        if id(module) not in points:
            found |= {hook: hook for hook in (*module._forward_hooks.values(), *module._forward_pre_hooks.values())}
    return frozenset(
        hook for hook, call in found.items() if not str(getattr(call, "__module__", "")).startswith(_WIRING)
    )


def _try(model: Any, has_hooks: bool) -> Abilities:
    why = "there are hooks of your own on the model" if has_hooks else ""

    def tried(attempt: Callable[[], Any], otherwise: str = "") -> Any:
        nonlocal why
        try:
            found = attempt()
        except _REFUSALS as error:
            if out_of_memory(error):
                raise
            found = False
            otherwise = otherwise and f"{otherwise} ({error})"
        if otherwise and not found:
            why = why or otherwise
        return found

    with torch.no_grad():
        shapes, adds = tried(lambda: _reach(model)) or ({}, False)
        rows, length = _trial(model)
        causal = bool(tried(lambda: _is_causal(model)))
        roles = (
            () if has_hooks else tried(lambda: _find_roles(model), "its blocks are called with what cannot be fitted")
        )
        unembeds = tried(lambda: _unembeds(model), "its logits are not what its last norm and unembedding make")
        other = "its blocks give other numbers when they are called again"
        blocks = bool(roles) and unembeds and tried(lambda: _drives(model, roles, [0] * rows, length), other)
        return Abilities(
            causal=causal and not has_hooks,
            blocks=blocks,
            windows=blocks and causal and tried(lambda: _drives(model, roles, [2, 1], length - 2)),
            embeddings=blocks and tried(lambda: _follows_embeddings(model, roles)),
            unembeds=unembeds,
            columns=unembeds and tried(lambda: _has_columns(model)),
            adds=adds,
            roles=roles or (),
            shapes=shapes,
            trial=(rows, length),
            why="" if blocks else why,
        )


def _reach(model: Any) -> tuple[dict[str, tuple[int, ...]], bool]:
    """The shapes at the hook points of components, and whether blocks do nothing but add to the stream."""
    layers, kinds = int(model.cfg.n_layers), get_args(Kind)
    names = {Component(layer, kind).hook_name(layers) for layer in range(layers) for kind in kinds}
    names = (names | {Component(layers, "residual").hook_name(layers)}) & model.hook_dict.keys()
    seen: dict[str, torch.Tensor] = {}

    def keeper(name: str) -> Callable[..., None]:
        def keep(activation: torch.Tensor, hook: Any = None) -> None:  # noqa: ARG001 - TransformerLens names it
            seen[name] = activation

        return keep

    with hooked(model, {name: [keeper(name)] for name in names}):
        model(_some_tokens(model), return_type=None)
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
    apart = (before.float() + attention.float() + mlp.float() - after.float()).abs()
    allowed = 8 * torch.finfo(after.dtype).eps * (before.abs() + attention.abs() + mlp.abs()).float() + 1e-30
    return bool(((apart <= allowed) | apart.isnan()).all())


def _is_causal(model: Any) -> bool:
    tokens = _some_tokens(model)
    return _close(model(tokens, return_type="logits")[:, :4], model(tokens[:, :4], return_type="logits"))


def _find_roles(model: Any) -> tuple[Any, ...]:
    """Which dimensions follow the number of prompts and of tokens: two runs differ in both."""
    one = Recording.record(model, _some_tokens(model))
    other = Recording.record(model, _some_tokens(model, more=1))
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


def _unembeds(model: Any) -> bool:
    tokens = _some_tokens(model)
    return _close(unembed(model, Recording.record(model, tokens).hidden[-1]), model(tokens, return_type="logits"))


def _follows_embeddings(model: Any, roles: tuple[Any, ...]) -> bool:
    """Whether other embeddings do to the model what the residual stream that they make before block 0 does."""
    tokens = _some_tokens(model)
    run = Recording.record(model, tokens, roles)

    def disturb(activation: torch.Tensor, hook: Any = None) -> torch.Tensor:  # noqa: ARG001 - TransformerLens names it
        return activation + activation.roll(1, -1)

    with hooked(model, {"hook_embed": [disturb]}):
        own = model(tokens, return_type="logits")
        stream = model(tokens, return_type=None, stop_at_layer=0)
    again = run.resume(run.whole(), [0, 0], {"blocks.0.hook_resid_pre": [lambda *_, **__: stream]})
    return _close(unembed(model, again), own)


def _has_columns(model: Any) -> bool:
    tokens = _some_tokens(model)
    final = Recording.record(model, tokens).hidden[-1][:, -1]
    asked = torch.tensor([[3, 5], [7, 2]], device=tokens.device)
    found = unembed_columns(model, final, asked)
    return _close(found, unembed(model, final.unsqueeze(1))[:, 0].gather(1, asked))


def _trial(model: Any) -> tuple[int, int]:
    """Prompts and tokens of the trial: no number of tokens that could be one of heads or groups."""
    heads = {component.width(model.cfg) for component in (Component(0, "head", 0), Component(0, "key", 0))}
    return 2, next(tokens for tokens in (6, 8, 10) if tokens not in heads)


def _some_tokens(model: Any, more: int = 0) -> torch.Tensor:
    rows, length = (size + more for size in _trial(model))
    ids = (torch.arange(rows * length).reshape(rows, length) * 7919 + 11) % int(model.cfg.d_vocab)
    return ids.to(model.cfg.device)


def _close(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Equal up to rounding, NaN and infinity in the same places included: those are named where they are measured."""
    tolerance = 1e-4 if other.dtype in (torch.float32, torch.float64) else 5e-2
    finite = other[other.isfinite()]
    scale = max(1.0, float(finite.abs().max())) if finite.numel() else 1.0
    return torch.allclose(one, other.to(one.dtype), rtol=0.0, atol=tolerance * scale, equal_nan=True)
