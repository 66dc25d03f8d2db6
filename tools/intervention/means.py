"""Mean activations of a dataset, for mean ablation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np
import torch

from lakatos.tools.behaviour import PromptPairs, TokenBatch
from lakatos.tools.component import Component
from lakatos.tools.errors import UserError
from lakatos.tools.intervention.layout import by_position, wide


class DatasetRuns(Protocol):
    """The clean runs of a dataset, as `Runs` has them."""

    model: Any
    pairs: PromptPairs
    batches: list[Any]  # `BatchRuns`
    forgotten: float

    def take_forwards(self) -> float: ...


class Means:
    """Mean activations of a dataset's clean prompts: at each token index, and at each named position."""

    def __init__(self, runs: DatasetRuns) -> None:
        self.dataset = runs.pairs
        self._runs = runs
        self._tables: dict[str, torch.Tensor] = {}
        batches = [run.batch for run in self._runs.batches]
        self.length = max(batch.clean.shape[1] for batch in batches)
        self.names = sorted(set.intersection(*(set(batch.positions) for batch in batches)))

    def table(self, component: Component) -> torch.Tensor:
        """[length + names, ...]: the mean over prompts that reach a token index; then the mean at each name.

        The rows of an attention pattern are as long as the longest prompt.
        """
        self.collect([component])
        return self._tables[component.hook_name(self._runs.model.cfg.n_layers)]

    @torch.no_grad()
    def collect(self, components: Iterable[Component]) -> None:
        """Average what is not known yet of these components; the dataset is run once for all of them."""
        model, n_layers = self._runs.model, self._runs.model.cfg.n_layers
        wanted = {c.hook_name(n_layers): c for c in components if c.hook_name(n_layers) not in self._tables}
        if not wanted:
            return
        totals: dict[str, torch.Tensor] = {}
        count = torch.zeros(self.length + len(self.names))
        for run in self._runs.batches:
            places = [torch.from_numpy(run.batch.positions[name]) for name in self.names]
            real = torch.arange(run.batch.clean.shape[1]) < torch.from_numpy(run.batch.lengths)[:, None]
            count[: real.shape[1]] += real.sum(0)
            count[self.length :] += len(run)
            recording = run.recording("clean", {name: c.block(n_layers) for name, c in wanted.items()})
            for name, component in wanted.items():
                values = by_position(component, recording.activations[name]).float()
                if component.known.heads_first:
                    values = torch.nn.functional.pad(values, (0, self.length - values.shape[-1]))
                total = totals.setdefault(name, values.new_zeros(len(count), *values.shape[2:]))
                total[: values.shape[1]] += torch.where(wide(real, values), values, 0).sum(0)
                for k, at in enumerate(places):
                    total[self.length + k] += values[torch.arange(len(run)), at].sum(0)
            self._runs.forgotten += run.take_forwards()
            run.forget()
        self._tables |= {name: (total / wide(count, total)).to(model.cfg.dtype) for name, total in totals.items()}

    def check(self, component: Component, longest: int) -> None:
        """Ask whether there is a mean for the component wherever it is to be replaced.

        Args:
            longest: tokens of the longest prompt in which it is.

        Raises:
            UserError: the dataset has no prompt that is long enough; what is beyond it has no mean.
        """
        position = component.position
        needed = longest if position is None else position + 1 if isinstance(position, int) else 0
        if needed > self.length:
            raise UserError(f"{component}: the dataset to average over has no prompt of {needed} tokens or more.")

    def row(self, component: Component, batch: TokenBatch) -> int | None:
        """The row of the table for the component's named position; None where the token index itself is meant.

        Raises:
            UserError: a prompt of the dataset has no such position, or it is elsewhere and a pattern would look there.
        """
        position = component.position
        if not isinstance(position, str):
            return None
        if position not in self.names:
            raise UserError(f"{component}: the dataset to average over has no position {position!r} in every prompt.")
        places = [run.batch.positions[position] for run in self._runs.batches] + [batch.positions[position]]
        if component.known.heads_first and len(np.unique(np.concatenate(places))) > 1:
            raise UserError(
                f"{component}: {position} is at several token indices, and a mean of attention patterns from different "
                "places looks nowhere in particular. Take prompts of one length."
            )
        return int(self.length + self.names.index(position))

    def take_forwards(self) -> float:
        """Forward passes of one prompt spent since the last call."""
        return self._runs.take_forwards()
