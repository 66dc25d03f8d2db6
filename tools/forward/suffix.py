"""Re-running a transformer from the middle: later layers and later positions only.

A recorded run keeps what each block was called with, its keys and values, and the residual stream before it. Cells (a
prompt of the batch each, with a window of its positions) can then be run again from any block on, stacked along the
batch: the blocks are called with what the model itself called them with, fitted to each cell's rows and positions, and
with an object in place of their key-value cache that puts the window's keys and values among the recorded ones. So
nothing here knows an architecture; what a model allows is found out by trying (`abilities.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch

from lakatos.tools.errors import UserError
from lakatos.tools.forward.hooking import Hooks, hooked
from lakatos.tools.model import Bridge

Args = tuple[Any, ...]
Kwargs = dict[str, Any]


class Call(NamedTuple):
    """What a block was called with, the residual stream aside."""

    args: Args
    kwargs: Kwargs
    by_name: bool  # the residual stream came as hidden_states=


class Window(NamedTuple):
    """Cells: which rows of a recorded batch run again, and which `width` positions of each, from `start` on."""

    rows: torch.Tensor  # [cell]
    start: torch.Tensor  # [cell]
    width: int

    @property
    def positions(self) -> torch.Tensor:
        """[cell, width] token indices."""
        return self.start[:, None] + torch.arange(self.width, device=self.start.device)

    def take(self, cells: slice | torch.Tensor) -> Window:
        """Some of the cells."""
        return Window(self.rows[cells], self.start[cells], self.width)

    def of(self, values: torch.Tensor) -> torch.Tensor:
        """[cell, width, ...] of values [row, pos, ...] of the whole batch."""
        return values[self.rows[:, None], self.positions]


class Recording:
    """One run of a batch, kept at the input of its first `layers` blocks and, if it got that far, at the end."""

    def __init__(self, model: Bridge, tokens: torch.Tensor, roles: tuple[Any, ...]) -> None:
        self.model = model
        self.tokens = tokens
        self.calls: list[Call] = []
        self.hidden: list[torch.Tensor] = []  # [row, pos, d_model] before each block, and after the last
        self.kept: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}  # keys and values [row, group, pos, d_head]
        self.activations: dict[str, torch.Tensor] = {}
        self.passes = 0.0  # of one row through one block, all positions
        self._roles = roles

    @property
    def layers(self) -> int:
        """How many blocks were recorded."""
        return len(self.calls)

    @classmethod
    @torch.no_grad()
    def record(
        cls,
        model: Bridge,
        tokens: torch.Tensor,
        roles: tuple[Any, ...] = (),
        *,
        layers: int | None = None,
        names: Sequence[str] = (),
    ) -> Recording:
        """Run a model and keep what resuming needs.

        Args:
            tokens: [row, pos] token ids.
            roles: per block, which dimensions of its arguments are rows and positions (see `abilities`); without them
                the recording can be read but not resumed.
            layers: stop after so many blocks.
            names: hook points whose activations are kept too.
        """
        from transformer_lens.model_bridge.exceptions import StopAtLayerException

        blocks = model.blocks
        layers = len(blocks) if layers is None else layers
        run = cls(model, tokens, roles)

        def note(_module: Any, args: Args, kwargs: Kwargs) -> tuple[Args, Kwargs]:
            args, kwargs = _with_cache(args, kwargs, KeptKeys(run.kept))
            run.hidden.append(args[0] if args else kwargs["hidden_states"])
            further = {k: v for k, v in kwargs.items() if k != "hidden_states"}
            run.calls.append(Call(args[1:], further, by_name=not args))
            return args, kwargs

        def keep(_module: Any, _args: Any, output: Any) -> None:
            run.hidden.append(_hidden(output))
            raise StopAtLayerException(run.hidden[-1])  # what follows is read at few positions, see `unembed`

        handles = [block.register_forward_pre_hook(note, with_kwargs=True) for block in blocks[:layers]]
        handles.append(blocks[-1].register_forward_hook(keep))
        try:
            with hooked(model, run._keeping(names)):
                model(tokens, return_type=None, **({} if layers == len(blocks) else {"stop_at_layer": layers}))
        finally:
            for handle in handles:
                handle.remove()
        run.passes += len(tokens) * layers
        return run

    @torch.no_grad()
    def collect(self, names: Mapping[str, int]) -> None:
        """Make sure that `activations` has these hook points (name -> block; -1 for the embeddings)."""
        missing: dict[int, list[str]] = {}
        for name, layer in names.items():
            if name not in self.activations:
                missing.setdefault(layer, []).append(name)
        for layer, several in missing.items():
            if layer < 0:
                with hooked(self.model, self._keeping(several)):
                    self.model(self.tokens, return_type=None, stop_at_layer=0)
            else:
                self.block(layer, self.whole(), self.hidden[layer], self._keeping(several))
        lost = [name for several in missing.values() for name in several if name not in self.activations]
        if lost:
            raise UserError(f"This model never reaches the hook point {lost[0]}, so what is there cannot be read.")

    def whole(self) -> Window:
        """Every row at every position."""
        rows = torch.arange(len(self.tokens), device=self.tokens.device)
        return Window(rows, torch.zeros_like(rows), self.tokens.shape[1])

    def resume(self, window: Window, since: Sequence[int], hooks: Hooks) -> torch.Tensor:
        """Run cells to the end of the last block, each from its own block on, under hooks.

        Args:
            window: the cells, those that start earlier first.
            since: [cell] the block that each starts at, ascending.

        Returns:
            The residual stream [cell, width, d_model] after the last block.
        """
        first = torch.tensor([*since])
        residual: torch.Tensor | None = None
        fitted = _Fitted(self.tokens.shape[1])
        with hooked(self.model, hooks):
            for layer in range(int(first[0]), self.layers):
                running = int((first <= layer).sum())
                joined = 0 if residual is None else len(residual)
                if running > joined:
                    new = window.take(slice(joined, running)).of(self.hidden[layer])
                    residual = new if residual is None else torch.cat([residual, new])
                residual = self._call(layer, window, running, residual, fitted)
        assert residual is not None
        return residual

    @torch.no_grad()
    def block(self, layer: int, window: Window, residual: torch.Tensor, hooks: Hooks) -> torch.Tensor:
        """Run one block on residual [cell, width, d_model] under hooks."""
        with hooked(self.model, hooks):
            return self._call(layer, window, len(window.rows), residual, _Fitted(self.tokens.shape[1]))

    def _call(self, layer: int, window: Window, cells: int, residual: Any, fitted: _Fitted) -> torch.Tensor:
        call, (arg_roles, kwarg_roles) = self.calls[layer], self._roles[layer]
        inside = KeptKeys(self.kept, None if window.width == self.tokens.shape[1] else window.take(slice(cells)))
        rest = [fitted(v, r, window, cells) for v, r in zip(call.args, arg_roles, strict=True)]
        named = {k: fitted(v, kwarg_roles[k], window, cells) for k, v in call.kwargs.items()}
        args, kwargs = _with_cache(tuple(rest), named, inside)
        self.passes += cells * window.width / self.tokens.shape[1]
        block = self.model.blocks[layer]
        if call.by_name:
            return _hidden(block(hidden_states=residual, **kwargs))
        return _hidden(block(residual, *args, **kwargs))

    def _keeping(self, names: Sequence[str]) -> Hooks:
        def keeper(name: str) -> Callable[..., None]:
            def keep(activation: torch.Tensor, hook: Any = None) -> None:  # noqa: ARG001 - TransformerLens names it
                self.activations[name] = activation.detach()

            return keep

        return {name: [keeper(name)] for name in names}


class KeptKeys:
    """What a block takes for its key-value cache: notes what it is given, or completes it from what was noted.

    Keys and values are [cell, group, width, d_head]; completed, [cell, group, pos, d_head] at their own positions.
    """

    def __init__(self, kept: dict[int, tuple[torch.Tensor, torch.Tensor]], window: Window | None = None) -> None:
        self.kept = kept
        self.window = window

    def update(
        self, keys: torch.Tensor, values: torch.Tensor, layer: int, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """As transformers' `Cache.update`."""
        if self.window is not None:
            whole_keys, whole_values = self.kept[layer]
            return self._among(whole_keys, keys), self._among(whole_values, values)
        self.kept.setdefault(layer, (keys.detach(), values.detach()))
        return keys, values

    def get_seq_length(self, *_: Any, **__: Any) -> int:
        """No token came before this run."""
        return 0

    def _among(self, whole: torch.Tensor, part: torch.Tensor) -> torch.Tensor:
        assert self.window is not None
        found = whole[self.window.rows]
        cell = torch.arange(len(found), device=found.device)[:, None]
        found[cell, :, self.window.positions] = part.transpose(1, 2)
        return found


class _Fitted:
    """Recorded arguments at the rows and positions of cells; the same tensor is fitted once for all blocks."""

    def __init__(self, length: int) -> None:
        self.length = length
        self.known: dict[int, tuple[Any, torch.Tensor, bool]] = {}  # by identity: the value, fitted, has cells first

    def __call__(self, value: Any, roles: Any, window: Window, cells: int) -> Any:
        if isinstance(value, tuple | list):
            several = [self(v, r, window, cells) for v, r in zip(value, roles, strict=True)]
            return type(value)(several)
        if not isinstance(value, torch.Tensor) or not any(roles):
            return value
        if id(value) not in self.known:
            self.known[id(value)] = value, *self._fit(value, roles, window)
        _, fitted, of_cells = self.known[id(value)]
        return fitted[:cells] if of_cells else fitted

    def _fit(self, value: torch.Tensor, roles: tuple[str | None, ...], window: Window) -> tuple[torch.Tensor, bool]:
        of_rows = roles[0] == "row" and len(value) > 1
        if "pos" not in roles or window.width == self.length:
            return (value[window.rows], True) if of_rows else (value, False)
        query = roles.index("pos")  # a mask's first position is the query's; its second, the key's, stays whole
        if query == 0:  # one for all prompts (tried with prompts that start at different positions)
            return value[window.positions[0]], False
        if not of_rows and len(value) > 1:
            raise ValueError("an argument has positions but neither rows nor one for all")
        of_cell = window.rows[:, None] if of_rows else torch.zeros_like(window.rows)[:, None]
        return value.movedim(query, 1)[of_cell, window.positions].movedim(1, query), True


def _with_cache(
    args: tuple[Any, ...], kwargs: dict[str, Any], cache: KeptKeys
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    def swap(value: Any) -> Any:
        return cache if isinstance(value, KeptKeys) or type(value).__name__.endswith("Cache") else value

    return tuple(swap(a) for a in args), {k: swap(v) for k, v in kwargs.items()}


def _hidden(output: Any) -> torch.Tensor:
    hidden: torch.Tensor = output[0] if isinstance(output, tuple) else output
    return hidden
