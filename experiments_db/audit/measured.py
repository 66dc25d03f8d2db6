"""Numbers of prompts in the log, and how each can be measured again.

A prompt's numbers stand in three places: in a claim's test (`batches` and `draws`), in the exploration that the
constants of its test come from (`hypotheses.calibration`), and in its re-runs (`reruns.prompts`). In each, the prompts,
their donors and the control texts follow from a seed; the model is named by its weights.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from lakatos.experiments_db.log import (
    Rerun,
    Run,
    Stream,
    derive_seed,
    exploration_seed,
    from_values,
    rerun_key,
    rerun_seed,
    seed_key,
    stream_key,
)
from lakatos.experiments_db.store import Store
from lakatos.tools.behaviour import Behaviour
from lakatos.tools.claim import control_names
from lakatos.tools.claim.measures import is_share, owners
from lakatos.tools.statistics import BATCH

if TYPE_CHECKING:
    from lakatos.tools.experiment import Drawn
    from lakatos.tools.model import LoadedModel

_EXPLORATION = -1  # in place of a batch's number


class Number(NamedTuple):
    """One prompt of one claim whose numbers are in the log."""

    hypothesis: int
    rerun: int  # row of `reruns`; 0: of the claim's own test
    batch: int  # its number in the test or the re-run; -1: of the exploration behind the claim's constants
    place: int  # in the batch

    @property
    def source(self) -> tuple[int, int, bool]:
        """What was measured together: hypothesis, re-run, whether it is exploration."""
        return self.hypothesis, self.rerun, self.batch == _EXPLORATION

    @property
    def tests(self) -> bool:
        """Whether the verdict rests on it."""
        return not self.rerun and self.batch != _EXPLORATION

    def __str__(self) -> str:
        if self.rerun:
            return f"reruns row {self.rerun}: prompt {BATCH * self.batch + self.place} (hypothesis {self.hypothesis})"
        if self.tests:
            return f"hypotheses row {self.hypothesis}: prompt {self.place} of batch {self.batch} of its test"
        return f"hypotheses row {self.hypothesis}: exploration prompt {self.place}"


class Differs(NamedTuple):
    """A number that is another in the log than when it is measured again."""

    number: Number
    name: str
    stored: float
    again: float
    allowed: float

    def __str__(self) -> str:
        return (
            f"{self.number}: {self.name} is {self.stored:.6g} in the log and {self.again:.6g} when it is measured "
            f"again (allowed: {self.allowed:.2g})"
        )


def numbers_of(store: Store, hypothesis: int | None = None) -> list[Number]:
    """Every prompt whose numbers can be measured again: of the whole log, or of one claim."""
    found = [Number(h, 0, batch, place) for h, batch, place in store.measured_prompts(hypothesis)]
    for h, n in store.explored_prompts(hypothesis):
        found += [Number(h, 0, _EXPLORATION, place) for place in range(n)]
    for h, rerun, n in store.rerun_prompts(hypothesis):
        found += [Number(h, rerun, *divmod(place, BATCH)) for place in range(n)]
    return sorted(found)


class Source:
    """The prompts of one claim that were measured together.

    Args:
        source: `Number.source`.

    Raises:
        ValueError: the rows cannot be read.
    """

    def __init__(self, store: Store, source: tuple[int, int, bool]) -> None:
        hypothesis, rerun, self.explores = source
        self.row = store.hypothesis_row(hypothesis)
        self.run = store.run_row(self.row.run_id)
        self.rerun = store.rerun_row(rerun) if rerun else None
        self.secret = store.study_named(store.study_of(self.run.id)).secret
        self.prediction = self.row.prediction()
        self.claim, self.battery = self.prediction.claim, self.prediction.battery
        self.explored = store.calibration(hypothesis)
        self.behaviour = Behaviour.model_validate(self.run.behaviour_definition)
        wanted = control_names(self.claim, self.behaviour)
        self.controls = [Behaviour.model_validate(self.run.controls[name]) for name in wanted]
        self.forwards = 0.0  # spent on measuring again
        tests = not (self.rerun or self.explores)
        self._tested = {(p.batch, p.place): p.measured for p in store.prompts(hypothesis)} if tests else {}
        self._drawn = store.draws_of(hypothesis) if tests else {}
        self._without = {stream.id: store.passed_over(stream) for stream, _ in self._drawn.values()}

    @property
    def measured_by(self) -> Run | Rerun:
        """The row that says model, weights and environment."""
        return self.rerun or self.run

    def compare(self, numbers: Sequence[Number], model: LoadedModel, tolerance: float) -> Iterator[Differs]:
        """Measure prompts again; those whose numbers differ.

        Args:
            tolerance: of what each number is a fraction of.
        """
        from lakatos.tools.experiment import measure

        places: dict[int, list[int]] = defaultdict(list)
        for number in numbers:
            places[number.batch].append(number.place)
        first, *others = [self._draw(batch, model).take(own) for batch, own in places.items()]
        for other in others:
            first = first.and_those(other)
        measured = measure(self.claim, self.battery.matched, model.bridge, first.on(model.bridge))
        self.forwards += measured.forwards
        for k, number in enumerate(numbers):
            stored = self._stored(number)
            for name in sorted(stored.keys() | measured.values.keys()):
                then = float(stored.get(name, math.nan))
                now = float(measured.values[name][k]) if name in measured.values else math.nan
                allowed = tolerance * self._unit(name)
                if not abs(now - then) <= allowed:  # NaN differs from everything
                    yield Differs(number, name, then, now, allowed)
                    break

    def _draw(self, batch: int, model: LoadedModel) -> Drawn:
        from lakatos.tools.experiment import EXPLORED, draw_prompts, needs_donors

        shared = self._drawn.get(batch)
        number = shared[1] if shared else max(batch, 0)
        return draw_prompts(
            self.behaviour,
            self.controls,
            model.tokenizer,
            n=EXPLORED if self.explores else BATCH,
            skip=BATCH * number,
            split="exploration" if self.explores else "confirmation",
            seeds=partial(self._seed, shared[0] if shared else None),
            donors=needs_donors(self.claim),
            family=None if self.explores else self.claim.family,
            unit="prompt" if self.explores or self.rerun else self.battery.unit,
            without=self._without[shared[0].id] if shared else frozenset(),
        )

    def _seed(self, stream: Stream | None, purpose: str) -> int:
        if self.explores:
            return exploration_seed(self.run.seed, purpose)
        if self.rerun:
            key = rerun_key(self.rerun.record.get("members", [self.row.claim_hash]))
            return rerun_seed(int(self.rerun.seed), key, purpose)
        if stream is not None:
            return derive_seed(self.secret, stream_key(stream.members, stream.nonce), purpose)
        return derive_seed(self.secret, seed_key(self.row.claim_hash, self.prediction.nonce or ""), purpose)

    def _stored(self, number: Number) -> dict[str, float]:
        if self.explores:
            return from_values(self.explored.values, number.place)
        if self.rerun:
            return dict(self.rerun.prompts[BATCH * number.batch + number.place]["measured"])
        return self._tested[number.batch, number.place]

    def _unit(self, name: str) -> float:
        """What a measured number is a fraction of."""
        if is_share(name):
            return 1.0
        gaps = self.battery.control_gaps
        return max((gaps[own] for own in owners(name, gaps)), default=self.battery.gap)
