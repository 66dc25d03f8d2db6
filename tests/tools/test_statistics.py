"""The betting test of one mean: golden paths, definitions, and the properties its validity rests on."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lakatos.tools.multiplicity import success_threshold
from lakatos.tools.statistics import (
    BATCH,
    FRACTIONS,
    clip,
    clip_report,
    combine,
    confidence_interval,
    e_path,
    e_value,
    intraclass_correlation,
    log_e_path,
    sample_size,
    scale,
    sign_flip_p,
    standardised_effect,
    stop_reason,
)

GOLDEN = json.loads((Path(__file__).parents[1] / "data" / "evalue_paths.json").read_text())

scores = arrays(np.float64, st.integers(1, 40), elements=st.floats(-1, 1, width=32))
deltas = st.floats(-0.9, 0.9)


def naive_path(c, delta):
    """The definition, one stake and one prompt at a time."""
    capital, path = [1.0] * len(FRACTIONS), []
    for score in c:
        capital = [k * (1 + f / (1 + delta) * (score - delta)) for k, f in zip(capital, FRACTIONS, strict=True)]
        path.append(sum(capital) / len(capital))
    return path


# --- the e-process -----------------------------------------------------------------------------------------------


def test_the_stakes_are_those_of_the_golden_file():
    assert tuple(GOLDEN["fractions"]) == FRACTIONS


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: f"n{len(case['c'])}-d{case['delta']}")
def test_e_path_matches_the_golden_paths(case):
    np.testing.assert_allclose(e_path(case["c"], case["delta"]), case["path"], rtol=1e-10, atol=0)
    assert e_value(case["c"], case["delta"]) == pytest.approx(case["e"], rel=1e-10)


@given(scores, deltas)
def test_e_path_is_the_naive_product(c, delta):
    np.testing.assert_allclose(e_path(c, delta), naive_path(c, delta), rtol=1e-10)


def test_e_path_by_hand():
    assert e_path([1.0], 0.0)[0] == pytest.approx(1 + np.mean(FRACTIONS))
    assert e_path([0.25, 0.25], 0.25).tolist() == pytest.approx([1.0, 1.0])


@given(scores, deltas, st.randoms(use_true_random=False))
def test_the_order_of_the_prompts_does_not_matter(c, delta, random):
    shuffled = c.tolist()
    random.shuffle(shuffled)
    assert e_value(shuffled, delta) == pytest.approx(e_value(c, delta), rel=1e-12)


@given(scores, deltas, deltas)
def test_e_is_decreasing_in_delta(c, one, other):
    low, high = sorted((one, other))
    assert np.all(e_path(c, low) >= e_path(c, high) * (1 - 1e-12))


@given(scores, deltas, st.integers(0, 39), st.floats(0, 1))
def test_e_is_increasing_in_every_effect(c, delta, index, raised):
    better = c.copy()
    better[index % c.size] = max(better[index % c.size], raised)
    assert e_value(better, delta) >= e_value(c, delta) * (1 - 1e-12)


@given(st.floats(-0.9, 0.9), st.floats(0, 1))
def test_one_bet_is_fair_at_the_boundary_of_the_null(delta, share):
    """Two-point distributions with mean delta, worked out: the expectation of E_1 is 1, and below 1 inside."""
    low, high = delta - share * (1 + delta), delta + share * (1 - delta)
    weight = 0.5 if high == low else (delta - low) / (high - low)
    expected = weight * e_value([high], delta) + (1 - weight) * e_value([low], delta)
    assert expected == pytest.approx(1, rel=1e-9)


def test_prefixes_of_the_path_are_paths():
    c = np.random.default_rng(0).uniform(-1, 1, 50)
    np.testing.assert_allclose(e_path(c, 0.1)[:20], e_path(c[:20], 0.1), rtol=1e-14)


def test_many_paths_at_once():
    rng = np.random.default_rng(1)
    c, delta = rng.uniform(-1, 1, (3, 5, 20)), rng.uniform(-0.5, 0.5, (3, 5))
    stacked = e_path(c, delta)
    assert stacked.shape == c.shape
    for i, j in product(range(3), range(5)):
        np.testing.assert_allclose(stacked[i, j], e_path(c[i, j], delta[i, j]), rtol=1e-14)


@pytest.mark.filterwarnings("error")
def test_ten_thousand_prompts_neither_overflow_nor_vanish():
    n = 10_000
    up, down = e_path(np.full(n, 0.9), 0.0), e_path(np.full(n, -1.0), 0.0)
    assert np.isfinite(up).all()
    assert (np.diff(up) >= 0).all()
    assert up[-1] == pytest.approx(np.finfo(float).max)
    assert (down > 0).all()
    assert log_e_path(np.full(n, 0.9), 0.0)[-1] == pytest.approx(n * math.log1p(0.99 * 0.9) - math.log(12))


def test_no_prompts_are_no_evidence():
    assert e_value([], 0.3) == 1.0
    assert e_path([], 0.3).shape == (0,)


@pytest.mark.parametrize(
    ("c", "delta", "message"),
    [
        ([0.0, math.nan], 0.0, "score 1 is nan"),
        ([0.0, 0.5, 1.0001], 0.0, "score 2 is 1.0001"),
        ([[0.0, 0.5], [-2.0, 0.0]], 0.0, r"score \(1, 0\) is -2"),
        ([0.0], 1.0, "delta must lie"),
        ([0.0], -1.0, "delta must lie"),
        ([0.0], math.nan, "delta must lie"),
        (0.5, 0.0, "scores are an array"),
    ],
)
def test_e_path_refuses_what_is_not_a_score(c, delta, message):
    with pytest.raises(ValueError, match=message):
        e_path(c, delta)


def test_combine_is_the_minimum_over_lines():
    np.testing.assert_array_equal(combine([[1, 5, 9], [2, 3, 30]]), [1, 3, 9])
    assert combine([4.0, 0.5, 7.0]) == 0.5


@given(scores, deltas, deltas)
def test_a_claim_is_no_stronger_than_its_weakest_line(c, one, other):
    paths = np.stack([e_path(c, one), e_path(-c, other)])
    both = combine(paths)
    assert (both <= paths).all()
    assert all(both[i] in paths[:, i] for i in range(c.size))


@pytest.mark.parametrize("paths", [np.empty((0, 3)), [[1.0, math.nan]], [[-1.0]], 3.0])
def test_combine_refuses(paths):
    with pytest.raises(ValueError, match=r"at least one line|nonnegative"):
        combine(paths)


# --- scale and clipping ------------------------------------------------------------------------------------------


def test_scale_is_the_larger_of_the_two_rules():
    bulk = np.tile([-1.0, 1.0], 50)
    assert scale(bulk) == pytest.approx(3 * bulk.std(ddof=1))
    spiked = np.append(np.zeros(99), 50.0)
    assert scale(spiked) == pytest.approx(55.0)


def test_scale_covers_a_wide_equivalence_margin():
    quiet = np.full(64, 0.001)
    assert scale(quiet, margin=0.5) == 1.0
    assert scale(quiet, margin=0.0001) == scale(quiet)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("delta", [0.0, 0.2, 3.0])
def test_an_effect_that_is_identically_zero_never_confirms(delta):
    zeros = np.zeros(200)
    s = scale(zeros, margin=delta)
    assert s > 0
    assert e_path(clip(zeros, s), delta / s).max() <= 1.0
    assert scale(np.full(64, 1e-310)) == scale(zeros) == 1.0


def test_identical_circuits_are_equivalent():
    """The two one-sided tests at +-epsilon confirm equality where nothing differs, whatever the margin."""
    for epsilon in (1e-6, 0.1, 7.0):
        s = scale(np.zeros(64), margin=epsilon)
        c = clip(np.zeros(64), s)
        assert min(e_value(c, -epsilon / s), e_value(-c, -epsilon / s)) > 1e6


@pytest.mark.parametrize(
    ("x", "margin", "message"),
    [
        (np.ones(63), 0, "at least 64"),
        (np.append(np.ones(63), np.nan), 0, "effect 63 is nan"),
        (np.append(np.inf, np.ones(63)), 0, "effect 0 is inf"),
        (np.ones(64), -1, "margin"),
        (np.ones((8, 8)), 0, "one number per prompt"),
        (np.full(64, 1.7e308), 0, "too large"),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_scale_refuses(x, margin, message):
    with pytest.raises(ValueError, match=message):
        scale(x, margin)


def test_clip():
    assert clip([-9, -1, 0, 1, 9], 2).tolist() == [-1, -0.5, 0, 0.5, 1]
    for bad in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="scale must be positive"):
            clip([1.0], bad)


@given(arrays(np.float64, 64, elements=st.floats(-100, 100, width=32)), st.floats(1e-3, 1e3))
def test_the_unit_of_the_metric_does_not_matter(x, unit):
    """Scale equivariance: E is the same in logits and in millilogits; s and the interval carry the unit."""
    if np.abs(x).max() < 1e-3:
        return
    s = scale(x)
    assert scale(x * unit) == pytest.approx(s * unit)
    assert e_value(clip(x * unit, s * unit), 0.1) == pytest.approx(e_value(clip(x, s), 0.1), rel=1e-9)
    expected = np.array(confidence_interval(x, s)) * unit
    np.testing.assert_allclose(confidence_interval(x * unit, s * unit), expected, atol=1e-9 * s * unit)


def test_clip_report():
    report = clip_report(np.array([3.0, 1.0, 0.0, -1.0]), 2.0)
    assert report == (0.25, 0.75, 0.5, True)
    assert not clip_report(np.linspace(-0.5, 1, 50), 2.0).flagged
    assert clip_report(np.append(np.full(199, 0.5), -5.0), 1.0).flagged, "one loss that clipping hides is worth a look"
    for beyond, flagged in ((2, False), (3, True)):
        assert clip_report(np.append(np.full(100 - beyond, 0.5), np.full(beyond, 5.0)), 1.0).flagged is flagged
    opposite = clip_report(np.append(np.full(99, 0.5), -200.0), 1.0)
    assert opposite.rate == 0.01
    assert opposite.raw_mean < 0 < opposite.clipped_mean
    assert opposite.flagged
    with pytest.raises(ValueError, match="at least one"):
        clip_report([], 1.0)


# --- what is reported beside it ----------------------------------------------------------------------------------


def test_sign_flip_p_agrees_with_all_flips_counted():
    rng = np.random.default_rng(2)
    for n in (1, 7, 8, 11):
        x = rng.normal(0.4, 1, n)
        sums = np.array(list(product([-1, 1], repeat=n))) @ x
        exact = (sums >= x.sum() - 1e-9).mean()
        flips = 99_999
        assert sign_flip_p(x, 0.0) == pytest.approx(exact, abs=4 * math.sqrt(0.25 / flips) + 1 / flips)


def test_sign_flip_p_is_deterministic_and_fast():
    x = np.random.default_rng(3).normal(0.1, 1, 128)
    start = time.process_time()
    p = sign_flip_p(x, 0.0, seed=11)
    assert time.process_time() - start < 0.3
    assert p == sign_flip_p(x, 0.0, seed=11)
    assert p != sign_flip_p(x, 0.0, seed=12)
    assert p == pytest.approx(sign_flip_p(x, 0.0, seed=12), abs=0.01)


def test_sign_flip_p_draws_the_bits_that_it_always_drew():
    """P-values in old logs are derived again: the stream is PCG64's 8-bit integers, table by table."""
    x, flips, chunk = np.random.default_rng(5).normal(0.2, 1, 37), 20_001, 16_384
    rng = np.random.Generator(np.random.PCG64(11))
    signs = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1) * 2.0 - 1.0
    hits = 0
    for size in (chunk, flips - chunk):
        total = sum(
            signs[rng.integers(0, 256, size, dtype=np.uint8)] @ np.pad(x, (0, 3))[8 * k : 8 * k + 8] for k in range(5)
        )
        hits += int((total >= x.sum() - 1e-9).sum())
    assert sign_flip_p(x, 0, flips=flips, seed=11) == (1 + hits) / (1 + flips)


def test_sign_flip_p_ends_of_the_range():
    assert sign_flip_p(np.ones(64), 0.0) == 1 / 100_000
    assert sign_flip_p(np.full(64, 0.3), 0.3) == 1.0
    assert sign_flip_p([], 0.0, flips=99) == 1.0
    assert sign_flip_p(-np.ones(64), 0.0, flips=999) == 1.0
    with pytest.raises(ValueError, match="flips"):
        sign_flip_p([1.0], 0.0, flips=0)
    with pytest.raises(ValueError, match="effect 0 is nan"):
        sign_flip_p([math.nan], 0.0)


def test_sign_flip_p_shifts_by_delta():
    x = np.random.default_rng(4).normal(1, 1, 100)
    assert sign_flip_p(x, 0.7, flips=999) == sign_flip_p(x - 0.7, 0.0, flips=999)


@settings(max_examples=50, deadline=None)
@given(scores, st.floats(0.5, 0.999), st.floats(0.1, 10))
def test_the_interval_inverts_the_e_value(c, level, s):
    x = c * s
    low, high = confidence_interval(x, s, level)
    bar = 2 / (1 - level)
    mean = s * clip(x, s).mean()
    rounding = 1e-12 * (1 + abs(mean))
    assert -s <= low <= mean + rounding
    assert mean - rounding <= high <= s
    for end, values in ((low / s, clip(x, s)), (-high / s, -clip(x, s))):
        if end > -1 + 1e-6:
            assert e_value(values, end - 1e-9) >= bar
            assert e_value(values, end + 1e-9) < bar


@settings(max_examples=50, deadline=None)
@given(scores, st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_a_higher_level_gives_a_wider_interval(c, one, other):
    narrow, wide = (confidence_interval(c, 1.0, level) for level in sorted((one, other)))
    assert wide[0] <= narrow[0]
    assert wide[1] >= narrow[1]


@given(scores)
@settings(deadline=None)
def test_the_interval_of_the_mirrored_effects_is_mirrored(c):
    low, high = confidence_interval(c, 1.0)
    assert confidence_interval(-c, 1.0) == (-high, -low)


def test_the_interval_when_nothing_is_excluded():
    assert confidence_interval([], 3.0) == (-3.0, 3.0)
    assert confidence_interval(np.full(100, -9.0), 3.0)[0] == -3.0
    assert confidence_interval(np.full(100, 9.0), 3.0)[1] == 3.0
    for level in (0.0, 1.0, math.nan):
        with pytest.raises(ValueError, match="level"):
            confidence_interval([0.0], 1.0, level)


def test_the_interval_shrinks_and_agrees_with_the_usual_one():
    x = np.random.default_rng(5).normal(0.5, 1, 4096)
    widths = [np.ptp(confidence_interval(x[:n], 4.0)) for n in (64, 512, 4096)]
    assert widths[0] > widths[1] > widths[2]
    assert 3.92 / 64 < widths[2] < 4 * 3.92 / 64


def test_standardised_effect():
    assert standardised_effect([1, 2, 3], 1.0) == 1.0
    assert standardised_effect([2, 2, 2], 2.0) == 0.0
    assert standardised_effect([2, 2, 2], 3.0) == -math.inf
    assert math.isnan(standardised_effect([2], 0.0))


# --- planning and stopping ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("d", "n"), [(5, 64), (0.71, 64), (0.7, 80), (0.5, 128), (0.4, 208), (0.1, 3200)])
def test_sample_size(d, n):
    assert sample_size(d) == n


@given(st.floats(1e-3, 10), st.integers(BATCH, 10_000))
def test_sample_size_is_whole_batches_within_the_cap(d, cap):
    n = sample_size(d)
    assert n % BATCH == 0
    assert n >= 64
    assert n >= 32 / d**2 * (1 - 1e-12)
    capped = sample_size(d, cap)
    assert capped == n or (cap - BATCH < capped <= cap and capped % BATCH == 0)


def test_sample_size_refuses():
    assert sample_size(1e-300, cap=1000) == 992
    for d in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="must be positive"):
            sample_size(d)
    with pytest.raises(ValueError, match="cap"):
        sample_size(0.5, cap=15)


@pytest.mark.parametrize(
    ("e", "n", "reason"),
    [
        (4000.0, 16, "success"),
        (4000.0, 128, "success"),
        (3999.9, 128, "exhausted"),
        (3999.9, 112, None),
        (0.19, 48, None),
        (0.19, 64, "futility"),
        (0.19, 128, "futility"),
        (0.2, 64, None),
        (math.inf, 16, "success"),
    ],
)
def test_stop_reason(e, n, reason):
    assert stop_reason(e, n, n_max=128, threshold=4000.0) == reason


@pytest.mark.parametrize(("e", "n", "reason"), [(0.19, 112, None), (0.19, 128, "futility"), (5e3, 80, "success")])
def test_futility_is_counted_from_where_a_test_was_continued(e, n, reason):
    assert stop_reason(e, n, n_max=256, threshold=4000.0, since=64) == reason
    assert stop_reason(1.0, 256, n_max=256, threshold=4000.0, since=250) == "exhausted"


def test_the_first_slots_succeed_at_4000():
    assert stop_reason(success_threshold(1 / 200, 0.05), 16, 128, success_threshold(1 / 200, 0.05)) == "success"
    with pytest.raises(ValueError, match="nonnegative"):
        stop_reason(math.nan, 16, 128, 20)


# --- templates ---------------------------------------------------------------------------------------------------


def test_icc_of_the_textbook():
    """Shrout & Fleiss 1979, table 2: six targets, four judges; ICC(1,1) = .17."""
    ratings = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]])
    icc = intraclass_correlation(ratings.ravel(), np.repeat(list("abcdef"), 4))
    assert icc == pytest.approx(0.1657, abs=5e-5)


def test_icc_recovers_the_planted_value_in_unbalanced_groups():
    rng = np.random.default_rng(6)
    sizes = rng.integers(1, 30, 2000)
    groups = np.repeat(np.arange(2000), sizes)
    x = rng.normal(5, math.sqrt(0.2), 2000)[groups] + rng.normal(0, math.sqrt(0.8), groups.size)
    assert intraclass_correlation(x, groups) == pytest.approx(0.2, abs=0.02)
    assert intraclass_correlation(rng.normal(size=groups.size), groups) == pytest.approx(0, abs=0.02)


def test_icc_ends_of_the_range():
    assert intraclass_correlation([1, 1, 2, 2, 3, 3], [0, 0, 1, 1, 2, 2]) == 1.0
    assert intraclass_correlation([-1, 1, -1, 1], [0, 0, 1, 1]) == -1.0
    for x, groups in [([1, 2, 3], [0, 0, 0]), ([1, 2, 3], [0, 1, 2]), ([2, 2, 2, 2], [0, 0, 1, 1]), ([], [])]:
        assert math.isnan(intraclass_correlation(x, groups))
    with pytest.raises(ValueError, match="one group per effect"):
        intraclass_correlation([1.0, 2.0], [0])
    with pytest.raises(ValueError, match="effect 1"):
        intraclass_correlation([1.0, math.nan], [0, 0])


# --- cost --------------------------------------------------------------------------------------------------------


def test_the_imports_are_light():
    code = """
import sys, time
start = time.process_time()
import lakatos.tools.statistics, lakatos.tools.multiplicity
heavy = {"torch", "scipy", "transformer_lens", "statsmodels"} & set(sys.modules)
print(time.process_time() - start, *heavy)
"""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
        for _ in range(3)
    ]
    assert all(len(run.stdout.split()) == 1 for run in runs), runs[0].stdout
    assert min(float(run.stdout.split()[0]) for run in runs) < 0.15
