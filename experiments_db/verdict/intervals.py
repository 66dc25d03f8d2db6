"""Intervals of confirmed claims, adjusted for the claims having been selected."""

from __future__ import annotations

from collections.abc import Iterable

from lakatos.experiments_db.verdict.slots import Interval, Judgement
from lakatos.tools.claim import AnyClaim
from lakatos.tools.evidence import Battery, Data, parts_of
from lakatos.tools.statistics import confidence_interval


def selected_level(judged: Iterable[Judgement], alpha: float) -> float:
    """The confidence level of confirmed claims' intervals: 1 - alpha |confirmed| / |registered|.

    So the expected share of confirmed claims whose interval misses its mean is at most alpha, under any dependence,
    where the number of claims is not chosen by how they come out
    (Benjamini & Yekutieli 2005; for e-processes inverted: Xu, Wang & Ramdas 2024, "Post-selection inference for
    e-value based confidence intervals").

    Args:
        judged: every registered hypothesis of the study.
    """
    confirmed = [judgement.state == "confirmed" for judgement in judged]
    return 1 - alpha * sum(confirmed) / max(len(confirmed), 1)


def interval(claim: AnyClaim, battery: Battery, data: Data, level: float) -> Interval:
    """The interval of a claim's main effect, in the raw units of its first line."""
    effect = parts_of(claim, battery, data.by(battery.unit).values)[0].effect
    low, high = confidence_interval(effect, battery.lines[0].scale, level)
    return Interval(low, high, level)
