"""Was it measured? Stored prompts are drawn at random, run through the model again, and compared.

Everything else in a log can be derived from its rows; the numbers of prompts cannot. Whoever writes a log could invent
them, with every e-value and every hash to match, and only measuring again finds that. So an auditor draws prompts, with
a seed that the log's author could not know, of all tests, of the exploration behind their constants, and of re-runs;
at least `FEW` of every confirmed claim. Model and log are enough: prompts, donors and control texts follow from seeds.

Tolerance. The same model on another machine gives other last digits. Numbers differ where they are further apart than

    1e-3    where both were measured on a CPU
    1e-2    where either was not

of what they are fractions of: the claim's gap, a control's own, or 1 for attention. A smallest effect of interest is a
tenth of the gap. So a number that was bent by less than the tolerance is not found, and moves an effect by no more.

What it does not show: that attributions and everything else that is only told were measured (a seal holds what they
are, see `seal.py`), and that a crash was one.
"""

from __future__ import annotations

import hashlib
import math
import random
import re
import secrets
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from lakatos.experiments_db.audit.measured import Differs, Number, Source, numbers_of
from lakatos.experiments_db.log import Rerun, Run
from lakatos.experiments_db.store import Store
from lakatos.tools.errors import UserError

if TYPE_CHECKING:
    from lakatos.tools.model import LoadedModel

FEW = 4  # confirmation prompts of every confirmed claim, at least
SURE = 0.95
_ON_CPU, _ELSEWHERE = 1e-3, 1e-2  # tolerances, see the module's head

Progress = Callable[[int, int], None]
Load = Callable[[str], "LoadedModel"]


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
    numbers = numbers_of(store, only)
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
        confirmed={i: sum(n.hypothesis == i and n.tests for n in chosen) for i in confirmed},
    )
    together = defaultdict(list)
    for number in chosen:
        together[number.source].append(number)
    models = _Models(device, model, load)
    for place, own in sorted(together.items()):
        progress(found.measured, len(chosen))
        try:
            source = Source(store, place)
            loaded = models.of(source.measured_by)
            if loaded is None:
                found.missing[source.measured_by.model] = models.why[source.measured_by.weights]
                continue
            found.differ += source.compare(own, loaded, _tolerance(source.measured_by, device))
            found.forwards += source.forwards
        except (UserError, ArithmeticError, LookupError, ValueError) as error:
            found.unreadable.append(
                f"{own[0]}: cannot be measured again, nor what was measured with it ({type(error).__name__}: {error})"
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

    def of(self, told: Run | Rerun) -> LoadedModel | None:
        """The model that a row says was measured; None where it cannot be had, and `why` says why."""
        if told.weights in self.why:
            return None
        if self._loaded is not None and self._loaded[1].weight_hash == told.weights:
            return self._loaded[1]
        for name in filter(None, (self._named, told.model)):
            try:
                if self._loaded is None or self._loaded[0] != name:
                    self._loaded = name, self._load(name)
            except UserError as error:
                self.why[told.weights] = f"{told.model}: {error}"
                continue
            if self._loaded[1].weight_hash == told.weights:
                self.why.pop(told.weights, None)
                return self._loaded[1]
            self.why[told.weights] = f"{name} has other weights here than {told.__tablename__} row {told.id} measured."
        return None


def _confirmed(store: Store) -> list[int]:
    """Every confirmed claim, of every study."""
    return [
        key
        for study in store.every_study()
        for key, judged in study.judgements().items()
        if judged.state == "confirmed"
    ]


def how_many_of(asked: str, stored: int) -> int:
    """How many prompts "5%", "200" or "all" are of those stored.

    Raises:
        UserError: it is none of these.
    """
    if asked.strip().lower() == "all":
        return stored
    form = re.fullmatch(r"\s*(\d{1,9}(?:\.\d{1,9})?)\s*(%?)\s*", asked, re.ASCII)
    number = Fraction(form[1]) if form else Fraction(0)
    share = bool(form and form[2])
    if not 0 < number <= (100 if share else math.inf) or not (share or number.denominator == 1):
        raise UserError(f"{asked!r} prompts cannot be measured again: say a share (5%), a number (200), or all.")
    return min(stored, math.ceil(number * stored / 100) if share else int(number))


def _chosen(numbers: Sequence[Number], how_many: int, confirmed: Iterable[int], key: str) -> tuple[list[Number], int]:
    """Prompts to measure, and how many of them were drawn from all alike."""
    rng = random.Random(hashlib.sha256(f"lakatos audit {key}".encode()).hexdigest())
    drawn = rng.sample(range(len(numbers)), how_many)
    chosen = {numbers[k] for k in drawn}
    by_claim = defaultdict(list)
    for n in numbers:
        if n.tests:
            by_claim[n.hypothesis].append(n)
    for claim in confirmed:
        tested = by_claim[claim]
        left = [n for n in tested if n not in chosen]
        wanting = FEW - (len(tested) - len(left))
        chosen |= set(rng.sample(left, max(0, min(wanting, len(left)))))
    return sorted(chosen), len(drawn)


def _tolerance(told: Run | Rerun, device: str) -> float:
    return _ON_CPU if (told.environment.get("device"), device) == ("cpu", "cpu") else _ELSEWHERE


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
