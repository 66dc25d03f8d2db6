"""Which of many hypotheses to believe: error control over everything that was ever tried.

Rows are hypotheses in the order of their registration; True means "confirmed" (its null is rejected). The
official verdicts come from `online_ebh` on frozen e-values with slot weights fixed in advance; its false
discovery rate, the expected share of nulls among the confirmed, is at most alpha at every look under any
dependence. All others are views over the same rows, recomputed on demand.

    works on e-values   online_ebh, e_bh          any dependence, anytime-valid inputs
    works on p-values   bh                        FDR, independent or positively dependent
                        by                        FDR, any dependence
                        holm, bonferroni          probability of any false one, any dependence
                        lord_plus_plus, saffron, addis, lond    online FDR, independent, in registered order

What they do not show: a p-value of a test that was stopped early or looked at repeatedly is not one, whatever
is applied to it; e-values of prompts that were used twice are not e-values.

Cost: a sort; the alpha-investing rules take one vector addition per rejection (m = 100,000, a fifth of them
rejected: well under a second).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Adjustable = Literal["bh", "by", "holm", "bonferroni"]

FIRST_BLOCK: Final = 100
_INVERSE_ZETA: Final = 0.437490165774474  # 1 / zeta(1.6): makes j^-1.6 sum to one


class OnlineResult(NamedTuple):
    """What an online rule decided, one entry per hypothesis."""

    rejected: Bools  # [m]
    levels: Floats  # [m] the level each p-value was compared with, fixed by the earlier ones


class Method(NamedTuple):
    """One entry of `METHODS`."""

    works_on: Literal["e", "p"]
    weighted: bool  # needs slot weights, and takes groups
    run: Callable[..., Bools]  # (e or p, [weights,] alpha[, groups]) -> bool[m]


def slot_weights(m: int) -> Floats:
    """The fixed weights of the first m slots, [m].

    Block k = 1, 2, .. holds 100 * 2^(k-1) slots that share total weight 2^-k equally. All of them sum to one,
    however many are ever used. A slot's weight never changes, so a study need not know its size.
    """
    if m < 0:
        raise ValueError(f"m must be >= 0, got {m}")
    block = np.frexp(np.arange(m) // FIRST_BLOCK + 1.0)[1]
    weights: Floats = np.ldexp(1 / FIRST_BLOCK, 1 - 2 * block)
    return weights


def success_threshold(weight: float, alpha: float) -> float:
    """1 / (alpha * weight): the e-value that confirms a slot whatever the others do."""
    _check_alpha(alpha)
    if not 0 < weight <= 1:
        raise ValueError(f"a slot weight lies in (0, 1], got {weight}")
    return 1 / (alpha * weight)


def online_ebh(e: ArrayLike, weights: ArrayLike, alpha: float, groups: ArrayLike | None = None) -> Bools:
    """Online e-BH: FDR <= alpha at every look, under any dependence; later slots never undo a confirmation.

        k* = max { k : #{ i : E_i >= 1 / (k alpha g_i) } >= k },    confirmed: those i at k*

    With groups, # counts the groups that have such an i. A confirmed null i then has 1 / k* <= alpha g_i E_i, whose
    expectation is at most alpha g_i; so the expected number of false confirmations over the number of confirmed
    *groups* is at most alpha, and with it the false discovery rate of groups as well as that of hypotheses. Without
    this, many wordings of one truth would lower the bar for everything else.

    With r_i = 1 / (alpha g_i E_i) this reads "k of the r_i are at most k", so k* comes from the sorted r
    (Wang & Ramdas, "False discovery rate control with e-values", JRSS-B 2022; Xu & Ramdas, "Online multiple
    testing with e-values", AISTATS 2024).

    Args:
        e: frozen e-values, [m], >= 0, inf allowed; 0 or any value so far for a slot that is not finished.
        weights: g_i > 0, [m], fixed before the data, summing to at most 1 (see `slot_weights`).
        alpha: in (0, 1).
        groups: a label for each hypothesis, [m]; fixed when it is registered. By default each is its own.

    Raises:
        ValueError: NaN, a negative e, unequal lengths, weights not positive or summing to more than 1, alpha
            outside.
    """
    rank_needed, counted, _ = _ranks(e, weights, alpha, groups)
    return rank_needed <= _last_true(np.sort(counted) <= np.arange(1, counted.size + 1))


def e_bh(e: ArrayLike, alpha: float) -> Bools:
    """e-BH for a family of fixed size m: confirm the k* largest, k* = max { k : k E_(k) >= m / alpha }.

    FDR <= alpha under any dependence (Wang & Ramdas 2022). e: [m], >= 0, inf allowed. ValueError as in
    `online_ebh`.
    """
    _check_alpha(alpha)
    values = _e_values(e)
    m = values.size
    descending = np.sort(values)[::-1]
    with np.errstate(over="ignore"):
        k = _last_true(np.arange(1, m + 1) * descending >= m / alpha)
    return values >= descending[k - 1] if k else np.zeros(m, dtype=np.bool_)


def bh(p: ArrayLike, alpha: float) -> Bools:
    """Benjamini & Hochberg 1995: FDR <= alpha for independent or positively dependent p [m]."""
    values = _p_values(p, alpha)
    return _step_up(values, np.arange(1, values.size + 1) / max(values.size, 1) * alpha)


def by(p: ArrayLike, alpha: float) -> Bools:
    """Benjamini & Yekutieli 2001: BH at alpha / (1 + 1/2 + .. + 1/m), p [m]: FDR <= alpha, any dependence."""
    values = _p_values(p, alpha)
    ranks = np.arange(1, values.size + 1)
    return _step_up(values, ranks / max(values.size, 1) / max(float((1 / ranks).sum()), 1.0) * alpha)


def holm(p: ArrayLike, alpha: float) -> Bools:
    """Holm 1979: probability of any false confirmation <= alpha under any dependence, p [m]."""
    values = _p_values(p, alpha)
    order = np.argsort(values, kind="stable")
    passed = np.logical_and.accumulate(values[order] <= alpha / np.arange(values.size, 0, -1))
    rejected = np.zeros(values.size, dtype=np.bool_)
    rejected[order] = passed
    return rejected


def bonferroni(p: ArrayLike, alpha: float) -> Bools:
    """p <= alpha / m: probability of any false confirmation <= alpha under any dependence, p [m]."""
    values = _p_values(p, alpha)
    return values <= alpha / max(values.size, 1)


def adjusted_p(p: ArrayLike, method: Adjustable) -> Floats:
    """Adjusted p-values [m]: the smallest alpha at which `method` rejects each, at most 1, in the order of p.

    Methods: "bh", "by", "holm", "bonferroni". The online rules have none.

    Raises:
        ValueError: another method, NaN, or p outside [0, 1].
    """
    values = _p_values(p)
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


def bars(e: ArrayLike, weights: ArrayLike, alpha: float, groups: ArrayLike | None = None) -> Floats:
    """The e-value from which on `online_ebh` would confirm each, the others being as they are, [m].

    Hypothesis i is confirmed where E_i >= 1 / (k alpha g_i), with k the k* that there would be if E_i were infinite: a
    smaller E_i that reaches this bar gives the same k*, one that does not gives none that would do. With all weights
    1/m it is the bar of `e_bh`. Arguments and errors as in `online_ebh`.
    """
    _, counted, member = _ranks(e, weights, alpha, groups)
    ordered, ranks = np.sort(counted), np.arange(1, counted.size + 1)
    reached = _last_true(ordered <= ranks)
    # beyond k*, a group that does not count at rank k lifts k* to it where it is the only one that lacks
    lacking_one = ranks[reached:][np.searchsorted(ordered, ranks[reached:], side="right") == ranks[reached:] - 1]
    own = np.concatenate(([reached], lacking_one))
    highest = own[np.maximum(np.searchsorted(own, counted, side="left") - 1, 0)]
    highest = np.where(counted <= reached, reached, highest)
    result: Floats = 1 / (alpha * np.asarray(weights, dtype=np.float64)) / highest[member]
    return result


def lord_plus_plus(
    p: ArrayLike, alpha: float, initial_wealth: float | None = None, gamma: ArrayLike | None = None
) -> OnlineResult:
    """LORD++: online FDR for independent p-values (Javanmard & Montanari 2018; Ramdas et al. 2017).

    level_t = w0 gamma_t + (alpha - w0) gamma_{t - tau_1} + alpha sum_{j >= 2} gamma_{t - tau_j}, where tau_j
    is the time of the j-th rejection: each discovery earns the tests after it a fresh sequence of levels.

    Args:
        p: [m], in registered order.
        alpha: in (0, 1).
        initial_wealth: w0 in [0, alpha]; default alpha / 10.
        gamma: [>= m], nonnegative, sum <= 1; default proportional to log(max(j, 2)) / (j exp(sqrt(log j))).

    Raises:
        ValueError: NaN, p outside [0, 1], a parameter outside its range, or gamma too short.
    """
    values = _p_values(p, alpha)
    wealth = _wealth(initial_wealth, alpha / 10, alpha)
    every = np.ones(values.size, dtype=np.bool_)
    return _invest(values, every, alpha, wealth, 1.0, 1.0, _gamma(gamma, values.size, _slow))


def saffron(
    p: ArrayLike,
    alpha: float,
    initial_wealth: float | None = None,
    lambda_: float = 0.5,
    gamma: ArrayLike | None = None,
) -> OnlineResult:
    """SAFFRON: LORD++ that spends on p > lambda only; online FDR, independent p (Ramdas et al. 2018).

    Candidates (p <= lambda) cost no wealth, so the clock of the level sequences stands still for them:

        level_t = min(lambda, (1 - lambda) W_t)
        W_t = w0 gamma_{1+N} + (alpha - w0) gamma_{1+N_1} + alpha sum gamma_{1+N_j}

    with N the non-candidates before t, N_j those since the j-th rejection, and the sum over j >= 2.

    Arguments and errors as in `lord_plus_plus`; initial_wealth defaults to alpha / 2, gamma to j^-1.6 /
    zeta(1.6); lambda_ lies in (0, 1).
    """
    values = _p_values(p, alpha)
    if not 0 < lambda_ < 1:
        raise ValueError(f"lambda must lie in (0, 1), got {lambda_}")
    wealth = _wealth(initial_wealth, alpha / 2, alpha)
    gammas = _gamma(gamma, values.size, _power)
    return _invest(values, values > lambda_, alpha, wealth, 1 - lambda_, lambda_, gammas)


def addis(
    p: ArrayLike,
    alpha: float,
    initial_wealth: float | None = None,
    lambda_: float = 0.25,
    tau: float = 0.5,
    gamma: ArrayLike | None = None,
) -> OnlineResult:
    """ADDIS (Tian & Ramdas 2019): SAFFRON that also discards conservative p > tau, online FDR, independent.

    As `saffron`, with the factor (tau - lambda) in place of (1 - lambda) and a clock that moves only for
    lambda < p <= tau. Needs 0 < lambda_ < tau <= 1.
    """
    values = _p_values(p, alpha)
    if not 0 < lambda_ < tau <= 1:
        raise ValueError(f"ADDIS needs 0 < lambda < tau <= 1, got lambda {lambda_} and tau {tau}")
    wealth = _wealth(initial_wealth, alpha / 2, alpha)
    ticks = (values > lambda_) & (values <= tau)
    return _invest(values, ticks, alpha, wealth, tau - lambda_, lambda_, _gamma(gamma, values.size, _power))


def lond(p: ArrayLike, alpha: float, gamma: ArrayLike | None = None) -> OnlineResult:
    """LOND: level_t = alpha gamma_t (1 + rejections before t) (Javanmard & Montanari 2015).

    Online FDR for independent p-values. Arguments and errors as in `lord_plus_plus`, same default gamma.
    """
    values = _p_values(p, alpha)
    base = alpha * _gamma(gamma, values.size, _slow)
    found = np.zeros(values.size)
    count = 0
    for t, (pt, level) in enumerate(zip(values.tolist(), base.tolist(), strict=True)):
        found[t] = count
        count += pt <= level * (count + 1)
    levels = base * (found + 1)
    return OnlineResult(values <= levels, levels)


def uncorrected(p: ArrayLike, alpha: float) -> Bools:
    """p <= alpha, [m]: what would have been believed without any correction. A view for comparison only."""
    return _p_values(p, alpha) <= alpha


def _online(rule: Callable[..., OnlineResult]) -> Method:
    return Method("p", False, lambda p, alpha: rule(p, alpha).rejected)


_LEVELS: Final[dict[str, Callable[..., OnlineResult]]] = {
    "lord++": lord_plus_plus,
    "saffron": saffron,
    "addis": addis,
    "lond": lond,
}

METHODS: Final[dict[str, Method]] = {
    "online-ebh": Method("e", True, online_ebh),
    "e-bh": Method("e", False, e_bh),
    "bh": Method("p", False, bh),
    "by": Method("p", False, by),
    "holm": Method("p", False, holm),
    "bonferroni": Method("p", False, bonferroni),
    **{name: _online(rule) for name, rule in _LEVELS.items()},
    "none": Method("p", False, uncorrected),
}

CORRECTED: Final[dict[str, str]] = {  # what `corrected` gives to each hypothesis
    "online-ebh": "e-value needed",
    "e-bh": "e-value needed",
    "bh": "adjusted p",
    "by": "adjusted p",
    "holm": "adjusted p",
    "bonferroni": "adjusted p",
    **dict.fromkeys(_LEVELS, "level of p"),
    "none": "p",
}


def apply(
    method: str,
    *,
    e: ArrayLike | None = None,
    p: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    alpha: float = 0.05,
) -> Bools:
    """Apply a method of `METHODS` to one family, in registered order: bool[m], True where it confirms.

    Arrays that the method does not use are ignored. ValueError: an unknown method, or its array is missing.
    """
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}; one of {', '.join(METHODS)}")
    chosen = METHODS[method]
    values = e if chosen.works_on == "e" else p
    if values is None:
        raise ValueError(f"{method} works on {chosen.works_on}-values; give {chosen.works_on}=")
    if not chosen.weighted:
        return chosen.run(values, alpha)
    if weights is None:
        raise ValueError(f"{method} needs the slot weights; give weights=")
    return chosen.run(values, weights, alpha, groups)


def corrected(
    method: str,
    *,
    e: ArrayLike | None = None,
    p: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    alpha: float = 0.05,
) -> Floats:
    """The number that a method of `METHODS` gives to each of a family, [m]: which one, says `CORRECTED`.

    Arguments and errors as in `apply`.
    """
    chosen = apply(method, e=e, p=p, weights=weights, groups=groups, alpha=alpha)
    if METHODS[method].works_on == "e":
        shares = weights if METHODS[method].weighted else np.full(chosen.size, 1 / max(chosen.size, 1))
        return bars(np.asarray(e), np.asarray(shares), alpha, groups if METHODS[method].weighted else None)
    values = np.asarray(p, dtype=np.float64)
    if method in get_args(Adjustable):
        return adjusted_p(values, method)  # type: ignore[arg-type]
    return _LEVELS[method](values, alpha).levels if method in _LEVELS else values


def _ranks(
    e: ArrayLike, weights: ArrayLike, alpha: float, groups: ArrayLike | None
) -> tuple[Floats, Floats, NDArray[np.intp]]:
    """r of each hypothesis [m]; the least r of each group [groups]; which group each belongs to [m]."""
    _check_alpha(alpha)
    values, shares = _e_values(e), np.asarray(weights, dtype=np.float64)
    if shares.shape != values.shape:
        raise ValueError(f"one weight per e-value: got {values.size} e-values and {shares.size} weights")
    if not (shares > 0).all() or shares.sum() > 1 + 1e-9:
        raise ValueError("slot weights are positive and sum to at most 1")
    with np.errstate(divide="ignore", over="ignore"):
        rank_needed = 1 / (alpha * shares) / values
    if groups is None:
        return rank_needed, rank_needed, np.arange(values.size)
    labels = np.asarray(groups)
    if labels.shape != values.shape:
        raise ValueError(f"one group per e-value: got {values.size} e-values and {labels.size} groups")
    _, member = np.unique(labels, return_inverse=True)
    counted = np.full(int(member.max(initial=-1)) + 1, np.inf)
    np.minimum.at(counted, member, rank_needed)
    return rank_needed, counted, member


def _invest(
    p: Floats, ticks: Bools, alpha: float, wealth: float, factor: float, cap: float, gamma: Floats
) -> OnlineResult:
    """Generalised alpha-investing: a rejection adds a level sequence that starts with the next test.

    The clock counts earlier tests with ticks = True: every test in LORD++, the non-candidates in SAFFRON, the
    kept non-candidates in ADDIS. A level depends on time through the clock alone, so one schedule over clock
    time suffices.
    """
    clock = np.concatenate(([0], np.cumsum(ticks)))
    schedule = wealth * gamma[: clock[-1] + 1]
    earnings = alpha * gamma
    levels = np.zeros(p.size)
    first = True
    before, after = clock[:-1].tolist(), clock[1:].tolist()
    for t, pt in enumerate(p.tolist()):
        levels[t] = level = min(cap, factor * schedule.item(before[t]))
        if pt <= level:
            rest = schedule[after[t] :]
            rest += (alpha - wealth) * gamma[: rest.size] if first else earnings[: rest.size]
            first = False
    return OnlineResult(p <= levels, levels)


def _slow(j: Floats) -> Floats:
    """Javanmard & Montanari 2018, equation 31, with the constant that makes it sum to one."""
    return 0.07720838 * np.log(np.maximum(j, 2)) / (j * np.exp(np.sqrt(np.log(j))))


def _power(j: Floats) -> Floats:
    return _INVERSE_ZETA * j**-1.6


def _gamma(given: ArrayLike | None, m: int, default: Callable[[Floats], Floats]) -> Floats:
    if given is None:
        return default(np.arange(1, m + 1, dtype=np.float64))
    gamma = np.asarray(given, dtype=np.float64)
    if gamma.ndim != 1 or gamma.size < m or not (gamma >= 0).all() or gamma.sum() > 1 + 1e-9:
        raise ValueError(f"gamma must hold at least {m} nonnegative numbers that sum to at most 1")
    return gamma


def _wealth(given: float | None, default: float, alpha: float) -> float:
    if given is None:
        return default
    if not 0 <= given <= alpha:
        raise ValueError(f"the initial wealth must lie in [0, alpha], got {given}")
    return given


def _step_up(p: Floats, thresholds: Floats) -> Bools:
    ordered = np.sort(p)
    k = _last_true(ordered <= thresholds)
    return p <= ordered[k - 1] if k else np.zeros(p.size, dtype=np.bool_)


def _last_true(passed: Bools) -> int:
    """One-based index of the last True; 0 if there is none."""
    found = np.flatnonzero(passed)
    return int(found[-1]) + 1 if found.size else 0


def _check_alpha(alpha: float) -> None:
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie strictly between 0 and 1, got {alpha}")


def _e_values(e: ArrayLike) -> Floats:
    values = np.asarray(e, dtype=np.float64)
    if values.ndim != 1 or not (values >= 0).all():
        raise ValueError("e-values are an array [m] of nonnegative numbers (inf allowed, NaN not)")
    return values


def _p_values(p: ArrayLike, alpha: float = 0.5) -> Floats:
    _check_alpha(alpha)
    values = np.asarray(p, dtype=np.float64)
    if values.ndim != 1 or not ((values >= 0) & (values <= 1)).all():
        raise ValueError("p-values are an array [m] of numbers within [0, 1]")
    return values
