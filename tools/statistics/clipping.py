"""The scale of effects, clipping to it, and what clipping did."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from lakatos.tools.statistics.constants import MAX_CLIP_RATE, MIN_EXPLORATION
from lakatos.tools.statistics.inputs import Floats, all_finite, checked_effects

_TINY: Final = float(np.finfo(np.float64).tiny)


class ClipReport(NamedTuple):
    """What clipping at +-s did to the confirmation effects."""

    rate: float  # share of prompts with |x| > s
    raw_mean: float  # mean of x, raw units
    clipped_mean: float  # mean of the clipped x, raw units: the quantity the e-value speaks of
    flagged: bool  # rate above 2 %, or the two means differ in sign, or an effect below -s was cut off


def scale(x: ArrayLike, margin: float = 0.0) -> float:
    """The clip range s = max(3 sd, 1.1 max|x|), fixed at registration from exploration effects.

    Args:
        x: effects of at least 64 exploration prompts, [n], raw units. sd is the sample sd (ddof 1).
        margin: |delta| in raw units. s is at least twice it, so that d' = delta / s stays within [-.5, .5].
            The default leaves the rule alone; it matters for equivalence claims about nearly constant
            effects, where s could fall below the margin. Any s that was fixed before the confirmation data is
            valid.

    Returns:
        s > 0, raw units. Where every exploration effect is zero (or below the normal float range) and no
        margin is given, s is 1.0 raw unit: c_i = 0 throughout, so that E_n stays at 1 for delta = 0 and falls
        for delta > 0. A constant zero effect never confirms a claim with delta >= 0, and nothing is divided
        by zero.

    Raises:
        ValueError: fewer than 64 values, a value that is not finite, or a negative margin.
    """
    values = checked_effects(x)
    if values.size < MIN_EXPLORATION:
        raise ValueError(f"the scale needs at least {MIN_EXPLORATION} exploration effects, got {values.size}")
    if not (math.isfinite(margin) and margin >= 0):
        raise ValueError(f"margin must be finite and >= 0, got {margin}")
    s = max(3 * float(values.std(ddof=1)), 1.1 * float(np.abs(values).max()))
    if not math.isfinite(s):
        raise ValueError("the exploration effects are too large for a finite scale")
    if s < _TINY:
        s = 0.0 if margin > 0 else 1.0
    return max(s, 2 * margin)


def clip(x: ArrayLike, s: float) -> Floats:
    """c = clip(x / s, -1, 1): same shape as x, without unit, larger for larger effects.

    ValueError if s is not positive and finite, or x is not finite.
    """
    if not (math.isfinite(s) and s > 0):
        raise ValueError(f"the scale must be positive and finite, got {s}")
    values = all_finite(x)
    return np.clip(values, -s, s) / s


def clip_report(x: ArrayLike, s: float) -> ClipReport:
    """How much of the effects x [n] (raw units) lies beyond +-s, and what clipping does to their mean.

    ValueError for no effects, or values that are not finite.
    """
    values = checked_effects(x)
    if values.size == 0:
        raise ValueError("a clip report needs at least one effect")
    rate = float((np.abs(values) > s).mean())
    raw, clipped = float(values.mean()), s * float(clip(values, s).mean())
    hidden_loss = bool((values < -s).any())
    flagged = rate > MAX_CLIP_RATE or bool(np.sign(raw) != np.sign(clipped)) or hidden_loss
    return ClipReport(rate, raw, clipped, flagged)
