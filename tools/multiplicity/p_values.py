"""Methods that work on p-values, all at once."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from lakatos.tools.multiplicity.inputs import Bools, Floats, checked_p, step_up

Adjustable = Literal["bh", "by", "holm", "bonferroni"]


def bh(p: ArrayLike, alpha: float) -> Bools:
    """Benjamini & Hochberg 1995: FDR <= alpha for independent or positively dependent p [m]."""
    values = checked_p(p, alpha)
    return step_up(values, np.arange(1, values.size + 1) / max(values.size, 1) * alpha)


def by(p: ArrayLike, alpha: float) -> Bools:
    """Benjamini & Yekutieli 2001: BH at alpha / (1 + 1/2 + .. + 1/m), p [m]: FDR <= alpha, any dependence."""
    values = checked_p(p, alpha)
    ranks = np.arange(1, values.size + 1)
    return step_up(values, ranks / max(values.size, 1) / max(float((1 / ranks).sum()), 1.0) * alpha)


def holm(p: ArrayLike, alpha: float) -> Bools:
    """Holm 1979: probability of any false confirmation <= alpha under any dependence, p [m]."""
    values = checked_p(p, alpha)
    order = np.argsort(values, kind="stable")
    passed = np.logical_and.accumulate(values[order] <= alpha / np.arange(values.size, 0, -1))
    rejected = np.zeros(values.size, dtype=np.bool_)
    rejected[order] = passed
    return rejected


def bonferroni(p: ArrayLike, alpha: float) -> Bools:
    """p <= alpha / m: probability of any false confirmation <= alpha under any dependence, p [m]."""
    values = checked_p(p, alpha)
    return values <= alpha / max(values.size, 1)


def adjusted_p(p: ArrayLike, method: Adjustable) -> Floats:
    """Adjusted p-values [m]: the smallest alpha at which `method` rejects each, at most 1, in the order of p.

    Methods: "bh", "by", "holm", "bonferroni". The online rules have none.

    Raises:
        ValueError: another method, NaN, or p outside [0, 1].
    """
    values = checked_p(p)
    m = values.size
    order = np.argsort(values, kind="stable")
    ranks = np.arange(1, m + 1)
    if method in ("bh", "by"):
        penalty = float((1 / ranks).sum()) if method == "by" else 1.0
        sequence = np.minimum.accumulate((values[order] * m * penalty / ranks)[::-1])[::-1]
    elif method == "holm":
        sequence = np.maximum.accumulate(values[order] * (m - ranks + 1))
    elif method == "bonferroni":
        sequence = values[order] * m
    else:
        raise ValueError(f"adjusted p-values exist for bh, by, holm and bonferroni, not for {method!r}")
    adjusted = np.empty(m)
    adjusted[order] = np.minimum(sequence, 1)
    return adjusted


def uncorrected(p: ArrayLike, alpha: float) -> Bools:
    """p <= alpha, [m]: what would have been believed without any correction. A view for comparison only."""
    return checked_p(p, alpha) <= alpha
