"""Error rates and power of the protocol by simulation, and five broken twins that the same harness must catch.

Each rate comes with its bound: the design's figure plus two standard errors of the simulation at that figure. Seeds are
fixed. An engine that never confirms passes every bound on false confirmations, so each is paired with a power check.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from lakatos.tools.multiplicity import online_ebh, slot_weights, success_threshold
from lakatos.tools.statistics import (
    BATCH,
    clip,
    clip_report,
    confidence_interval,
    e_path,
    sample_size,
    scale,
    stop_reason,
)

ALPHA = 0.05
SIMULATIONS = 8_000
CHUNK = 1_000

SHAPES: dict[str, Callable] = {
    "gaussian": lambda rng, size: rng.standard_normal(size),
    "left-skewed": lambda rng, size: 1 - rng.exponential(size=size),
    "far left-skewed": lambda rng, size: (
        (math.exp(0.5) - np.exp(rng.standard_normal(size))) / math.sqrt(math.e**2 - math.e)
    ),
    "heavy-tailed": lambda rng, size: rng.standard_t(3, size=size) / math.sqrt(3),
    "double exponential": lambda rng, size: rng.laplace(size=size) / math.sqrt(2),
}
"""Mean 0, standard deviation 1."""


def bound(figure: float, simulations: int) -> float:
    return figure + 2 * math.sqrt(figure * (1 - figure) / simulations)


def floor(rate: float, simulations: int) -> float:
    return rate - 2 * math.sqrt(rate * (1 - rate) / simulations)


def scales(exploration):
    return np.array([scale(row) for row in exploration])[:, None]


def at_looks(path):
    return path[:, BATCH - 1 :: BATCH]


def confirms(exploration, x):
    """The real thing: E >= 20 at any of the looks, one after each batch of 16."""
    c = np.clip(x / scales(exploration), -1, 1)
    return (at_looks(e_path(c, 0.0)) >= 1 / ALPHA).any(axis=1)


def rate(decide, shape="gaussian", mean=0.0, looks=16, simulations=SIMULATIONS, seed=0):
    """How often `decide(exploration [k, 64], x [k, 16 * looks]) -> bool[k]` confirms "the mean exceeds 0"."""
    rng, draw = np.random.default_rng(seed), SHAPES[shape]
    hits = 0
    for _ in range(simulations // CHUNK):
        exploration = mean + draw(rng, (CHUNK, 64))
        hits += int(decide(exploration, mean + draw(rng, (CHUNK, BATCH * looks))).sum())
    return hits / simulations


# --- one claim ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
def test_sixteen_looks_at_a_true_null(shape):
    assert rate(confirms, shape) <= bound(ALPHA, SIMULATIONS)


@pytest.mark.parametrize("shape", SHAPES)
def test_sixteen_looks_at_an_effect_of_exactly_delta(shape):
    delta = 0.3

    def exceeds_delta(exploration, x):
        s = scales(exploration)
        return (at_looks(e_path(np.clip(x / s, -1, 1), delta / s[:, 0])) >= 1 / ALPHA).any(axis=1)

    assert rate(exceeds_delta, shape, mean=delta) <= bound(ALPHA, SIMULATIONS)


@pytest.mark.parametrize(
    ("shape", "least"),
    [("gaussian", 0.8), ("left-skewed", 0.7), ("heavy-tailed", 0.7), ("double exponential", 0.7)],
)
def test_power_at_half_a_standard_deviation(shape, least):
    """E_64 >= 20. The design's figure of .8 is for Gaussian effects; the others measure .72 to .76."""

    def confirms_at_the_end(exploration, x):
        return e_path(np.clip(x / scales(exploration), -1, 1), 0.0)[:, -1] >= 1 / ALPHA

    assert rate(confirms_at_the_end, shape, mean=0.5, looks=4) >= least
    assert rate(confirms, shape, mean=0.5, looks=4) >= least


@pytest.mark.parametrize("shape", ["gaussian", "left-skewed", "heavy-tailed"])
def test_the_interval_covers(shape):
    rng, simulations, covered = np.random.default_rng(1), 300, 0
    for _ in range(simulations):
        s = scale(SHAPES[shape](rng, 64))
        low, high = confidence_interval(SHAPES[shape](rng, 128), s)
        covered += low <= 0 <= high
    assert covered / simulations >= 1 - bound(ALPHA, simulations)


@pytest.mark.parametrize("size", [64, 128, 256])
@pytest.mark.parametrize("shape", ["gaussian", "left-skewed"])
def test_drawing_from_a_list_without_replacement_is_no_worse(shape, size):
    """V5: the claim is about the list's own mean, here exactly 0; the order is drawn after registration."""
    rng, hits, simulations = np.random.default_rng(5), 0, 2_000
    for _ in range(simulations // 500):
        lists = SHAPES[shape](rng, (500, size))
        lists -= lists.mean(axis=1, keepdims=True)
        c = np.clip(rng.permuted(lists, axis=1)[:, :128] / scales(lists), -1, 1)
        hits += int((at_looks(e_path(c, 0.0)) >= 1 / ALPHA).any(axis=1).sum())
    assert hits / simulations <= bound(ALPHA, simulations)


# --- the broken twins --------------------------------------------------------------------------------------------


def same_prompts_twice(exploration, x):
    """Every batch is bet on, then bet on again."""
    return confirms(exploration, np.repeat(x, 2, axis=1))


def stake_sees_the_score(exploration, x):
    """The stake of each bet is chosen after its score: large on a gain, small on a loss."""
    c = np.clip(x / scales(exploration), -1, 1)
    capital = np.cumprod(1 + np.where(c > 0, 0.99, 0.05) * c, axis=1)
    return (at_looks(capital) >= 1 / ALPHA).any(axis=1)


def peeking_t_test(exploration, x):
    """A one-sided t-test at .05 after each batch, stopped at the first significant one."""
    n = np.arange(BATCH, x.shape[1] + 1, BATCH)
    total, squares = at_looks(np.cumsum(x, axis=1)), at_looks(np.cumsum(x**2, axis=1))
    variance = (squares - total**2 / n) / (n - 1)
    return (total / np.sqrt(n * variance) > stats.t.ppf(1 - ALPHA, n - 1)).any(axis=1)


def clip_inside_the_lower_tail(exploration, x):
    """The clip range is one standard deviation: the losses are cut, the gains are not."""
    s = exploration.std(axis=1, ddof=1, keepdims=True)
    return (at_looks(e_path(np.clip(x / s, -1, 1), 0.0)) >= 1 / ALPHA).any(axis=1)


def maximum_over_rewordings(exploration, x, wordings=20, shared=0.3):
    """Twenty wordings of one claim, correlated effects, the best E counts."""
    rng = np.random.default_rng(2)
    found = np.zeros(len(x), dtype=bool)
    for _ in range(wordings):
        own = rng.standard_normal(x.shape)
        found |= confirms(exploration, math.sqrt(shared) * x + math.sqrt(1 - shared) * own)
    return found


@pytest.mark.parametrize(
    ("twin", "shape"),
    [
        (same_prompts_twice, "gaussian"),
        (stake_sees_the_score, "gaussian"),
        (peeking_t_test, "gaussian"),
        (clip_inside_the_lower_tail, "left-skewed"),
        (maximum_over_rewordings, "gaussian"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_broken_twin_is_caught(twin, shape):
    simulations = 2_000
    assert rate(confirms, shape, simulations=simulations) <= bound(ALPHA, simulations)
    assert floor(rate(twin, shape, simulations=simulations), simulations) > bound(ALPHA, simulations)


def test_an_engine_that_never_confirms_is_caught():
    def never(exploration, x):
        return np.zeros(len(x), dtype=bool)

    assert rate(never, simulations=CHUNK) <= ALPHA
    assert rate(never, mean=0.5, looks=4, simulations=CHUNK) < 0.8


def test_known_limit_rare_large_opposite_effects():
    """Not met by the protocol: -10 on 1 % of prompts, +.1 on the rest, mean 0.

    Half of the explorations never meet the tail, so s cuts it off, the clipped mean is positive, and that is what is
    confirmed: about half of the time after 256 prompts. Every test in which such a prompt turned up is flagged. With
    s beyond the tail the same effects stay within the bound: the fault is the clip range, not the bet.
    """
    rng, simulations = np.random.default_rng(3), 1_000
    effects = [
        np.where(rng.random((simulations, n)) < 0.01, -10.0, 0.1 / 0.99) + 0.3 * rng.standard_normal((simulations, n))
        for n in (64, 256)
    ]
    exploration, x = effects
    wrong = confirms(exploration, x)
    assert 0.4 < wrong.mean() < 0.6
    covering = np.hstack([exploration[:, :-1], np.full((simulations, 1), -10.0)])
    assert confirms(covering, x).mean() <= bound(ALPHA, simulations)
    for i in np.flatnonzero(wrong):
        s = scale(exploration[i])
        assert clip_report(x[i], s).flagged or x[i].min() >= -s
    assert np.mean([clip_report(x[i], scale(exploration[i])).flagged for i in np.flatnonzero(wrong)]) > 0.7


# --- a study of many claims --------------------------------------------------------------------------------------


def run_study(rng, means, shape="gaussian", shared=0.0, n_max=128, weights=None):
    """Frozen e-values and prompts used, one per slot, by the registered stopping rule.

    shared: correlation of the effects of different claims on the same prompt.
    """
    m, draw = len(means), SHAPES[shape]
    weights = slot_weights(m) if weights is None else weights
    exploration = means[:, None] + draw(rng, (m, 64))
    common = draw(rng, n_max)
    x = means[:, None] + math.sqrt(shared) * common + math.sqrt(1 - shared) * draw(rng, (m, n_max))
    c = np.stack([clip(row, scale(past)) for row, past in zip(x, exploration, strict=True)])
    paths = at_looks(e_path(c, 0.0))
    frozen, used = np.zeros(m), np.zeros(m, dtype=int)
    for i in range(m):
        threshold = success_threshold(weights[i], ALPHA)
        for look, e in enumerate(paths[i].tolist(), start=1):
            if stop_reason(e, look * BATCH, n_max, threshold):
                frozen[i], used[i] = e, look * BATCH
                break
    return frozen, used


@pytest.mark.parametrize(
    ("shape", "shared", "least"),
    [
        ("gaussian", 0.0, 0.9),
        ("gaussian", 0.3, 0.9),
        ("double exponential", 0.0, 0.9),
        ("left-skewed", 0.0, 0.8),
        ("heavy-tailed", 0.0, 0.8),
    ],
)
def test_a_hundred_slots_a_fifth_of_them_true(shape, shared, least):
    """FDR <= .05 throughout; the design's power of .9 holds for Gaussian effects, skew and tails cost up to .05."""
    rng, studies, slots = np.random.default_rng(4), 150, 100
    n_max = sample_size(0.5)
    assert n_max == 128
    false_share, power, prompts = [], [], []
    for _ in range(studies):
        true = rng.permutation(slots) < slots // 5
        e, used = run_study(rng, np.where(true, 0.5, 0.0), shape, shared, n_max)
        confirmed = online_ebh(e, slot_weights(slots), ALPHA)
        false_share.append((confirmed & ~true).sum() / max(confirmed.sum(), 1))
        power.append(confirmed[true].mean())
        prompts.append((used[true].mean(), used[~true].mean()))
    assert np.mean(false_share) <= ALPHA
    assert np.mean(power) >= least
    for_true, for_null = np.mean(prompts, axis=0)
    assert for_true < for_null < n_max


def test_two_hundred_global_null_studies():
    rng, studies, slots = np.random.default_rng(5), 200, 100
    weights = slot_weights(slots)
    frozen = np.stack([run_study(rng, np.zeros(slots))[0] for _ in range(studies)])
    any_confirmed = np.mean([online_ebh(e, weights, ALPHA).any() for e in frozen])
    assert any_confirmed <= bound(ALPHA, studies)
    uncorrected = np.mean((frozen >= 1 / ALPHA).any(axis=1))
    assert floor(uncorrected, studies) > bound(ALPHA, studies)


def test_a_study_of_tiny_family_errors_is_still_bounded():
    """Two slots of weight 1/2, where the bound is not slack by orders of magnitude."""
    rng, studies = np.random.default_rng(6), 2_000
    weights = np.array([0.5, 0.5])
    wrong = [online_ebh(run_study(rng, np.zeros(2), weights=weights)[0], weights, ALPHA).any() for _ in range(studies)]
    assert 0 < np.mean(wrong) <= bound(ALPHA, studies)
