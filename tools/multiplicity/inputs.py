"""E-values and p-values as they come in: checked, and what several methods do with them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def step_up(p: Floats, thresholds: Floats) -> Bools:
    ordered = np.sort(p)
    k = last_true(ordered <= thresholds)
    return p <= ordered[k - 1] if k else np.zeros(p.size, dtype=np.bool_)


def last_true(passed: Bools) -> int:
    """One-based index of the last True; 0 if there is none."""
    found = np.flatnonzero(passed)
    return int(found[-1]) + 1 if found.size else 0


def check_alpha(alpha: float) -> None:
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie strictly between 0 and 1, got {alpha}")


def checked_e(e: ArrayLike) -> Floats:
    values = np.asarray(e, dtype=np.float64)
    if values.ndim != 1 or not (values >= 0).all():
        raise ValueError("e-values are an array [m] of nonnegative numbers (inf allowed, NaN not)")
    return values


def checked_p(p: ArrayLike, alpha: float = 0.5) -> Floats:
    check_alpha(alpha)
    values = np.asarray(p, dtype=np.float64)
    if values.ndim != 1 or not ((values >= 0) & (values <= 1)).all():
        raise ValueError("p-values are an array [m] of numbers within [0, 1]")
    return values
