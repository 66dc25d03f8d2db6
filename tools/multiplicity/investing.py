"""Online methods that work on p-values in registered order: alpha-investing and its kin."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from lakatos.tools.multiplicity.inputs import Bools, Floats, checked_p
from lakatos.tools.multiplicity.weights import INVERSE_ZETA


class OnlineResult(NamedTuple):
    """What an online rule decided, one entry per hypothesis."""

    rejected: Bools  # [m]
    levels: Floats  # [m] the level each p-value was compared with, fixed by the earlier ones


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
    values = checked_p(p, alpha)
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
    values = checked_p(p, alpha)
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
    values = checked_p(p, alpha)
    if not 0 < lambda_ < tau <= 1:
        raise ValueError(f"ADDIS needs 0 < lambda < tau <= 1, got lambda {lambda_} and tau {tau}")
    wealth = _wealth(initial_wealth, alpha / 2, alpha)
    ticks = (values > lambda_) & (values <= tau)
    return _invest(values, ticks, alpha, wealth, tau - lambda_, lambda_, _gamma(gamma, values.size, _power))


def lond(p: ArrayLike, alpha: float, gamma: ArrayLike | None = None) -> OnlineResult:
    """LOND: level_t = alpha gamma_t (1 + rejections before t) (Javanmard & Montanari 2015).

    Online FDR for independent p-values. Arguments and errors as in `lord_plus_plus`, same default gamma.
    """
    values = checked_p(p, alpha)
    base = alpha * _gamma(gamma, values.size, _slow)
    found = np.zeros(values.size)
    count = 0
    for t, (pt, level) in enumerate(zip(values.tolist(), base.tolist(), strict=True)):
        found[t] = count
        count += pt <= level * (count + 1)
    levels = base * (found + 1)
    return OnlineResult(values <= levels, levels)


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
    return INVERSE_ZETA * j**-1.6


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
