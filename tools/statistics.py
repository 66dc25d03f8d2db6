"""From per-prompt effects to an e-value, a p-value and an interval: the betting test of one registered mean.

An effect X_i is measured once per prompt pair, in raw metric units, and oriented by the registered direction,
so that every claim reads "the mean effect exceeds delta". The effects are divided by a scale s fixed from
exploration data and clipped, c_i = clip(X_i / s, -1, 1); with d' = delta / s the null is E[c] <= d', and

    E_n = mean over the stakes f of prod_{i<=n} (1 + f/(1+d') (c_i - d'))

is the capital of a gambler who starts with 1 and bets against the null. Under the null every factor is
nonnegative with expectation at most 1, so E_n is a nonnegative supermartingale: by Ville's inequality the
probability that it ever reaches 1/alpha is at most alpha, however often one looks (Waudby-Smith & Ramdas,
"Estimating means of bounded random variables by betting", JRSS-B 2024). Large E is evidence for "mean >
delta"; small E is no evidence for the opposite, which is a claim of its own on the mirrored effects.

What it does not show. It speaks of the mean of the *clipped* effect, over prompts drawn after registration,
each bet on once, independent at the level of the betting unit. A rare large opposite effect that exploration
never met is clipped away: -10 on 1 % of prompts against +.1 on the rest has mean 0, is confirmed half of the
time, and `clip_report` can only flag those in which such a prompt turned up. `intraclass_correlation` says when
independence is in doubt.
`sign_flip_p` and `standardised_effect` are reported beside it and decide nothing.

Everything here is a pure function of arrays, in float64; the cost is 12 logarithms per prompt.
"""

from __future__ import annotations

import math
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
StopReason = Literal["success", "futility", "exhausted"]

FRACTIONS: Final = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99)
BATCH: Final = 16
MIN_EXPLORATION: Final = 64
MIN_FOR_FUTILITY: Final = 64
FUTILE_BELOW: Final = 0.2
PER_TEMPLATE: Final = 2  # prompts whose mean is one bet, where templates are the unit
TEMPLATES_DIFFER: Final = 0.1  # intraclass correlation on exploration pairs from which on templates are the unit
ENOUGH_TEMPLATES: Final = 64  # ... if there are so many: fewer bets confirm hardly anything (docs/evidence.md)
MAX_CLIP_RATE: Final = 0.02

_STAKES: Final = np.array(FRACTIONS)
_LOG_MAX: Final = math.log(np.finfo(np.float64).max)
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
    values = _effects(x)
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
    values = _finite(x)
    return np.clip(values, -s, s) / s


def log_e_path(c: ArrayLike, delta: ArrayLike) -> Floats:
    """log E_1 .. log E_n, also where E leaves the float range. Arguments and errors as in `e_path`."""
    scores, threshold = _scores(c, delta)
    gain = (scores - threshold) / (1 + threshold)
    capital = np.cumsum(np.log1p(_STAKES[:, None] * gain[..., None, :]), axis=-1)
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
    shifted = _effects(x) - delta
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
    c = clip(_effects(x), s)
    needed = math.log(2 / (1 - level))
    return s * _lower_bound(c, needed), -s * _lower_bound(-c, needed)


def clip_report(x: ArrayLike, s: float) -> ClipReport:
    """How much of the effects x [n] (raw units) lies beyond +-s, and what clipping does to their mean.

    ValueError for no effects, or values that are not finite.
    """
    values = _effects(x)
    if values.size == 0:
        raise ValueError("a clip report needs at least one effect")
    rate = float((np.abs(values) > s).mean())
    raw, clipped = float(values.mean()), s * float(clip(values, s).mean())
    hidden_loss = bool((values < -s).any())
    flagged = rate > MAX_CLIP_RATE or bool(np.sign(raw) != np.sign(clipped)) or hidden_loss
    return ClipReport(rate, raw, clipped, flagged)


def standardised_effect(x: ArrayLike, delta: float) -> float:
    """(mean - delta) / sd of the effects x [n], ddof 1, unclipped, without unit: what `sample_size` takes.

    nan for fewer than two effects. Constant effects give 0.0 where they equal delta, else +-inf.
    """
    values = _effects(x)
    if values.size < 2:
        return math.nan
    excess, sd = float(values.mean()) - delta, float(values.std(ddof=1))
    if sd > 0:
        return excess / sd
    return 0.0 if excess == 0 else math.copysign(math.inf, excess)


def sample_size(d: float, cap: int | None = None) -> int:
    """Largest number of prompts for a predicted standardised effect d: max(64, 16 ceil(32 / d^2 / 16)).

    Args:
        d: predicted (mean - delta) / sd, > 0.
        cap: upper limit set by the user, at least one batch (16); rounded down to whole batches.

    Raises:
        ValueError: d not positive, or cap below one batch. A d below 1e-6 counts as 1e-6.
    """
    if not d > 0:
        raise ValueError(f"the predicted standardised effect must be positive, got {d}")
    if cap is not None and cap < BATCH:
        raise ValueError(f"the cap must be at least one batch ({BATCH}), got {cap}")
    wanted = max(MIN_EXPLORATION, BATCH * math.ceil(32 / max(d, 1e-6) ** 2 / BATCH))
    return wanted if cap is None else min(wanted, cap // BATCH * BATCH)


def stop_reason(e: float, n: int, n_max: int, threshold: float) -> StopReason | None:
    """The registered stopping rule, asked after each batch; None means: draw another.

    Args:
        e: E_n so far (of several lines: the minimum).
        n: prompts so far.
        n_max: the registered maximum.
        threshold: the e-value that confirms this slot whatever the others do
            (`lakatos.tools.multiplicity.success_threshold`).

    Returns:
        "success" at e >= threshold; else "futility" at e < .2 with n >= 64; else "exhausted" at n >= n_max.
        Stopping at any time keeps E valid (optional stopping); the rule only spends prompts well.

    Raises:
        ValueError: e is NaN or negative.
    """
    if not e >= 0:
        raise ValueError(f"an e-value is a nonnegative number, got {e}")
    if e >= threshold:
        return "success"
    if e < FUTILE_BELOW and n >= MIN_FOR_FUTILITY:
        return "futility"
    return "exhausted" if n >= n_max else None


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
    values, labels = _effects(x), np.asarray(groups)
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


def _lower_bound(c: Floats, needed: float) -> float:
    """The largest d with log E_n(d) >= needed, to the last float; -1.0 if there is none."""
    low, high = -1.0, float(c.mean()) if c.size else -1.0
    count = math.log(_STAKES.size)
    while low < (middle := (low + high) / 2) < high:
        capital = np.log1p(_STAKES[:, None] * ((c - middle) / (1 + middle))).sum(axis=1)
        best = capital.max()
        if best + math.log(np.exp(capital - best).sum()) - count >= needed:
            low = middle
        else:
            high = middle
    return low


def _finite(x: ArrayLike) -> Floats:
    values = np.asarray(x, dtype=np.float64)
    bad = ~np.isfinite(values)
    if bad.any():
        raise ValueError(f"effect {_first(bad)} is {values[bad][0]}, not a finite number")
    return values


def _first(bad: NDArray[np.bool_]) -> int | tuple[int, ...]:
    index = tuple(int(i) for i in np.argwhere(bad)[0])
    return index[0] if len(index) == 1 else index


def _effects(x: ArrayLike) -> Floats:
    values = _finite(x)
    if values.ndim != 1:
        raise ValueError(f"effects are one number per prompt, [n]; got shape {values.shape}")
    return values


def _scores(c: ArrayLike, delta: ArrayLike) -> tuple[Floats, Floats]:
    scores, threshold = np.asarray(c, dtype=np.float64), np.asarray(delta, dtype=np.float64)
    if scores.ndim == 0:
        raise ValueError("scores are an array, [n] or [..., n]")
    bad = ~(np.abs(scores) <= 1)
    if bad.any():
        raise ValueError(f"score {_first(bad)} is {scores[bad][0]}, not within [-1, 1]")
    if not (np.abs(threshold) < 1).all():
        raise ValueError(f"delta must lie strictly between -1 and 1 on the clipped scale, got {threshold}")
    return scores, threshold[..., None] if threshold.ndim else threshold
