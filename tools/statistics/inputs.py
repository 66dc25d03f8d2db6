"""Effects and scores as they come in: checked."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def all_finite(x: ArrayLike) -> Floats:
    values = np.asarray(x, dtype=np.float64)
    bad = ~np.isfinite(values)
    if bad.any():
        raise ValueError(f"effect {_first(bad)} is {values[bad][0]}, not a finite number")
    return values


def _first(bad: NDArray[np.bool_]) -> int | tuple[int, ...]:
    index = tuple(int(i) for i in np.argwhere(bad)[0])
    return index[0] if len(index) == 1 else index


def checked_effects(x: ArrayLike) -> Floats:
    values = all_finite(x)
    if values.ndim != 1:
        raise ValueError(f"effects are one number per prompt, [n]; got shape {values.shape}")
    return values


def checked_scores(c: ArrayLike, delta: ArrayLike) -> tuple[Floats, Floats]:
    scores, threshold = np.asarray(c, dtype=np.float64), np.asarray(delta, dtype=np.float64)
    if scores.ndim == 0:
        raise ValueError("scores are an array, [n] or [..., n]")
    bad = ~(np.abs(scores) <= 1)
    if bad.any():
        raise ValueError(f"score {_first(bad)} is {scores[bad][0]}, not within [-1, 1]")
    if not (np.abs(threshold) < 1).all():
        raise ValueError(f"delta must lie strictly between -1 and 1 on the clipped scale, got {threshold}")
    return scores, threshold[..., None] if threshold.ndim else threshold
