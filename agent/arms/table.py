"""What each arm came to: means over seeds, and how it differs from the first arm, seed by seed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from lakatos.agent.arms.running import Outcome

MEASURES: Final = ("confirmed", "groups", "explained", "missed", "registered", "forwards", "tokens", "money", "seconds")
_PAIRED: Final = ("confirmed", "groups", "explained")
# Student's t at 95 %, two-sided, by degrees of freedom; for more of them the normal's is near enough
_T: Final = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
)  # fmt: skip
_NORMAL: Final = 1.96


class Mean(NamedTuple):
    """A mean, such as that of how an arm differs from the first one with the same seeds."""

    mean: float
    low: float  # Student's interval at 95 %, not adjusted for the number of arms
    high: float


class Compared(NamedTuple):
    """An arm over its seeds."""

    arm: str
    seeds: int
    ended: dict[str, int]  # how its runs ended
    means: dict[str, float | None]  # of each measure; None where there is none
    beside: dict[str, Mean | None]  # of some measures, against the first arm; None with fewer than two seeds

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        beside = {name: None if d is None else d._asdict() for name, d in self.beside.items()}
        return {**self._asdict(), "beside": beside}


def compared(outcomes: Sequence[Outcome]) -> list[Compared]:
    """Each arm in the order in which it was named."""
    names = list(dict.fromkeys(own.arm for own in outcomes))
    by_arm = {name: {own.seed: own for own in outcomes if own.arm == name} for name in names}
    return [_compared(name, by_arm[name], by_arm[names[0]]) for name in names]


def _compared(name: str, own: dict[int, Outcome], first: dict[int, Outcome]) -> Compared:
    ended = [outcome.ended for outcome in own.values()]
    means = {measure: _mean([getattr(o, measure) for o in own.values()]) for measure in MEASURES}
    common = sorted(own.keys() & first.keys())
    beside = {
        measure: mean_of([getattr(own[s], measure) - getattr(first[s], measure) for s in common])
        for measure in _PAIRED
        if own is not first
    }
    return Compared(name, len(own), {status: ended.count(status) for status in dict.fromkeys(ended)}, means, beside)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def mean_of(values: Sequence[float]) -> Mean | None:
    """The mean and its interval; None of fewer than two values."""
    n = len(values)
    if n < 2:
        return None
    x = np.array(values, float)
    t = _T[n - 2] if n - 2 < len(_T) else _NORMAL
    half = t * float(x.std(ddof=1)) / math.sqrt(n)
    return Mean(float(x.mean()), float(x.mean()) - half, float(x.mean()) + half)
