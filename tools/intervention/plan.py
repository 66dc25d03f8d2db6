"""What has to run again for a set of interventions, and what is written where: exact, and no more than that.

A cell is one intervention on one prompt. It starts at the block of its first component and at the first position where
anything differs from the base run. Cells where nothing differs are not run at all: patching what is the same in both
prompts, or a position of the last block that the answer does not read, gives the base run's own value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch

from lakatos.tools.component import Component
from lakatos.tools.errors import UserError
from lakatos.tools.forward import Window, hooked
from lakatos.tools.forward.abilities import abilities
from lakatos.tools.intervention.batch_runs import BatchRuns
from lakatos.tools.intervention.intervention import Base, Intervention, Source
from lakatos.tools.intervention.layout import by_position
from lakatos.tools.intervention.writes import Writes, tensor
from lakatos.tools.model import Bridge


class Chunk(NamedTuple):
    """Cells that run together, those that start at an earlier block first."""

    intervention: np.ndarray  # [cell]
    row: np.ndarray  # [cell]
    since: np.ndarray  # [cell] block
    start: np.ndarray  # [cell] token index
    width: int

    def take(self, cells: Any) -> Chunk:
        """Some of the cells."""
        return Chunk(self.intervention[cells], self.row[cells], self.since[cells], self.start[cells], self.width)

    def window(self, device: Any) -> Window:
        """The same for the recorded run."""
        rows, start = (torch.from_numpy(a).to(device) for a in (self.row, self.start))
        return Window(rows, start, self.width)


class Plan:
    """The cells of some interventions on one batch."""

    def __init__(self, model: Bridge, batch: BatchRuns, interventions: Sequence[Intervention], base: Base) -> None:
        self.model = model
        self.batch = batch
        self.interventions = interventions
        self.base = base
        self.known = abilities(model)
        self.n_layers = int(model.cfg.n_layers)
        self.device = model.cfg.device
        self.length = batch.batch.clean.shape[1]
        self.end = np.full(len(batch), self.length - 1) if batch.is_text else batch.batch.positions["END"]
        self._differ = {"zero": np.zeros(len(batch), int), "mean": np.zeros(len(batch), int)}

    def prepare(self) -> None:
        """Make the base and source runs, and the means, with the activations needed of them: one forward pass each."""
        if self.batch.means is not None:
            self.batch.means.collect(c for i in self.interventions if i.source == "mean" for c in self._places(i))
        wanted: dict[str, dict[str, int]] = {self.batch.same(self.base): {}}
        for intervention in self.interventions:
            which = self.batch.same(intervention.source)
            if which in ("clean", "corrupted", "resample") and which != self.batch.same(self.base):
                for component in self._places(intervention):
                    name = component.hook_name(self.n_layers)
                    wanted.setdefault(which, {})[name] = component.block(self.n_layers)
        for which, names in wanted.items():
            layers = 1 + max(names.values()) if which == "resample" else None
            self.batch.recording(which, names, layers)

    @cached_property
    def cells(self) -> Chunk:
        """Every cell that has to run, `width` being the widest."""
        found: list[tuple[np.ndarray, ...]] = []
        for number, intervention in enumerate(self.interventions):
            start = self._start(intervention)
            rows = np.flatnonzero(start <= self.end)
            since = np.full(len(rows), self._since(intervention))
            found.append((np.full(len(rows), number), rows, since, start[rows]))
        parts = [np.concatenate(p).astype(np.int64) for p in zip(*found, strict=True)] or [np.zeros(0, np.int64)] * 4
        widths = self.end[parts[1]] - parts[3] + 1
        return Chunk(parts[0], parts[1], parts[2], parts[3], int(widths.max(initial=0)))

    def chunks(self, tokens: Callable[[int], int], spare: int) -> Iterator[Chunk]:
        """The cells in stacks of about equal widths.

        Args:
            tokens: from a width to how many tokens (cells times width) may run together.
            spare: how many tokens more a stack may have for the sake of one stack less.
        """
        cells = self.cells
        whole = self.batch.is_text or not self.known.windows
        widths = np.full(len(cells.row), self.length) if whole else self.end[cells.row] - cells.start + 1
        kinds = np.array([i.kind for i in self.interventions])[cells.intervention]
        for kind in ("components", "path", "direct"):
            left = np.flatnonzero(kinds == kind)
            left = left[np.argsort(-widths[left], kind="stable")]
            while len(left):
                widest = int(widths[left[0]])
                wasted = np.cumsum(widest - widths[left])
                group = left[wasted <= spare]
                left = left[len(group) :]
                group = group[np.argsort(cells.since[group], kind="stable")]
                while len(group):
                    step = max(1, tokens(widest) // widest)
                    chunk, group = cells.take(group[:step]), group[step:]
                    # where a prompt is too short for the window to end at its END, the window begins with the prompt
                    start = np.zeros_like(chunk.row) if whole else np.maximum(0, self.end[chunk.row] - widest + 1)
                    yield chunk._replace(start=start, width=widest)

    def writes(self, chunk: Chunk, components: Callable[[Intervention], Sequence[Component]]) -> Writes:
        """What is written in these cells, at the hook points of the components that belong to each intervention."""
        writes = Writes()
        order = np.argsort(chunk.intervention, kind="stable")
        numbers, first = np.unique(chunk.intervention[order], return_index=True)
        for number, cells in zip(numbers, np.split(order, first[1:]), strict=True):
            intervention = self.interventions[number]
            places = components(intervention)
            if embeddings := [c for c in places if c.kind == "embedding"]:
                self._embed(writes, chunk, cells, embeddings, intervention.source)
            for component in places:
                if component.kind != "embedding":
                    self._replace(writes, chunk, cells, component, intervention.source)
            if intervention.keep:
                self._keep(writes, chunk, cells, intervention)
        return writes

    def source(self, component: Component, source: Source) -> torch.Tensor | None:
        """[row, pos, ...] or, for means, [1, pos and names, ...]: what replaces the component; None for zero."""
        if source == "zero":
            return None
        if source == "mean":
            if self.batch.means is None:
                raise UserError("Mean ablation needs prompts to average over: pass dataset=.")
            return self.batch.means.table(component)[None]
        return self.activation(component, source)

    def activation(self, component: Component, which: str) -> torch.Tensor:
        """[row, pos, ...] of a run."""
        name, block = component.hook_name(self.n_layers), component.block(self.n_layers)
        layers = None if which in ("clean", "corrupted") else block + 1
        return by_position(component, self.batch.recording(which, {name: block}, layers).activations[name])

    def at(self, component: Component) -> np.ndarray | None:
        """[row] the token index at which the component is replaced; None: at all of them."""
        if component.position is not None:
            return self.batch.positions(component.position)
        return self.end if self._only_end(component) else None

    def begin(self, component: Component, source: Source) -> np.ndarray:
        """[row] the first token index at which the component may differ from the base run; past the end: nowhere."""
        differ = self._differs(source)
        begin = differ
        if component.position is not None:
            at = self.batch.positions(component.position)
            there = self.batch.positions(component.position, source) if source != "mean" else at
            begin = np.where((at < differ) & (at == there), self.length, at)
        if self._only_end(component):
            begin = np.where(
                (begin <= self.end) if component.position is None else begin == self.end, self.end, self.length
            )
        return begin

    def _places(self, intervention: Intervention) -> Sequence[Component]:
        """What is replaced: the components, or every head and MLP (those that are kept among them)."""
        if not intervention.keep:
            return intervention.components
        return [Component(layer, kind) for layer in range(self.n_layers) for kind in ("head", "mlp")]

    def _differs(self, source: Source) -> np.ndarray:
        """[row] the first token of the source that is another than the base run's."""
        if source not in self._differ:
            other = self.batch.ids(self.batch.same(source)) != self.batch.ids(self.batch.same(self.base))
            first = np.where(other.any(1), other.argmax(1), self.length)
            if not self.known.causal:
                first = np.where(first < self.length, 0, self.length)
            self._differ[source] = first
        return self._differ[source]

    def _only_end(self, component: Component) -> bool:
        """In the last block only the answer's position is read, but for what it reads at others' places."""
        last = component.layer == self.n_layers - (not component.known.read_later)
        return last and not self.batch.is_text

    def _start(self, intervention: Intervention) -> np.ndarray:
        if intervention.keep:
            start = self._differs(intervention.source)
        else:
            start = np.min([self.begin(c, intervention.source) for c in intervention.components], axis=0)
        if not self.known.causal:
            start = np.where(start <= self.end, 0, self.length)
        reached = np.zeros(len(start), bool)
        for receiver in intervention.receivers:
            at = self.at(receiver) if isinstance(receiver, Component) else self.end
            reached |= (start <= self.end) if at is None else (start <= at)
        return np.where(reached, start, self.length) if intervention.receivers else start

    def _since(self, intervention: Intervention) -> int:
        if intervention.keep:
            return 0
        places = intervention.receivers or intervention.components
        return min((max(0, c.block(self.n_layers)) for c in places if isinstance(c, Component)), default=0)

    def _replace(self, writes: Writes, chunk: Chunk, cells: np.ndarray, component: Component, source: Source) -> None:
        at = self.at(component)
        if at is None:
            cell = np.repeat(cells, chunk.width)
            step = np.tile(np.arange(chunk.width), len(cells))
            there = chunk.start[cell] + step
        else:
            step = at[chunk.row[cells]] - chunk.start[cells]
            cell, step = cells[step >= 0], step[step >= 0]
            there = chunk.start[cell] + step
            if component.position is not None and source == "resample":
                there = self.batch.positions(component.position, source)[chunk.row[cell]]
        values = self._values(component, source, chunk.row[cell], there, component.index)
        writes.add(component, self.n_layers, cell, step, component.index, values)

    def _values(self, component: Component, source: Source, row: np.ndarray, position: np.ndarray, index: Any) -> Any:
        """[write, ...] what replaces the component at these positions of these prompts."""
        table = self.source(component, source)
        if table is None:
            return 0.0
        if source == "mean" and self.batch.means is not None:
            named = self.batch.means.row(component, self.batch.batch)
            row, position = np.zeros_like(row), position if named is None else np.full_like(position, named)
        at = tuple(tensor(a, table.device) for a in (row, position))
        values = table[at] if index is None else table[(*at, tensor(index, table.device))]
        if component.known.heads_first:  # a mean's rows are as long as the longest prompt of its dataset
            values = torch.nn.functional.pad(values, (0, self.length - values.shape[-1]))
        return values

    def _keep(self, writes: Writes, chunk: Chunk, cells: np.ndarray, intervention: Intervention) -> None:
        """Write every head and MLP of every layer, except where the kept components are."""
        grid = (len(cells), chunk.width)
        for layer in range(self.n_layers):
            kept = {
                "head": np.zeros((*grid, int(self.model.cfg.n_heads)), bool),
                "mlp": np.zeros((*grid, 1), bool),
            }
            for component in intervention.components:
                if component.layer == layer:
                    at = None if component.position is None else self.batch.positions(component.position)
                    places = np.ones(grid, bool)
                    if at is not None:
                        places = np.arange(chunk.width) == (at[chunk.row[cells]] - chunk.start[cells])[:, None]
                    heads = slice(None) if component.index is None else component.index
                    kept["mlp" if component.kind == "mlp" else "head"][places, heads] = True
            for kind, mask in kept.items():
                cell, step, head = np.nonzero(~mask)
                index = head if kind == "head" else None
                place = Component(layer, "head" if kind == "head" else "mlp")
                cell = cells[cell]
                values = self._values(place, intervention.source, chunk.row[cell], chunk.start[cell] + step, index)
                writes.add(place, self.n_layers, cell, step, index, values)

    def _embed(
        self, writes: Writes, chunk: Chunk, cells: np.ndarray, components: Sequence[Component], source: Source
    ) -> None:
        """The residual stream before block 0 of cells whose embeddings are replaced."""
        whole = chunk.take(cells)._replace(start=np.zeros(len(cells), np.int64), width=self.length)
        part = Writes()
        for component in components:
            self._replace(part, whole, np.arange(len(cells)), component, source)
        tokens = self.batch.tokens(self.base)
        with torch.no_grad(), hooked(self.model, part.hooks()):
            stream = self.model(tokens[tensor(whole.row, tokens.device)], return_type=None, stop_at_layer=0)
        at = chunk.take(cells)
        cell, step = np.repeat(np.arange(len(cells)), chunk.width), np.tile(np.arange(chunk.width), len(cells))
        values = stream[torch.from_numpy(cell), torch.from_numpy(at.start[cell] + step)]
        writes.add(Component(0, "residual"), self.n_layers, cells[cell], step, None, values)
