"""Re-running a transformer from the middle, for any model whose blocks can be called again.

A recorded run keeps what each block was called with. Resuming at block L stacks copies of that block's input along the
batch, attaches hooks, and calls the same blocks with the same further arguments (masks, rotary tables), repeated where
they have a batch dimension. After the last block: final norm, then unembedding of the wanted positions only.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch

Hooks = Mapping[str, Sequence[Callable[..., Any]]]

_causal: weakref.WeakKeyDictionary[Any, bool] = weakref.WeakKeyDictionary()
_drivable: weakref.WeakKeyDictionary[Any, bool] = weakref.WeakKeyDictionary()


class BlockCalls:
    """One run of a batch, kept at the input of its first `layers` blocks and, if it got that far, at the end."""

    def __init__(
        self, model: Any, calls: list[tuple[tuple[Any, ...], dict[str, Any]]], final: torch.Tensor | None
    ) -> None:
        self.model = model
        self.calls = calls
        self.final = final

    @property
    def layers(self) -> int:
        """How many blocks were recorded."""
        return len(self.calls)

    @classmethod
    @torch.no_grad()
    def record(cls, model: Any, tokens: torch.Tensor, layers: int) -> BlockCalls:
        """Run the first `layers` blocks on tokens [n, pos]."""
        calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
        kept: list[torch.Tensor] = []

        def note(_module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            calls.append(
                (
                    tuple(_without_cache("", a) for a in args),
                    {k: _without_cache(k, v) for k, v in kwargs.items()},
                )
            )

        def keep(_module: Any, _args: Any, output: Any) -> None:
            kept.append(_hidden(output))

        handles = [block.register_forward_pre_hook(note, with_kwargs=True) for block in model.blocks]
        handles.append(model.blocks[-1].register_forward_hook(keep))
        complete = layers == len(model.blocks)
        try:
            model(tokens, return_type=None, **({} if complete else {"stop_at_layer": layers}))
        finally:
            for handle in handles:
                handle.remove()
        return cls(model, calls[:layers], kept[0] if complete else None)

    def logits(self, at: torch.Tensor | None) -> torch.Tensor:
        """Logits of the run itself: [n, vocab] at positions `at` [n], or [n, pos, vocab]."""
        if self.final is None:
            raise ValueError("this run was stopped before the last block")
        return unembed(self.model, self.final, at)

    @torch.no_grad()
    def resume(self, layer: int, *, copies: int, hooks: Hooks, at: torch.Tensor | None) -> torch.Tensor:
        """Run `copies` stacked copies of the batch from block `layer` on, under hooks.

        Returns:
            Logits [copies * n, vocab] at positions `at` [n] of each copy, or [copies * n, pos, vocab].
        """
        with hooked(self.model, hooks):
            residual = self._hidden_in(layer).repeat(copies, 1, 1)
            for number in range(layer, len(self.model.blocks)):
                residual = self._call(number, residual, copies)
        return unembed(self.model, residual, None if at is None else at.repeat(copies))

    @torch.no_grad()
    def activation(self, layer: int, hook_name: str) -> torch.Tensor:
        """The activation at a hook point of block `layer` in this run."""
        seen: list[torch.Tensor] = []

        def keep(activation: torch.Tensor, hook: Any = None) -> None:  # noqa: ARG001 - TransformerLens names it
            seen.append(activation.detach())

        with hooked(self.model, {hook_name: [keep]}):
            self._call(layer, self._hidden_in(layer), 1)
        return seen[0]

    def _hidden_in(self, layer: int) -> torch.Tensor:
        args, kwargs = self.calls[layer]
        hidden: torch.Tensor = args[0] if args else kwargs["hidden_states"]
        return hidden

    def _call(self, layer: int, residual: torch.Tensor, copies: int) -> torch.Tensor:
        args, kwargs = self.calls[layer]
        n = self._hidden_in(layer).shape[0]
        rest = [_repeat(a, n, copies) for a in args[1:]]
        named = {k: _repeat(v, n, copies) for k, v in kwargs.items() if k != "hidden_states"}
        if args:
            return _hidden(self.model.blocks[layer](residual, *rest, **named))
        return _hidden(self.model.blocks[layer](hidden_states=residual, **named))


def unembed(model: Any, residual: torch.Tensor, at: torch.Tensor | None) -> torch.Tensor:
    """Final norm and unembedding of residual [row, pos, d_model] at positions `at` [row], or everywhere."""
    if at is not None:
        residual = residual[torch.arange(residual.shape[0]), at.to(residual.device)].unsqueeze(1)
    logits: torch.Tensor = model.unembed(model.ln_final(residual))
    cap = float(getattr(model.cfg, "output_logits_soft_cap", -1.0) or -1.0)
    if cap > 0:
        logits = cap * torch.tanh(logits / cap)
    return logits if at is None else logits.squeeze(1)


def drives_blocks(model: Any) -> bool:
    """Whether resuming under a hook gives what the model itself gives under it: tried once per model, on a small batch.

    The residual stream is disturbed before the first and before the middle block, so that a model whose later blocks
    are called with something that earlier blocks computed (and that resuming would not renew) is found out.
    """
    known = _drivable.get(model)
    if known is None:
        known = _drivable[model] = _try_to_drive(model)
    return known


def ignores_padding(model: Any) -> bool:
    """Whether tokens after the last one change nothing up to it, as in every causal model: tried once per model."""
    known = _causal.get(model)
    if known is None:
        known = _causal[model] = _try_padding(model)
    return known


@contextmanager
def hooked(model: Any, hooks: Hooks) -> Iterator[None]:
    """Attach hooks by name, and take off these and no others afterwards."""
    attached = []
    try:
        for name, functions in hooks.items():
            point = model.hook_dict[name]
            attached += [(point, point.add_hook(function)) for function in functions]
        yield
    finally:
        for point, handle in attached:
            handle.hook.remove()
            point.fwd_hooks[:] = [other for other in point.fwd_hooks if other is not handle]


@torch.no_grad()
def _try_to_drive(model: Any) -> bool:
    tokens = _some_tokens(model)
    try:
        run = BlockCalls.record(model, tokens, len(model.blocks))
        for layer in {0, len(model.blocks) // 2}:
            hook = f"blocks.{layer}.hook_resid_pre"
            own = model.run_with_hooks(tokens, return_type="logits", fwd_hooks=[(hook, _disturb)])
            again = run.resume(layer, copies=2, hooks={hook: [_disturb]}, at=None)[2:]
            if not _close(again, own):
                return False
    except (AttributeError, IndexError, KeyError, NotImplementedError, RuntimeError, TypeError, ValueError):
        return False
    return True


@torch.no_grad()
def _try_padding(model: Any) -> bool:
    tokens = _some_tokens(model)
    return _close(model(tokens, return_type="logits")[:, :4], model(tokens[:, :4], return_type="logits"))


def _some_tokens(model: Any) -> torch.Tensor:
    return ((torch.arange(12).reshape(2, 6) * 7919 + 11) % int(model.cfg.d_vocab)).to(model.cfg.device)


def _close(one: torch.Tensor, other: torch.Tensor) -> bool:
    return float((one - other).abs().max()) < 1e-4 * max(1.0, float(other.abs().max()))


def _disturb(activation: torch.Tensor, hook: Any = None) -> torch.Tensor:  # noqa: ARG001 - TransformerLens names it
    return activation + activation.roll(1, -1)


def _hidden(output: Any) -> torch.Tensor:
    hidden: torch.Tensor = output[0] if isinstance(output, tuple) else output
    return hidden


def _without_cache(name: str, value: Any) -> Any:
    """The key-value cache of the recording must not grow when blocks are called again."""
    if name == "use_cache":
        return False
    return None if type(value).__name__.endswith("Cache") else value


def _repeat(value: Any, n: int, copies: int) -> Any:
    if isinstance(value, tuple):
        return tuple(_repeat(v, n, copies) for v in value)
    if isinstance(value, torch.Tensor) and copies > 1 and value.dim() > 0 and n > 1 and value.shape[0] == n:
        return value.repeat(copies, *[1] * (value.dim() - 1))
    return value
