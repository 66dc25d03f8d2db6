"""Both errors of a retest, by simulation; and a broken twin, a peeking t-test, that the same simulation must catch."""

from __future__ import annotations

import numpy as np
import pytest

from lakatos.tools.evidence import Tolerance, decide, decided_after

MEAN, SD = 2.0, 1.5
LINES = tuple(
    Tolerance(line=name, unit="logits", scale=8.0, confirmed=MEAN, kept=0.7 * MEAN, lost=0.5 * MEAN)
    for name in ("effect", "beyond matched random")
)
ALPHA, RUNS, N = 0.01, 1500, 480  # alpha is large here so that a test that ignores it is caught in few runs


def draw(rng, mean, shape):
    noise = {
        "gaussian": lambda: rng.standard_normal(N),
        "skewed": lambda: 1 - rng.exponential(size=N),
        "heavy-tailed": lambda: rng.standard_t(3, size=N) / np.sqrt(3),
    }[shape]()
    main = np.clip(mean + SD * noise, -8, 8)
    main += mean - np.clip(mean + SD * _long(shape), -8, 8).mean()  # clipping does not move the truth
    return {"effect": main, "beyond matched random": main - 0.05 * rng.standard_normal(N)}


def _long(shape, cache={}):  # noqa: B006
    if shape not in cache:
        rng = np.random.default_rng(99)
        cache[shape] = {
            "gaussian": lambda: rng.standard_normal(400_000),
            "skewed": lambda: 1 - rng.exponential(size=400_000),
            "heavy-tailed": lambda: rng.standard_t(3, size=400_000) / np.sqrt(3),
        }[shape]()
    return cache[shape]


def rates(mean, shape, retest, seed=0):
    rng = np.random.default_rng(seed)
    outcomes = [retest(draw(rng, mean, shape)) for _ in range(RUNS)]
    return {name: outcomes.count(name) / RUNS for name in ("held", "failed", "undecided")}


def ours(effects):
    return decided_after(LINES, effects, ALPHA, 16)[0]


def peeking(effects):
    """The twin: after every batch a one-sided t-test of each line at level alpha, as if it were the only look."""
    x = effects["effect"]
    for n in range(16, N + 1, 16):
        se = x[:n].std(ddof=1) / np.sqrt(n)
        if (x[:n].mean() - LINES[0].kept) / se < -2.33:
            return "failed"
    return "held"


SHAPES = ("skewed", *(pytest.param(shape, marks=pytest.mark.heavy) for shape in ("gaussian", "heavy-tailed")))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_mean_at_the_level_that_must_be_kept_fails_at_most_at_alpha(shape):
    found = rates(0.7 * MEAN, shape, ours)
    assert found["failed"] <= ALPHA + 2 * np.sqrt(ALPHA * (1 - ALPHA) / RUNS), found


def test_the_peeking_twin_is_caught_by_the_same_simulation():
    found = rates(0.7 * MEAN, "gaussian", peeking)
    assert found["failed"] > 3 * ALPHA


@pytest.mark.parametrize("shape", SHAPES)
def test_half_of_the_effect_gone_fails_with_probability_99(shape):
    found = rates(0.5 * MEAN, shape, ours)
    assert found["failed"] >= 0.985, found
    assert found["held"] <= 0.002 + 2 * np.sqrt(0.002 / RUNS), found


@pytest.mark.parametrize("shape", SHAPES)
def test_an_unchanged_effect_holds(shape):
    assert rates(MEAN, shape, ours)["held"] >= 0.999


def test_asking_batch_by_batch_gives_the_same_as_asking_once():
    rng = np.random.default_rng(1)
    for mean in (MEAN, 0.6 * MEAN, 0.4 * MEAN):
        effects = draw(rng, mean, "gaussian")
        n, outcome = 0, "undecided"
        while outcome == "undecided" and n < N:
            n += 16
            outcome = decide(LINES, {name: x[:n] for name, x in effects.items()}, ALPHA).outcome
        assert (outcome, n) == decided_after(LINES, effects, ALPHA, 16)


def test_one_line_that_failed_fails_the_claim_and_one_that_is_open_leaves_it_undecided():
    strong, gone, few = np.full(200, 2.0), np.zeros(200), np.full(2, 2.0)
    assert decide(LINES, {"effect": strong, "beyond matched random": strong}).outcome == "held"
    assert decide(LINES, {"effect": strong, "beyond matched random": gone}).outcome == "failed"
    undecided = decide(LINES, {"effect": few, "beyond matched random": few})
    assert undecided.outcome == "undecided"
    nothing = decide(LINES, {"effect": np.zeros(0), "beyond matched random": np.zeros(0)})
    assert nothing.outcome == "undecided"
    assert nothing.lines[0].mean == 0.0


def test_an_effect_that_is_not_finite_is_an_error():
    with pytest.raises(ValueError, match="finite"):
        decide(LINES[:1], {"effect": np.array([1.0, np.nan])})
