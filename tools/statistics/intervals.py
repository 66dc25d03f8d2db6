"""Confidence intervals for the mean of clipped effects: what the bets do not refute."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from lakatos.tools.statistics.betting import STAKES
from lakatos.tools.statistics.clipping import clip
from lakatos.tools.statistics.inputs import Floats, checked_effects


def confidence_interval(x: ArrayLike, s: float, level: float = 0.95) -> tuple[float, float]:
    """Interval for the mean of the clipped effect, in raw units: the e-process inverted, both sides.

    low is the largest delta whose null is rejected at alpha/2 = (1 - level)/2, E_n(delta) >= 2/alpha; high is
    the same on the mirrored effects. As the e-process may be looked at after every prompt, so may the
    interval: it covers at all n at once with probability >= level.

    The bound is unique because E_n decreases in d: every factor is

        1 + f (c - d)/(1 + d)  =  (1 - f) + f (1 + c)/(1 + d),    and 1 + c >= 0.

    The interval holds the clipped mean: at d = mean(c), by the inequality of arithmetic and geometric means,
    every product is at most (1 + f mean(c - d)/(1 + d))^n = 1, below 2/alpha. So log E_n is bisected between
    -1 and mean(c) down to neighbouring floats, and the endpoint returned is the rejected one: the interval is
    never too short.

    Args:
        x: effects, [n], raw units; clipped here at +-s.
        s: the scale from `scale`, raw units.
        level: two-sided, in (0, 1).

    Returns:
        (low, high), -s <= low <= clipped mean <= high <= s; -s or s where that side excludes nothing.

    Raises:
        ValueError: a value that is not finite, s not positive, level outside (0, 1).
    """
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level}")
    c = clip(checked_effects(x), s)
    needed = math.log(2 / (1 - level))
    return s * _lower_bound(c, needed), -s * _lower_bound(-c, needed)


def _lower_bound(c: Floats, needed: float) -> float:
    """The largest d with log E_n(d) >= needed, to the last float; -1.0 if there is none."""
    low, high = -1.0, float(c.mean()) if c.size else -1.0
    count = math.log(STAKES.size)
    while low < (middle := (low + high) / 2) < high:
        capital = np.log1p(STAKES[:, None] * ((c - middle) / (1 + middle))).sum(axis=1)
        best = capital.max()
        if best + math.log(np.exp(capital - best).sum()) - count >= needed:
            low = middle
        else:
            high = middle
    return low
