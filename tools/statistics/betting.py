"""E-values: the capital of a gambler who bets against the null."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from lakatos.tools.statistics.constants import FRACTIONS
from lakatos.tools.statistics.inputs import Floats, checked_scores

STAKES: Final = np.array(FRACTIONS)
_LOG_MAX: Final = math.log(np.finfo(np.float64).max)


def log_e_path(c: ArrayLike, delta: ArrayLike) -> Floats:
    """log E_1 .. log E_n, also where E leaves the float range. Arguments and errors as in `e_path`."""
    scores, threshold = checked_scores(c, delta)
    gain = (scores - threshold) / (1 + threshold)
    capital = np.cumsum(np.log1p(STAKES[:, None] * gain[..., None, :]), axis=-1)
    best = capital.max(axis=-2)
    path: Floats = best + np.log(np.exp(capital - best[..., None, :]).mean(axis=-2))
    return path


def e_path(c: ArrayLike, delta: ArrayLike) -> Floats:
    """The e-process after each prompt: evidence that the mean of c exceeds delta.

    E_n does not depend on the order of the prompts and is decreasing in delta. Computed in log space; values
    beyond the float range are returned as the largest float (about 1.8e308), never as inf.

    Args:
        c: scores in [-1, 1], [n] or [..., n] (one path per leading index), already clipped.
        delta: the null mean on the same (clipped) scale, -1 < delta < 1; a number, or one per leading index
            of c.

    Returns:
        E_1 .. E_n, same shape as c, each >= 0.

    Raises:
        ValueError: a score that is NaN or outside [-1, 1] (the message names its index), or delta outside
            (-1, 1).
    """
    return np.exp(np.minimum(log_e_path(c, delta), _LOG_MAX))


def e_value(c: ArrayLike, delta: float) -> float:
    """E_n after all scores c [n]; 1.0 (no evidence) for none. Arguments and errors as in `e_path`."""
    path = e_path(c, delta)
    return float(path[-1]) if path.size else 1.0


def combine(paths: ArrayLike) -> Floats:
    """One e-process for a claim of several lines, all of which must hold: the minimum over lines.

    The null of "all lines hold" is the union of the lines' nulls: at least one line's null is true, nobody
    knows which. Whichever it is, min <= that line's E, which is a supermartingale from 1; a process that is
    dominated by one under every distribution of the union is an e-process for the union (intersection-union
    test, Berger 1982). No correction for the number of lines is due.

    Args:
        paths: [lines, n], one e-process per line after the same prompts, or [lines] for the final values
            alone.

    Returns:
        [n], or a zero-dimensional array for [lines].

    Raises:
        ValueError: no line, a NaN or a negative value.
    """
    values = np.asarray(paths, dtype=np.float64)
    if values.ndim == 0 or values.shape[0] == 0:
        raise ValueError("a claim has at least one line")
    if np.isnan(values).any() or (values < 0).any():
        raise ValueError("e-values are nonnegative numbers")
    return np.asarray(values.min(axis=0))
