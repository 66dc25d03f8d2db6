"""Student's t-test of one mean, as people report it: for comparison alone, no verdict rests on it.

The p-value is the regularised incomplete beta function, P(|T| >= |t|) = I_x(df/2, 1/2) with x = df / (df + t^2), by its
continued fraction (Lentz's method; Abramowitz & Stegun 26.5.8 and 26.7.1).
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

LARGEST: Final = sys.float_info.max  # what an infinite t is reported as: JSON has no infinity
_TINY = 1e-300
_TERMS = 10_000


def t_statistic(x: ArrayLike) -> float:
    """mean / (sd / sqrt(n)) of effects x [n], sd with ddof 1, signed. Equal effects give 0 or +-`LARGEST`.

    Raises:
        ValueError: fewer than two effects, or one that is not finite.
    """
    values = np.asarray(x, dtype=np.float64)
    if values.ndim != 1 or values.size < 2 or not np.isfinite(values).all():
        raise ValueError("a t-test needs two finite effects or more")
    mean = float(values.mean())
    if np.ptp(values) == 0:
        return math.copysign(LARGEST, mean) if mean else 0.0
    return mean / (float(values.std(ddof=1)) / math.sqrt(values.size))


def two_sided_p(t: float, df: int) -> float:
    """P(|T| >= |t|) for Student's t with df degrees of freedom.

    Raises:
        ValueError: df < 1, or t is NaN.
    """
    if df < 1 or math.isnan(t):
        raise ValueError(f"t = {t} with {df} degrees of freedom has no p-value")
    ratio = abs(t) / math.sqrt(df)
    if ratio > 1e150:
        return 0.0
    return incomplete_beta(1 / (1 + ratio * ratio), df / 2, 0.5)


def incomplete_beta(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b), 0 <= x <= 1, a, b > 0."""
    if x <= 0 or x >= 1:
        return float(x > 0)
    if x > (a + 1) / (a + b + 2):  # the fraction converges fast on the other side
        return 1 - incomplete_beta(1 - x, b, a)
    scale = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(scale) * _fraction(x, a, b) / a


def _fraction(x: float, a: float, b: float) -> float:
    """1 / (1 + d1 / (1 + d2 / (1 + ...))), by Lentz's method."""
    c, d, found = 1.0, 1.0, 1.0
    for number, coefficient in enumerate(_coefficients(x, a, b)):
        d = 1 / _off_zero(1 + coefficient * d)
        c = _off_zero(1 + coefficient / c) if number else 1.0
        found *= c * d
        if abs(c * d - 1) < 1e-15:
            return found
    raise AssertionError("the continued fraction of the incomplete beta function did not converge")


def _coefficients(x: float, a: float, b: float) -> Iterator[float]:
    """d1, d2, ..."""
    for m in range(_TERMS):
        if m:
            yield m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        yield -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))


def _off_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
