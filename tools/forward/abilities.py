"""What a model allows when it is run again from the middle: tried on a small batch, assumed of no architecture.

What holds of six tokens need not hold of sixty: attention may look back over a window only, rotations may depend on the
length of the prompt. So a model is tried again, on prompts as long as those at hand, when longer ones come than it was
tried on (`trials.py` has the trials). What was measured is audited besides (`audit.py`): a model that was trusted
wrongly is not driven any more.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch

from lakatos.tools.behaviour import TokenBatch, pad
from lakatos.tools.errors import UserError
from lakatos.tools.forward import trials
from lakatos.tools.forward.hooking import out_of_memory
from lakatos.tools.model import Bridge

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
    trial: tuple[int, int]  # prompts and tokens that `shapes` are of
    longest: int  # tokens of the longest prompts that were tried
    why: str  # it cannot be driven, where it cannot


_known: weakref.WeakKeyDictionary[Any, tuple[frozenset[Any], Abilities]] = weakref.WeakKeyDictionary()
_settled: weakref.WeakSet[Any] = weakref.WeakSet()


def abilities(model: Bridge, longest: int = 0) -> Abilities:
    """What the model allows: tried once per model, and again where hooks were put on it or taken off.

    The embeddings and the residual stream before the first, the middle and the last block are disturbed, so that a
    model whose blocks are called with something computed elsewhere (and that resuming would not renew) is found out.
    A model with hooks of its user's own is not driven: they may mean certain prompts or positions.

    Args:
        longest: tokens of the longest prompt at hand. Where none as long was tried, prompts of about that length are;
            what does not hold of them is not relied on for shorter ones either.

    Raises:
        UserError: the model cannot even be run.
    """
    known = _known.get(model)
    if known is None or model not in _settled:
        hooks = users_hooks(model)
        if known is None or known[0] != hooks:
            known = _known[model] = hooks, _try(model, bool(hooks))
    if longest > known[1].longest:
        known = _known[model] = known[0], _try_longer(model, known[1], longest)
    return known[1]


@contextmanager
def settled(model: Bridge) -> Iterator[None]:
    """While the user's code does not run, no hook of his comes or goes: `abilities` need not look for any again."""
    if model in _settled:
        yield
        return
    abilities(model)
    _settled.add(model)
    try:
        yield
    finally:
        _settled.discard(model)


def distrust(model: Bridge, why: str) -> None:
    """Drive the model no more: what resuming gave was not what the model gives."""
    hooks, known = _known[model]
    _known[model] = hooks, replace(known, causal=False, blocks=False, windows=False, embeddings=False, why=why)


def users_hooks(model: Bridge) -> frozenset[Any]:
    """The hooks on the model's hook points and modules, the libraries' own wiring aside."""
    points = {id(point) for point in model.hook_dict.values()}
    found = {handle.hook: handle.user_hook for point in model.hook_dict.values() for handle in point.fwd_hooks}
    for module in model.original_model.modules():
        if id(module) not in points:
            found |= {hook: hook for hook in (*module._forward_hooks.values(), *module._forward_pre_hooks.values())}
    return frozenset(
        hook for hook, call in found.items() if not str(getattr(call, "__module__", "")).startswith(_WIRING)
    )


class _Attempts:
    """Trials whose failure is an answer; keeps why the model cannot be driven."""

    def __init__(self, why: str = "") -> None:
        self.why = why

    def __call__(self, attempt: Callable[[], Any], otherwise: str = "") -> Any:
        try:
            found = attempt()
        except _REFUSALS as error:
            if out_of_memory(error):
                raise
            found = False
            otherwise = otherwise and f"{otherwise} ({error})"
        if otherwise and not found:
            self.why = self.why or otherwise
        return found


_UNFITTED = "its blocks are called with what cannot be fitted"
_OTHER = "its blocks give other numbers when they are called again"


@torch.no_grad()
def _try(model: Bridge, has_hooks: bool) -> Abilities:
    tried = _Attempts("there are hooks of your own on the model" if has_hooks else "")
    length = trials.trial_length(model, 0)
    try:
        model(trials.some_tokens(model, length), return_type="logits")
    except _REFUSALS as error:
        if out_of_memory(error):
            raise
        if not has_hooks:  # which may mean certain prompts
            raise UserError(
                f"TransformerLens loads {model.cfg.model_name} but cannot run it: {type(error).__name__}: "
                f"{' '.join(str(error).split())[:300]}"
            ) from error
    shapes, adds = tried(lambda: trials.reach(model, length)) or ({}, False)
    causal = bool(tried(lambda: trials.is_causal(model, length)))
    roles = () if has_hooks else tried(lambda: trials.find_roles(model, length), _UNFITTED)
    unembeds = tried(
        lambda: trials.unembeds(model, length), "its logits are not what its last norm and unembedding make"
    )
    blocks = bool(roles) and unembeds and tried(lambda: _resumes(model, roles, length), _OTHER)
    return Abilities(
        causal=causal and not has_hooks,
        blocks=blocks,
        windows=blocks and causal and tried(lambda: _windows(model, roles, length)),
        embeddings=blocks and tried(lambda: trials.follows_embeddings(model, roles, length)),
        unembeds=unembeds,
        columns=unembeds and tried(lambda: trials.has_columns(model, length)),
        adds=adds,
        roles=roles or (),
        shapes=shapes,
        trial=(trials.ROWS, length),
        longest=length,
        why="" if blocks else tried.why,
    )


@torch.no_grad()
def _try_longer(model: Bridge, known: Abilities, longest: int) -> Abilities:
    """The same of longer prompts, as far as the length may matter."""
    tried = _Attempts(known.why)
    length, roles = trials.trial_length(model, longest), known.roles
    windows = known.windows and tried(lambda: _windows(model, roles, length, [0]))
    blocks = windows
    if known.blocks and not blocks:  # perhaps an argument that short prompts do without
        roles = tried(lambda: trials.find_roles(model, length), _UNFITTED) or ()
        windows = known.windows and bool(roles) and tried(lambda: _windows(model, roles, length, [0]))
        blocks = windows or (bool(roles) and tried(lambda: _resumes(model, roles, length), _OTHER))
    causal = known.causal and bool(tried(lambda: trials.is_causal(model, length)))
    return replace(
        known,
        causal=causal,
        blocks=blocks,
        windows=windows and causal,
        embeddings=known.embeddings and blocks,
        roles=roles or known.roles,
        longest=length,
        why="" if blocks else tried.why,
    )


def _resumes(model: Bridge, roles: tuple[Any, ...], length: int) -> bool:
    return trials.drives(model, roles, length, [0] * trials.ROWS, length)


def _windows(model: Bridge, roles: tuple[Any, ...], length: int, layers: Sequence[int] | None = None) -> bool:
    """Windows that begin late and end early: one to the end of its prompt, one to before it."""
    end = max(1, length // 4)
    return trials.drives(model, roles, length, [2 * end, end], length - 2 * end, layers)


def together(model: Bridge, batches: Sequence[TokenBatch]) -> Sequence[TokenBatch]:
    """Prompts of several lengths as one padded batch, where padding changes nothing in prompts as long as these."""
    longest = max(batch.clean.shape[1] for batch in batches)
    return [pad(batches)] if abilities(model, longest).causal and len(batches) > 1 else batches
