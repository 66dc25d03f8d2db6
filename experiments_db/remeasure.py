"""Was it measured? Stored prompts are drawn at random, run through the model again, and compared.

Everything else in a log can be derived from its rows; the numbers of prompts cannot. Whoever writes a log could invent
them, with every e-value and every hash to match, and only measuring again finds that. So an auditor draws prompts, with
a seed that the log's author could not know, of all tests and of the exploration behind their constants; at least
`FEW` of every confirmed claim. Model and log are enough: prompts, donors and control texts follow from seeds.

Tolerance. The same model on another machine gives other last digits. Numbers differ where they are further apart than

    1e-3    where both were measured on a CPU
    1e-2    where either was not

of what they are fractions of: the claim's gap, a control's own, or 1 for attention. A smallest effect of interest is a
tenth of the gap. So a number that was bent by less than the tolerance is not found, and moves an effect by no more.

What it does not show: that re-runs, attributions and everything else that is only told were measured (a seal holds
what they are, see `seal.py`), and that a crash was one.
"""

from __future__ import annotations

import hashlib
import math
import random
import re
import secrets
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa

from lakatos.experiments_db import models as m
from lakatos.experiments_db.store import Store, derive_seed, exploration_seed
from lakatos.tools.behaviour import Behaviour
from lakatos.tools.errors import UserError
from lakatos.tools.hypothesis import CLAIM, Battery, control_names
from lakatos.tools.statistics import BATCH

if TYPE_CHECKING:
    from lakatos.tools.experiment import Drawn
    from lakatos.tools.model import LoadedModel

FEW = 4  # confirmation prompts of every confirmed claim, at least
SURE = 0.95
_EXPLORATION = -1  # in place of a batch's number
_ON_CPU, _ELSEWHERE = 1e-3, 1e-2  # tolerances, see the module's head

Progress = Callable[[int, int], None]
Load = Callable[[str], "LoadedModel"]


class Number(NamedTuple):
    """One prompt of one claim whose numbers are in the log."""

    hypothesis: int
    batch: int  # its number in the test; -1: of the exploration behind the claim's constants
    place: int  # in the batch
    effect: int  # row of `effects`; 0 for exploration


class Differs(NamedTuple):
    """A number that is another in the log than when it is measured again."""

    number: Number
    name: str
    stored: float
    again: float
    allowed: float

    def __str__(self) -> str:
        n = self.number
        row = f"effects row {n.effect}" if n.effect else f"hypotheses row {n.hypothesis}: exploration prompt {n.place}"
        whose = f" (hypothesis {n.hypothesis})" if n.effect else ""
        return (
            f"{row}{whose}: {self.name} is {self.stored:.6g} in the log and {self.again:.6g} when it is measured again "
            f"(allowed: {self.allowed:.2g})"
        )


@dataclass
class Remeasured:
    """What an audit did, and what it found."""

    seed: str  # draws the same prompts of the same log again
    stored: int  # prompts in the log whose numbers could have been drawn
    drawn: int  # at random, of all; further ones were drawn of confirmed claims
    measured: int
    confirmed: dict[int, int]  # of each confirmed claim, how many confirmation prompts were measured
    differ: list[Differs] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)  # rows that cannot be drawn or measured again, and why
    missing: dict[str, str] = field(default_factory=dict)  # models that could not be had, and why
    forwards: float = 0.0

    @property
    def problems(self) -> list[str]:
        """Every lie found, naming its row."""
        return [*self.unreadable, *map(str, self.differ)]

    @property
    def detectable(self) -> int:
        """How many forged prompts, wherever they are, this draw would have met with a probability of .95."""
        return forgeries_found(self.stored, self.drawn)


def remeasure(
    store: Store,
    how_many: str,
    *,
    seed: str | None = None,
    hypothesis: str | None = None,
    model: str | None = None,
    device: str = "cpu",
    load: Load | None = None,
    progress: Progress = lambda _done, _of: None,
) -> Remeasured:
    """Measure stored prompts of every study again.

    Args:
        how_many: of the stored prompts: a share ("5%"), a number ("200"), or "all".
        seed: of the draw; random by default. The log's head is mixed into it.
        hypothesis: draw of this one alone: its number, or the beginning of its hash.
        model: where the weights are (a name as in `load_model`), if not where the log says.
        device: where to measure.
        load: from a name to a model; `load_model` by default.
        progress: is told how many prompts are measured, of how many.

    Raises:
        UserError: `how_many` is none of these, there is nothing to measure, no such hypothesis, or none of the models
            can be had.
    """
    only = None if hypothesis is None else store.hypothesis(hypothesis).id
    numbers = _numbers(store, only)
    if not numbers:
        raise UserError("There are no measured prompts in this log: nothing can be measured again.")
    key = secrets.token_hex(8) if seed is None else seed
    confirmed = [i for i in _confirmed(store) if only is None or i == only]
    chosen, drawn = _chosen(numbers, how_many_of(how_many, len(numbers)), confirmed, f"{key}|{store.ledger_head()}")
    found = Remeasured(
        seed=key,
        stored=len(numbers),
        drawn=drawn,
        measured=0,
        confirmed={i: sum(n.hypothesis == i and n.batch >= 0 for n in chosen) for i in confirmed},
    )
    by_hypothesis = defaultdict(list)
    for number in chosen:
        by_hypothesis[number.hypothesis].append(number)
    models = _Models(device, model, load)
    for hypothesis_id, own in sorted(by_hypothesis.items()):
        progress(found.measured, len(chosen))
        row = store.all(m.HypothesisRow, m.HypothesisRow.id == hypothesis_id)[0]
        run = store.run_row(row.run_id)
        loaded = models.of(run)
        if loaded is None:
            found.missing[run.model] = models.why[run.weights]
            continue
        try:
            again = _Again(store, row, run, loaded, _tolerance(run, device))
            found.differ += again.compare(own)
            found.forwards += again.forwards
        except (UserError, ArithmeticError, LookupError, ValueError) as error:
            found.unreadable.append(
                f"hypotheses row {row.id}: its prompts cannot be measured again ({type(error).__name__}: {error})"
            )
        found.measured += len(own)
    progress(len(chosen), len(chosen))
    if found.missing and not found.measured:
        why = "; ".join(found.missing.values())
        raise UserError(f"Nothing was measured again: {why} --model says where the weights are.")
    return found


def forgeries_found(stored: int, drawn: int) -> int:
    """The fewest forged prompts among `stored` of which `drawn` random ones hold one with a probability of `SURE`.

    Hypergeometric: with k forged, none is drawn with probability C(stored - k, drawn) / C(stored, drawn).
    """
    missed, k = 1.0, 0
    while missed > 1 - SURE:
        missed *= max(0, stored - drawn - k) / (stored - k)
        k += 1
    return k


class _Models:
    """The models of a log's runs, found by their weights, one at a time in memory."""

    def __init__(self, device: str, named: str | None, load: Load | None) -> None:
        self.why: dict[str, str] = {}  # weights -> why they could not be had
        self._named = named
        self._load = load or (lambda name: _load(name, device))
        self._loaded: tuple[str, LoadedModel] | None = None

    def of(self, run: m.Run) -> LoadedModel | None:
        if run.weights in self.why:
            return None
        if self._loaded is not None and self._loaded[1].weight_hash == run.weights:
            return self._loaded[1]
        for name in filter(None, (self._named, run.model)):
            try:
                if self._loaded is None or self._loaded[0] != name:
                    self._loaded = name, self._load(name)
            except UserError as error:
                self.why[run.weights] = f"{run.model}: {error}"
                continue
            if self._loaded[1].weight_hash == run.weights:
                self.why.pop(run.weights, None)
                return self._loaded[1]
            self.why[run.weights] = f"{name} has other weights here than run {run.id} measured."
        return None


class _Again:
    """The prompts of one claim, drawn from the log's seeds and measured."""

    def __init__(self, store: Store, row: m.HypothesisRow, run: m.Run, model: LoadedModel, tolerance: float) -> None:
        self.row, self.run, self.model, self.tolerance = row, run, model, tolerance
        self.claim = CLAIM.validate_python(row.record["claim"])
        self.battery = Battery.model_validate(row.record["battery"])
        self.behaviour = Behaviour.model_validate(run.behaviour_definition)
        wanted = control_names(self.claim, self.behaviour)
        self.controls = [Behaviour.model_validate(run.controls[name]) for name in wanted]
        self.study = store.all(m.Study, m.Study.id == row.study_id)[0]
        self.stored = _Stored(store, row)
        self.forwards = 0.0

    def compare(self, numbers: Sequence[Number]) -> Iterator[Differs]:
        """The numbers that differ."""
        for exploration in (False, True):
            own = sorted(n for n in numbers if (n.batch == _EXPLORATION) is exploration)
            if own:
                yield from self._compare(own)

    def _compare(self, numbers: Sequence[Number]) -> Iterator[Differs]:
        from lakatos.tools.experiment import measure

        places: dict[int, list[int]] = defaultdict(list)
        for number in numbers:
            places[number.batch].append(number.place)
        parts = [self._draw(batch).take(own) for batch, own in places.items()]
        drawn = parts[0]
        for part in parts[1:]:
            drawn = drawn.and_those(part)
        measured = measure(self.claim, self.battery.matched, self.model.bridge, drawn.on(self.model.bridge))
        self.forwards += measured.forwards
        for k, number in enumerate(numbers):
            stored = self.stored.of(number)
            for name in sorted(stored.keys() | measured.values.keys()):
                then = float(stored.get(name, math.nan))
                now = float(measured.values[name][k]) if name in measured.values else math.nan
                allowed = self.tolerance * self._unit(name)
                if not abs(now - then) <= allowed:  # NaN differs from everything
                    yield Differs(number, name, then, now, allowed)
                    break

    def _draw(self, batch: int) -> Drawn:
        from lakatos.tools.experiment import EXPLORED, draw, needs_donors

        explored, key = batch == _EXPLORATION, f"{self.row.claim_hash}|{self.row.record['nonce']}"

        def seed(purpose: str) -> int:
            return (
                exploration_seed(self.run.seed, purpose) if explored else derive_seed(self.study.secret, key, purpose)
            )

        return draw(
            self.behaviour,
            self.controls,
            self.model.tokenizer,
            n=EXPLORED if explored else BATCH,
            skip=0 if explored else BATCH * batch,
            split="exploration" if explored else "confirmation",
            seeds=seed,
            donors=needs_donors(self.claim),
            family=None if explored else self.claim.family,
            unit="prompt" if explored else self.battery.unit,
        )

    def _unit(self, name: str) -> float:
        """What a measured number is a fraction of."""
        if name.startswith("attention."):
            return 1.0
        if name.startswith("control."):
            return max(gap for own, gap in self.battery.control_gaps.items() if name.startswith(f"control.{own}."))
        return self.battery.gap


class _Stored:
    """What the log says of a claim's prompts."""

    def __init__(self, store: Store, row: m.HypothesisRow) -> None:
        self._measured = {effect.id: effect.measured for effect in store.effects(row.id)}
        self._explored: dict[str, list[float]] = row.calibration["values"]

    def of(self, number: Number) -> dict[str, float]:
        if number.effect:
            return dict(self._measured[number.effect])
        return {name: column[number.place] for name, column in self._explored.items()}


def _numbers(store: Store, only: int | None) -> list[Number]:
    """Every prompt whose numbers can be measured again, in the order of the log."""
    drawn = sa.select(m.Batch.hypothesis_id, m.Batch.number, m.Effect.place, m.Effect.id).join(
        m.Batch, m.Batch.id == m.Effect.batch_id
    )
    tested = sa.select(m.HypothesisRow.id, m.HypothesisRow.calibration)
    if only is not None:
        drawn, tested = drawn.where(m.Batch.hypothesis_id == only), tested.where(m.HypothesisRow.id == only)
    found = [Number(*row) for row in store.rows_of(drawn.order_by(m.Effect.id))]
    for key, calibration in store.rows_of(tested.order_by(m.HypothesisRow.id)):
        found += [Number(key, _EXPLORATION, place, 0) for place in range(len(calibration["templates"]))]
    return found


def _confirmed(store: Store) -> list[int]:
    """Every confirmed claim, of every study."""
    studies = [Store(store.engine, row.name) for row in store.all(m.Study)]
    return [key for study in studies for key, judged in study.judgements().items() if judged.state == "confirmed"]


def how_many_of(asked: str, stored: int) -> int:
    """How many prompts "5%", "200" or "all" are of those stored.

    Raises:
        UserError: it is none of these.
    """
    if asked.strip().lower() == "all":
        return stored
    form = re.fullmatch(r"\s*(\d{1,9}(?:\.\d{1,9})?)\s*(%?)\s*", asked, re.ASCII)
    number = float(form[1]) if form else 0.0
    share = bool(form and form[2])
    if not 0 < number <= (100 if share else math.inf) or not (share or number.is_integer()):
        raise UserError(f"{asked!r} prompts cannot be measured again: say a share (5%), a number (200), or all.")
    return min(stored, math.ceil(number / 100 * stored) if share else int(number))


def _chosen(numbers: Sequence[Number], how_many: int, confirmed: Iterable[int], key: str) -> tuple[list[Number], int]:
    """Prompts to measure, and how many of them were drawn from all alike."""
    rng = random.Random(hashlib.sha256(f"lakatos audit {key}".encode()).hexdigest())
    drawn = rng.sample(range(len(numbers)), how_many)
    chosen = {numbers[k] for k in drawn}
    by_claim = defaultdict(list)
    for n in numbers:
        if n.batch != _EXPLORATION:
            by_claim[n.hypothesis].append(n)
    for claim in confirmed:
        tested = by_claim[claim]
        left = [n for n in tested if n not in chosen]
        wanting = FEW - (len(tested) - len(left))
        chosen |= set(rng.sample(left, max(0, min(wanting, len(left)))))
    return sorted(chosen), len(drawn)


def _tolerance(run: m.Run, device: str) -> float:
    return _ON_CPU if (run.environment.get("device"), device) == ("cpu", "cpu") else _ELSEWHERE


def _load(name: str, device: str) -> LoadedModel:
    from lakatos.tools.model import load_model

    return load_model(name, device=device)


def document(found: Remeasured) -> dict[str, Any]:
    """JSON-ready."""
    return {
        "audit_seed": found.seed,
        "stored": found.stored,
        "drawn": found.drawn,
        "measured": found.measured,
        "confirmed": {str(key): n for key, n in found.confirmed.items()},
        "forgeries_found_with_95_percent": found.detectable,
        "forwards": found.forwards,
        "not_measured": found.missing,
        "problems": found.problems,
    }
