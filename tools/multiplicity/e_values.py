"""Methods that work on e-values, under any dependence."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lakatos.tools.multiplicity.inputs import Bools, Floats, check_alpha, checked_e, last_true


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
    return rank_needed <= last_true(np.sort(counted) <= np.arange(1, counted.size + 1))


def e_bh(e: ArrayLike, alpha: float) -> Bools:
    """e-BH for a family of fixed size m: confirm the k* largest, k* = max { k : k E_(k) >= m / alpha }.

    FDR <= alpha under any dependence (Wang & Ramdas 2022). e: [m], >= 0, inf allowed. ValueError as in
    `online_ebh`.
    """
    check_alpha(alpha)
    values = checked_e(e)
    m = values.size
    descending = np.sort(values)[::-1]
    with np.errstate(over="ignore"):
        k = last_true(np.arange(1, m + 1) * descending >= m / alpha)
    return values >= descending[k - 1] if k else np.zeros(m, dtype=np.bool_)


def bars(e: ArrayLike, weights: ArrayLike, alpha: float, groups: ArrayLike | None = None) -> Floats:
    """The e-value from which on `online_ebh` would confirm each, the others being as they are, [m].

    Hypothesis i is confirmed where E_i >= 1 / (k alpha g_i), with k the k* that there would be if E_i were infinite: a
    smaller E_i that reaches this bar gives the same k*, one that does not gives none that would do. With all weights
    1/m it is the bar of `e_bh`. Arguments and errors as in `online_ebh`.
    """
    _, counted, member = _ranks(e, weights, alpha, groups)
    ordered, ranks = np.sort(counted), np.arange(1, counted.size + 1)
    reached = last_true(ordered <= ranks)
    # beyond k*, a group that does not count at rank k lifts k* to it where it is the only one that lacks
    lacking_one = ranks[reached:][np.searchsorted(ordered, ranks[reached:], side="right") == ranks[reached:] - 1]
    own = np.concatenate(([reached], lacking_one))
    highest = own[np.maximum(np.searchsorted(own, counted, side="left") - 1, 0)]
    highest = np.where(counted <= reached, reached, highest)
    result: Floats = 1 / (alpha * np.asarray(weights, dtype=np.float64)) / highest[member]
    return result


def _ranks(
    e: ArrayLike, weights: ArrayLike, alpha: float, groups: ArrayLike | None
) -> tuple[Floats, Floats, NDArray[np.intp]]:
    """r of each hypothesis [m]; the least r of each group [groups]; which group each belongs to [m]."""
    check_alpha(alpha)
    values, shares = checked_e(e), np.asarray(weights, dtype=np.float64)
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
