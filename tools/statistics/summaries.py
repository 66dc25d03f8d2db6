"""What is reported beside the e-value and decides nothing: a p-value, a standardised effect, a correlation."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from lakatos.tools.statistics.inputs import checked_effects


def sign_flip_p(x: ArrayLike, delta: float, flips: int = 99_999, seed: int = 0) -> float:
    """One-sided sign-flip p-value for "the mean of x exceeds delta", in the +1 form (1 + hits) / (1 + flips).

    Assumes effects that are symmetric about delta under the null. Real effects often are not, so this is
    reported beside the e-value and never decides. It is valid for one look at one sample size only. A flipped
    sum that ties with the observed one, up to rounding, counts as a hit. Deterministic for a given seed
    (PCG64).

    Args:
        x: effects, [n], raw units. An empty array has p = 1.
        delta: null mean, raw units.
        flips: random sign vectors; the smallest possible p is 1 / (1 + flips).

    Raises:
        ValueError: a value that is not finite, or flips < 1.
    """
    if flips < 1:
        raise ValueError(f"flips must be at least 1, got {flips}")
    shifted = checked_effects(x) - delta
    groups = -(-shifted.size // 8)
    padded = np.zeros(8 * groups)
    padded[: shifted.size] = shifted
    # One byte of random bits holds the signs of eight prompts; its signed sum is looked up, not computed.
    signs = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1) * 2.0 - 1.0
    tables = padded.reshape(groups, 8) @ signs.T
    observed = float(shifted.sum()) - 1e-12 * float(np.abs(shifted).sum())

    rng = np.random.Generator(np.random.PCG64(seed))
    hits, chunk = 0, 16_384
    for start in range(0, flips, chunk):
        size = min(chunk, flips - start)
        total, added = np.zeros(size), np.empty(size)
        for table in tables:
            drawn = np.frombuffer(rng.bytes(size), dtype=np.uint8)
            total += np.take(table, drawn, out=added, mode="clip")  # clip: in place, and never needed
        hits += int((total >= observed).sum())
    return (1 + hits) / (1 + flips)


def standardised_effect(x: ArrayLike, delta: float) -> float:
    """(mean - delta) / sd of the effects x [n], ddof 1, unclipped, without unit: what `sample_size` takes.

    nan for fewer than two effects. Constant effects give 0.0 where they equal delta, else +-inf.
    """
    values = checked_effects(x)
    if values.size < 2:
        return math.nan
    excess, sd = float(values.mean()) - delta, float(values.std(ddof=1))
    if sd > 0:
        return excess / sd
    return 0.0 if excess == 0 else math.copysign(math.inf, excess)


def intraclass_correlation(x: ArrayLike, groups: ArrayLike) -> float:
    """ICC(1): the share of the variance of x that lies between groups (templates), one-way random effects.

    (MSB - MSW) / (MSB + (n0 - 1) MSW) with n0 = (N - sum n_g^2 / N) / (G - 1), the group size that makes the
    mean squares unbiased in unbalanced designs (Shrout & Fleiss 1979; Donner 1986). 1: prompts of a template
    repeat each other; 0 or below: templates do not matter. Where it is clearly positive, bet on template
    means.

    Args:
        x: effects, [n], any unit.
        groups: one label per effect, [n].

    Returns:
        The correlation, at most 1 and possibly negative; nan where it is not defined: fewer than two groups,
        no group with two members, or no variance at all.

    Raises:
        ValueError: unequal lengths, or a value that is not finite.
    """
    values, labels = checked_effects(x), np.asarray(groups)
    if labels.shape != values.shape:
        raise ValueError(f"one group per effect: got {values.size} effects and {labels.size} groups")
    if values.size == 0:
        return math.nan
    _, member, counts = np.unique(labels, return_inverse=True, return_counts=True)
    total, k = values.size, counts.size
    if k < 2 or k == total:
        return math.nan
    centred = values - values.mean()
    means = np.bincount(member, weights=centred) / counts
    between = float((counts * means**2).sum()) / (k - 1)
    within = float(((centred - means[member]) ** 2).sum()) / (total - k)
    size = (total - float((counts.astype(np.float64) ** 2).sum()) / total) / (k - 1)
    spread = between + (size - 1) * within
    return (between - within) / spread if spread > 0 else math.nan
