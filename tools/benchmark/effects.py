"""What per-prompt effects look like, and what the e-value makes of them: are the assumptions of `statistics` met?

The rules of a test (clip range from 64 exploration prompts, one bet a prompt, a largest number of prompts) were chosen
on simulated effects. Here are the figures by which they can be judged on real ones, per component:

    shape       skewness and excess kurtosis (0 for a normal distribution, biased moments as in SciPy), and the
                largest |x| in sd
    templates   intraclass correlation: where it is clearly positive, prompts of a template are not independent
    clipping    the share of confirmation effects beyond the range that exploration fixed, and whether any lies below
                it: a loss that the e-value does not see
    drift       how far the mean moves from exploration to confirmation, in sd of exploration: selection and other
                templates together
    evidence    the e-value of "mean > a tenth of the gap", and whether it would be confirmed

An effect is metric(patched) - metric(corrupted) of denoising, in the metric's units, times the sign of its mean over
exploration: positive means as explored. Where no effect can be real, the same gives the share of false confirmations.
Pure functions of arrays; `survey.py` measures.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lakatos.tools.evidence import gaps
from lakatos.tools.statistics import (
    BATCH,
    MAX_CLIP_RATE,
    clip,
    clip_report,
    e_path,
    intraclass_correlation,
    scale,
    standardised_effect,
)

Floats = NDArray[np.float64]
Group = Literal["strongest", "random", "weakest"]

GROUPS: Final[tuple[Group, ...]] = ("strongest", "random", "weakest")
FRACTION: Final = 0.1  # of the gap: the smallest effect of interest
ENOUGH: Final = 20.0  # the e-value that confirms a single claim at alpha = .05
ENOUGH_LATE: Final = 4000.0  # ... a claim in a slot of weight 1/200
_QUANTILES: Final = (0.05, 0.5, 0.95)


@dataclass(frozen=True)
class Measured:
    """Raw denoising effects of some components of one model on one behaviour, in the metric's units."""

    behaviour: str
    components: tuple[str, ...]
    groups: tuple[Group, ...]  # why each was taken
    explored: Floats  # [component, exploration pair]
    confirmed: Floats  # [component, confirmation pair], in the order drawn
    clean: Floats  # [exploration pair] the metric
    corrupted: Floats  # [exploration pair] ... on the corrupted run
    templates_explored: tuple[str, ...]
    templates_confirmed: tuple[str, ...]

    @property
    def gap(self) -> float:
        """The clean-corrupted gap as tests use it. ValueError where the metric is the same on every prompt."""
        return gaps({"clean": self.clean, "corrupted": self.corrupted}, {})[0]


@dataclass(frozen=True)
class Row:
    """One component's effects, oriented as explored; nan where a figure is not defined (effects without variance)."""

    component: str
    group: Group
    direction: Literal["supports", "opposes"]  # of the mean over exploration
    mean_explored: float  # metric units
    sd_explored: float
    mean: float  # these and the following: over confirmation
    sd: float
    skewness: float
    kurtosis: float  # excess
    largest: float  # max |x| / sd
    icc_explored: float
    icc: float
    clip_rate: float
    below: bool  # whether an effect lies below the clip range
    drift: float  # (mean - mean_explored) / sd_explored
    d_explored: float  # (mean - delta) / sd with delta = FRACTION of the gap
    d: float
    e: float  # of "mean > delta", after all pairs
    confirmed: bool  # whether it reaches ENOUGH at any look
    confirmed_late: bool  # ... ENOUGH_LATE


def describe(measured: Measured) -> list[Row]:
    """A row for each component. ValueError for fewer than 64 exploration pairs, or values that are not finite."""
    delta = FRACTION * measured.gap
    rows = []
    for component, group, explored, confirmed in zip(
        measured.components, measured.groups, measured.explored, measured.confirmed, strict=True
    ):
        sign = -1.0 if explored.mean() < 0 else 1.0
        before, x = sign * explored, sign * confirmed
        s = scale(before, margin=delta)
        e = e_at_looks(x, s, delta)
        sd_before, sd = float(before.std(ddof=1)), float(x.std(ddof=1))
        rows.append(
            Row(
                component=component,
                group=group,
                direction="supports" if sign > 0 else "opposes",
                mean_explored=float(before.mean()),
                sd_explored=sd_before,
                mean=float(x.mean()),
                sd=sd,
                skewness=skewness(x),
                kurtosis=excess_kurtosis(x),
                largest=_ratio(float(np.abs(x).max()), sd),
                icc_explored=intraclass_correlation(before, measured.templates_explored),
                icc=intraclass_correlation(x, measured.templates_confirmed),
                clip_rate=clip_report(x, s).rate,
                below=bool((x < -s).any()),
                drift=_ratio(float(x.mean() - before.mean()), sd_before),
                d_explored=standardised_effect(before, delta),
                d=standardised_effect(x, delta),
                e=float(e[-1]),
                confirmed=bool((e >= ENOUGH).any()),
                confirmed_late=bool((e >= ENOUGH_LATE).any()),
            )
        )
    return rows


def skewness(x: ArrayLike) -> float:
    """m3 / m2^1.5 of x [n], without unit, positive for a long upper tail; nan for effects without variance."""
    return _moment(x, 3)


def excess_kurtosis(x: ArrayLike) -> float:
    """m4 / m2^2 - 3 of x [n], without unit: 0 for a normal distribution; nan for effects without variance."""
    return _moment(x, 4) - 3


def e_at_looks(x: ArrayLike, s: float, delta: float) -> Floats:
    """The e-value of "mean of x > delta" after each batch of prompts, [look]; the last may be incomplete.

    Args:
        x: effects, [n], oriented, n > 0.
        s: the clip range, fixed without x. |delta| < s; both in x's units.
    """
    path = e_path(clip(x, s), delta / s)
    return path[[*range(BATCH - 1, len(path) - 1, BATCH), len(path) - 1]]


def false_positives(measured: Measured) -> dict[str, int]:
    """How many components are confirmed at any look where none should be.

    Returns:
        components: how many there are. supports, opposes: with E >= ENOUGH for "the mean is positive", "negative".
        beyond: for "the mean exceeds FRACTION of the gap" in the explored direction.
    """
    counts = {"components": len(measured.components), "supports": 0, "opposes": 0, "beyond": 0}
    delta = FRACTION * measured.gap
    for explored, confirmed in zip(measured.explored, measured.confirmed, strict=True):
        s = scale(explored)
        counts["supports"] += bool((e_at_looks(confirmed, s, 0.0) >= ENOUGH).any())
        counts["opposes"] += bool((e_at_looks(-confirmed, s, 0.0) >= ENOUGH).any())
        sign = -1.0 if explored.mean() < 0 else 1.0
        beyond = e_at_looks(sign * confirmed, scale(explored, margin=delta), delta)
        counts["beyond"] += bool((beyond >= ENOUGH).any())
    return counts


def shuffled(measured: Measured, seed: int) -> Measured:
    """The same with answer and wrong swapped on a random half of the pairs, so that every mean effect is zero.

    For a metric that changes sign when the two are swapped, as the logit difference does: then so does its effect, and
    nothing has to be measured again.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    before, after = (rng.choice([-1.0, 1.0], size=x.shape[1]) for x in (measured.explored, measured.confirmed))
    return replace(
        measured,
        explored=measured.explored * before,
        confirmed=measured.confirmed * after,
        clean=measured.clean * before,
        corrupted=measured.corrupted * before,
    )


def add_counts(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    """Counts of the same names, summed by name."""
    total: dict[str, int] = {}
    for one in counts:
        for name, count in one.items():
            total[name] = total.get(name, 0) + count
    return total


def summarise(rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """By group, and for "all": of every figure [5 %, median, 95 %] over the components, of every yes or no the share.

    Undefined figures are left out; None where none is defined.
    """
    chosen = {"all": list(rows)} | {group: [row for row in rows if row.group == group] for group in GROUPS}
    return {name: _summary(members) for name, members in chosen.items() if members}


def _summary(rows: Sequence[Row]) -> dict[str, Any]:
    real = [row for row in rows if row.confirmed]
    found: dict[str, Any] = {"components": len(rows)}
    for name, value in asdict(rows[0]).items():
        values = [getattr(row, name) for row in rows]
        if isinstance(value, bool):
            found[name] = float(np.mean(values))
        elif isinstance(value, float):
            finite = [v for v in values if np.isfinite(v)]
            found[name] = [float(q) for q in np.quantile(finite, _QUANTILES)] if finite else None
    found["clipped_often"] = float(np.mean([row.clip_rate > MAX_CLIP_RATE for row in rows]))
    for limit in (0.1, 0.2):
        found[f"confirmed_with_icc_above_{limit}"] = sum(row.icc > limit for row in real)
    return found


def _moment(x: ArrayLike, order: int) -> float:
    values = np.asarray(x, dtype=np.float64)
    centred = values - values.mean()
    variance = float((centred**2).mean())
    return _ratio(float((centred**order).mean()), variance ** (order / 2))


def _ratio(over: float, under: float) -> float:
    return over / under if under > 0 else float("nan")
