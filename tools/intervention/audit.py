"""Every call of the engine checks itself: a few random cells are measured again by the reference, and must agree.

`abilities.py` tries a model on made-up prompts; this looks at the prompts, positions and interventions that were asked
for. An audited cell (an intervention on one prompt) is run by `reference.py` on that prompt alone, without
padding, windows or stacks. While a model is new to this process, every call has a few of its cells audited; after that,
as many as a fiftieth of the forward passes pays for, and one of every sort of intervention that was not seen before.

What it costs: `Effects.audited` says it, and it is part of `Effects.forwards`. What it does not show: a mistake that
reference and engine share (which activations are meant, how a metric is read), or one that few cells have. Means over
a dataset are taken from the engine.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch

from lakatos.tools.component import Component
from lakatos.tools.intervention.batch_runs import BatchRuns
from lakatos.tools.intervention.intervention import Base, Intervention
from lakatos.tools.intervention.reference import measure_by_forward
from lakatos.tools.metric import Metric
from lakatos.tools.model import Bridge

A_CALL = 2  # cells of a call on a model that is new
NEW = 24  # cells, as many as a model is new for
SHARE = 0.02  # of the forward passes, for a model that is not
SORTS = 4  # cells of a call, at most, for the sake of sorts of intervention that are new
_TOLERANCE = {torch.float32: 2e-4, torch.float64: 2e-4}  # of the largest logit, or of 1
_COARSE = 5e-2  # in bfloat16 and float16


class Audited(NamedTuple):
    """What was measured twice."""

    cells: int = 0  # an intervention on a prompt each
    forwards: float = 0.0  # spent on it, in forward passes of one prompt

    def __add__(self, other: Any) -> Audited:  # NamedTuple would concatenate
        return Audited(self.cells + other.cells, self.forwards + other.forwards)


class Disagreement(Exception):
    """The engine and the reference give different numbers for a cell."""


@dataclass
class _Record:
    """What was audited of a model in this process."""

    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))
    cells: int = 0
    sorts: set[tuple[Any, ...]] = field(default_factory=set)
    forwards: float = 0.0  # of all calls
    spent: float = 0.0  # of them, on audits


_records: weakref.WeakKeyDictionary[Any, _Record] = weakref.WeakKeyDictionary()


class Audit:
    """The audit of one call.

    Args:
        model: a TransformerBridge.
        interventions: those of the call.
    """

    def __init__(
        self, model: Bridge, interventions: Sequence[Intervention], base: Base, metrics: Sequence[Metric]
    ) -> None:
        self.model = model
        self.interventions = interventions
        self.base: Base = base
        self.metrics = metrics
        self.audited = Audited()
        self._record = _records.setdefault(model, _Record())

    def check(self, batch: BatchRuns, values: np.ndarray) -> None:
        """Measure some cells of a batch by the reference.

        Args:
            values: [n_metrics, n_interventions, n] what the engine gave.

        Raises:
            Disagreement: naming the cell and both numbers.
        """
        for number, row in self._chosen(len(batch)):
            intervention = self.interventions[number]
            alone = batch.alone(row)
            reference = measure_by_forward(self.model, alone, [intervention], self.base, self.metrics, own_means=False)
            spent = alone.take_forwards()
            batch.forwards += spent
            self._record.spent += spent
            self._record.cells += 1
            self._record.sorts.add(_sort(intervention, self.base))
            self.audited += Audited(1, spent)
            allowed = _TOLERANCE.get(self.model.cfg.dtype, _COARSE) * max(1.0, alone.largest_logit(self.base))
            found, expected = values[:, number, row], reference[:, 0, 0]
            if not np.allclose(found, expected, rtol=0.0, atol=allowed, equal_nan=True):
                k = int(np.nanargmax(np.abs(found - expected)))
                raise Disagreement(
                    f"{intervention} in prompt {int(batch.batch.index[row])} gave {found[k]:.6g} when resumed and "
                    f"{expected[k]:.6g} by a whole forward pass ({self.metrics[k]})"
                )

    def done(self, forwards: float) -> None:
        """Note what the call spent, its audit included."""
        self._record.forwards += forwards

    def _chosen(self, n: int) -> Iterator[tuple[int, int]]:
        """Cells to audit: (intervention, row). Each is audited, and counted, before the next is chosen."""
        record = self._record
        if not self.interventions:
            return
        sorts = {_sort(i, self.base): number for number, i in enumerate(self.interventions)}
        unseen = [number for sort, number in sorts.items() if sort not in record.sorts]
        for number in unseen[: max(0, SORTS - self.audited.cells)]:
            yield number, int(record.rng.integers(n))
        while self.audited.cells < A_CALL and record.cells < NEW:
            yield int(record.rng.integers(len(self.interventions))), int(record.rng.integers(n))
        if record.spent < SHARE * record.forwards:
            yield int(record.rng.integers(len(self.interventions))), int(record.rng.integers(n))


def _sort(intervention: Intervention, base: Base) -> tuple[Any, ...]:
    """What interventions have in common that are measured alike."""

    def kinds(places: Sequence[Any]) -> tuple[Any, ...]:
        found = {(p.kind, type(p.position)) if isinstance(p, Component) else (p, None) for p in places}
        return tuple(sorted(found, key=str))

    places = kinds(intervention.components), kinds(intervention.receivers)
    return (*places, intervention.source, intervention.keep, base)
