"""Corrections: against printed examples, other people's code, brute-force definitions, and their own properties."""

from __future__ import annotations

import json
import math
import time
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from online_fdr import e_values as other_e
from online_fdr import p_values as other_p
from statsmodels.stats.multitest import multipletests

from lakatos.tools.multiplicity import (
    CORRECTED,
    METHODS,
    addis,
    adjusted_p,
    apply,
    bars,
    bh,
    bonferroni,
    by,
    corrected,
    e_bh,
    holm,
    lond,
    lord_plus_plus,
    online_ebh,
    saffron,
    slot_weights,
    success_threshold,
)

WORKED = json.loads((Path(__file__).parents[1] / "data" / "online_fdr_worked_examples.json").read_text())
ONLINE_VIEWS = ("saffron", "addis", "lond")
ONLINE = {"LORD++": lord_plus_plus, "SAFFRON": saffron, "ADDIS": addis, "LOND": lond}
FIXED = {"fdr_bh": bh, "fdr_by": by, "holm": holm, "bonferroni": bonferroni}
NAMES = {"fdr_bh": "bh", "fdr_by": "by", "holm": "holm", "bonferroni": "bonferroni"}

e_arrays = st.lists(st.one_of(st.floats(0, 1e6), st.sampled_from([0.0, math.inf])), max_size=30).map(np.array)
alphas = st.sampled_from([0.01, 0.05, 0.1, 0.3])


def random_p(rng, m):
    """A mixture with signal, nulls, exact ties, zeros and ones."""
    p = np.where(rng.random(m) < 0.4, rng.random(m) ** 8, rng.random(m))
    return np.round(p, 3) if rng.random() < 0.5 else p


# --- weights -----------------------------------------------------------------------------------------------------


def test_slot_weights_block_by_block():
    g = slot_weights(1500)
    for k, (start, stop) in enumerate([(0, 100), (100, 300), (300, 700), (700, 1500)], start=1):
        np.testing.assert_allclose(g[start:stop], 2.0**-k / (stop - start), rtol=1e-15)
        assert g[start:stop].sum() == pytest.approx(2.0**-k)


@given(st.integers(0, 5000), st.integers(0, 500))
def test_a_slots_weight_never_changes(m, more):
    np.testing.assert_array_equal(slot_weights(m), slot_weights(m + more)[:m])


def test_slot_weights_never_sum_to_more_than_one():
    assert 0.999 < slot_weights(1_000_000).sum() < 1
    assert slot_weights(0).shape == (0,)
    with pytest.raises(ValueError, match="m must be"):
        slot_weights(-1)


def test_planned_slots_share_four_fifths_and_the_others_the_rest():
    g = slot_weights(1000, planned=24)
    np.testing.assert_allclose(g[:24], 0.8 / 24, rtol=1e-15)
    np.testing.assert_allclose(g[24:], 0.2 * slot_weights(976), rtol=1e-12)
    np.testing.assert_array_equal(slot_weights(10, planned=24), g[:10])
    assert success_threshold(g[23], 0.05) == pytest.approx(600)
    assert slot_weights(100_000, planned=1).sum() < 1
    with pytest.raises(ValueError, match="at least one hypothesis"):
        slot_weights(3, planned=0)


def test_success_threshold():
    assert success_threshold(slot_weights(1)[0], 0.05) == pytest.approx(4000)
    for weight, alpha in [(0, 0.05), (1.5, 0.05), (math.nan, 0.05), (0.5, 0), (0.5, 1)]:
        with pytest.raises(ValueError, match=r"slot weight|alpha"):
            success_threshold(weight, alpha)


# --- e-values ----------------------------------------------------------------------------------------------------


def brute_online_ebh(e, weights, alpha):
    """The definition in exact rational arithmetic."""
    inverse = [math.inf if x == 0 else Fraction(0) if x == math.inf else 1 / Fraction(x) for x in map(float, e)]
    needed = [r / (Fraction(alpha) * Fraction(g)) for r, g in zip(inverse, map(float, weights), strict=True)]
    best = max((k for k in range(1, len(needed) + 1) if sum(r <= k for r in needed) >= k), default=0)
    return [best > 0 and r <= best for r in needed]


@pytest.mark.parametrize("seed", range(200))
def test_online_ebh_is_its_definition(seed):
    rng = np.random.default_rng(seed)
    m = int(rng.integers(1, 250))
    e = np.exp(rng.normal(1, 4, m))
    e[rng.random(m) < 0.05] = rng.choice([0.0, math.inf])
    weights = slot_weights(m) if seed % 2 else rng.dirichlet(np.ones(m)) * 0.99 + 1e-12
    np.testing.assert_array_equal(online_ebh(e, weights, 0.05), brute_online_ebh(e, weights, 0.05))


@pytest.mark.parametrize("seed", range(100))
def test_online_ebh_with_equal_weights_is_e_bh(seed):
    rng = np.random.default_rng(seed)
    m = int(rng.integers(1, 100))
    e = np.exp(rng.normal(1, 3, m))
    expected = e_bh(e, 0.1)
    np.testing.assert_array_equal(online_ebh(e, np.full(m, 1 / m), 0.1), expected)
    np.testing.assert_array_equal(other_e.e_bh(e.tolist(), 0.1), expected)


def test_e_bh_by_hand():
    assert e_bh([60, 59, 19.9], 0.05).tolist() == [True, True, False]
    assert e_bh([59, 29, 20], 0.05).tolist() == [True, True, True]
    assert e_bh([59, 29, 19], 0.05).tolist() == [False, False, False]
    assert e_bh([math.inf, 0, 0], 0.05).tolist() == [True, False, False]


@given(st.integers(1, 2000), alphas)
def test_reaching_the_success_threshold_confirms_alone(slot, alpha):
    weights = slot_weights(slot)
    e = np.zeros(slot)
    e[-1] = success_threshold(weights[-1], alpha)
    assert online_ebh(e, weights, alpha)[-1]
    e[-1] *= 1 - 1e-12
    assert not online_ebh(e, weights, alpha).any()


@given(e_arrays, alphas, st.integers(0, 29), st.floats(1, 1e9))
def test_more_evidence_never_undoes_a_confirmation(e, alpha, index, factor):
    weights = np.full(e.size, 1 / 30)
    raised = e.copy()
    if e.size:
        raised[index % e.size] *= factor
    assert not (online_ebh(e, weights, alpha) & ~online_ebh(raised, weights, alpha)).any()
    assert not (e_bh(e, alpha) & ~e_bh(raised, alpha)).any()


@given(e_arrays, e_arrays, alphas)
def test_later_slots_never_undo_a_confirmation(e, later, alpha):
    before = online_ebh(e, slot_weights(e.size), alpha)
    after = online_ebh(np.append(e, later), slot_weights(e.size + later.size), alpha)
    assert not (before & ~after[: e.size]).any()


@given(e_arrays, alphas)
def test_a_larger_alpha_confirms_more(e, alpha):
    for confirm in (lambda a: online_ebh(e, slot_weights(e.size), a), lambda a: e_bh(e, a)):
        assert not (confirm(alpha) & ~confirm(min(2 * alpha, 0.99))).any()


@given(e_arrays, alphas)
def test_confirmed_ones_prove_the_bound_that_fdr_control_rests_on(e, alpha):
    """Every confirmed E is at least 1/(alpha g R), R the number confirmed: then FDP <= alpha sum of g_i E_i."""
    weights = slot_weights(e.size)
    confirmed = online_ebh(e, weights, alpha)
    if confirmed.any():
        bar = 1 / (alpha * weights[confirmed] * confirmed.sum())
        assert (e[confirmed] >= bar * (1 - 1e-12)).all()


# --- p-values, fixed families ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FIXED)
def test_fixed_family_corrections_equal_statsmodels(name, monkeypatch):
    monkeypatch.setattr("gc.collect", lambda: 0)  # which statsmodels calls for each of holm's corrections
    rng = np.random.default_rng(0)
    for _ in range(100):
        p = random_p(rng, int(rng.integers(1, 60)))
        for alpha in (0.01, 0.05, 0.2):
            rejected, corrected, _, _ = multipletests(p, alpha, method=name)
            np.testing.assert_array_equal(FIXED[name](p, alpha), rejected)
            np.testing.assert_allclose(adjusted_p(p, NAMES[name]), corrected, rtol=1e-12)


@given(st.lists(st.floats(0, 1), max_size=30), alphas)
def test_the_corrections_are_nested(p, alpha):
    chain = [bonferroni(p, alpha), holm(p, alpha), bh(p, alpha), apply("none", p=p, alpha=alpha)]
    for strict, lax in pairwise(chain):
        assert not (strict & ~lax).any()
    assert not (by(p, alpha) & ~chain[2]).any()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.randoms(use_true_random=False))
def test_fixed_family_corrections_ignore_the_order(p, random):
    order = list(range(len(p)))
    random.shuffle(order)
    for correct in FIXED.values():
        np.testing.assert_array_equal(correct(np.array(p)[order], 0.05), correct(p, 0.05)[order])
    for name in NAMES.values():
        np.testing.assert_array_equal(adjusted_p(np.array(p)[order], name), adjusted_p(p, name)[order])


def test_adjusted_p_refuses_online_rules():
    with pytest.raises(ValueError, match="bh, by, holm and bonferroni"):
        adjusted_p([0.1], "lord++")


# --- p-values, online --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ONLINE)
def test_online_rules_reproduce_the_printed_examples(name):
    example = WORKED["procedures"][name]
    parameters = {"lambda_" if k == "lambda" else k: v for k, v in example["parameters"].items()}
    result = ONLINE[name](example["p_values"], WORKED["alpha"], **parameters)
    assert result.rejected.tolist() == example["rejected"]
    decimals = 10 if name in ("LORD++", "LOND") else 9
    np.testing.assert_allclose(result.levels, example["levels"], rtol=0, atol=0.5000001 * 10**-decimals)


def test_the_defaults_are_those_of_the_examples():
    p = WORKED["procedures"]["SAFFRON"]["p_values"]
    np.testing.assert_array_equal(lord_plus_plus(p, 0.05).levels, lord_plus_plus(p, 0.05, 0.005).levels)
    np.testing.assert_array_equal(saffron(p, 0.05).levels, saffron(p, 0.05, 0.025, 0.5).levels)
    np.testing.assert_array_equal(addis(p, 0.05).levels, addis(p, 0.05, 0.025, 0.25, 0.5).levels)


@pytest.mark.parametrize("seed", range(20))
def test_online_rules_equal_another_implementation(seed):
    rng = np.random.default_rng(seed)
    p = random_p(rng, 300)
    others = {
        "LORD++": other_p.LordPlusPlus(0.05, 0.005),
        "SAFFRON": other_p.Saffron(0.05, 0.025, 0.5),
        "ADDIS": other_p.Addis(0.05, 0.025, 0.25, 0.5),
        "LOND": other_p.Lond(0.05),
    }
    for name, other in others.items():
        expected = [bool(other.test_one(float(x))) for x in p]
        np.testing.assert_array_equal(ONLINE[name](p, 0.05).rejected, expected, err_msg=name)


def brute_lord(p, alpha, wealth):
    j = np.arange(1, len(p) + 1)
    gamma = 0.07720838 * np.log(np.maximum(j, 2)) / (j * np.exp(np.sqrt(np.log(j))))
    times, levels = [], []
    for t in range(1, len(p) + 1):
        gains = [(alpha - wealth if i == 0 else alpha) * gamma[t - tau - 1] for i, tau in enumerate(times)]
        levels.append(wealth * gamma[t - 1] + sum(gains))
        if p[t - 1] <= levels[-1]:
            times.append(t)
    return levels


def brute_addis(p, alpha, wealth, lambda_, tau):
    """The paper's indices, recomputed from scratch at each step; tau = 1 is SAFFRON."""
    gamma = 0.437490165774474 * np.arange(1, len(p) + 2) ** -1.6
    kept = np.asarray(p) <= tau
    candidate = np.asarray(p) <= lambda_
    times, levels = [], []
    for t in range(1, len(p) + 1):
        before = kept[: t - 1].sum()
        total = wealth * gamma[before - candidate[: t - 1].sum()]
        for i, k in enumerate(times):
            steps = before - kept[:k].sum() - candidate[k : t - 1].sum()
            total += (alpha - wealth if i == 0 else alpha) * gamma[steps]
        levels.append(min(lambda_, (tau - lambda_) * total))
        if p[t - 1] <= levels[-1]:
            times.append(t)
    return levels


@pytest.mark.parametrize("seed", range(20))
def test_levels_equal_the_papers_formulae(seed):
    rng = np.random.default_rng(seed)
    p = random_p(rng, 150)
    np.testing.assert_allclose(lord_plus_plus(p, 0.1, 0.02).levels, brute_lord(p, 0.1, 0.02), rtol=1e-12)
    np.testing.assert_allclose(saffron(p, 0.1, 0.02, 0.4).levels, brute_addis(p, 0.1, 0.02, 0.4, 1.0), rtol=1e-12)
    np.testing.assert_allclose(addis(p, 0.1, 0.02, 0.3, 0.6).levels, brute_addis(p, 0.1, 0.02, 0.3, 0.6), rtol=1e-12)


def test_levels_at_the_edges_of_the_rules():
    """p exactly at lambda or tau, and so many rejections that the cap at lambda binds."""
    p = [1e-12, 0.4, 0.9, 0.6, 0.3, 0.5, 0.4, 0.3, 0.6] + [1e-12] * 200
    for rule, candidate, tau in ((saffron, 0.4, 1.0), (addis, 0.3, 0.6)):
        levels = rule(p, 0.1, 0.02, candidate, **({"tau": tau} if rule is addis else {})).levels
        np.testing.assert_allclose(levels, brute_addis(p, 0.1, 0.02, candidate, tau), rtol=1e-12)
        assert levels.max() == candidate


def test_lond_counts_the_discoveries_so_far():
    gamma = np.full(10, 0.1)
    p = [0.009, 0.021, 0.019, 0.029, 0.041, 0.05, 0.06, 0.05, 0.9, 0.0]
    result = lond(p, 0.1, gamma=gamma)
    assert result.levels.tolist() == pytest.approx([0.01, 0.02, 0.02, 0.03, 0.04, 0.04, 0.04, 0.04, 0.04, 0.04])
    assert np.flatnonzero(result.rejected).tolist() == [0, 2, 3, 9]


@pytest.mark.parametrize("rule", ONLINE.values())
@pytest.mark.parametrize("cut", [0, 1, 17, 60])
def test_online_rules_never_look_ahead(rule, cut):
    p = random_p(np.random.default_rng(7), 60)
    whole, part = rule(p, 0.05), rule(p[:cut], 0.05)
    np.testing.assert_array_equal(part.rejected, whole.rejected[:cut])
    np.testing.assert_array_equal(part.levels, whole.levels[:cut])


def test_own_gamma_sequences():
    gamma = np.array([0.5, 0.25, 0.125])
    assert lond([0.9, 0.9, 0.9], 0.1, gamma=gamma).levels.tolist() == pytest.approx([0.05, 0.025, 0.0125])
    for bad in ([0.5, 0.5], [0.5, 0.6, 0.1], [0.5, -0.1, 0.1]):
        with pytest.raises(ValueError, match="gamma"):
            lond([0.9, 0.9, 0.9], 0.1, gamma=bad)


@pytest.mark.parametrize(
    "call",
    [
        lambda: lord_plus_plus([0.1], 0.05, initial_wealth=0.06),
        lambda: lord_plus_plus([0.1], 0.05, initial_wealth=-0.01),
        lambda: saffron([0.1], 0.05, lambda_=1.0),
        lambda: addis([0.1], 0.05, lambda_=0.5, tau=0.5),
        lambda: addis([0.1], 0.05, tau=1.5),
    ],
)
def test_online_parameters_are_checked(call):
    with pytest.raises(ValueError, match=r"wealth|lambda"):
        call()


# --- the registry ------------------------------------------------------------------------------------------------


def test_apply_reaches_every_method():
    e, p, weights = np.array([1e5, 1.0]), np.array([1e-5, 0.5]), slot_weights(2)
    assert set(METHODS) == {"online-ebh", "e-bh", "bh", "by", "holm", "bonferroni", "lord++", "none"} | set(
        ONLINE_VIEWS
    )
    for method in METHODS:
        assert apply(method, e=e, p=p, weights=weights, alpha=0.05).tolist() == [True, False], method


def test_apply_says_what_is_missing():
    with pytest.raises(ValueError, match="unknown method 'tukey'"):
        apply("tukey", p=[0.1])
    with pytest.raises(ValueError, match="give p="):
        apply("bh", e=[3.0])
    with pytest.raises(ValueError, match="give e="):
        apply("e-bh", p=[0.1])
    with pytest.raises(ValueError, match="give weights="):
        apply("online-ebh", e=[3.0])


def every_call(e, p, weights, alpha):
    for method in METHODS:
        yield lambda method=method: apply(method, e=e, p=p, weights=weights, alpha=alpha)
    for rule in ONLINE.values():
        yield lambda rule=rule: rule(p, alpha)


@pytest.mark.filterwarnings("error")
def test_an_empty_family_is_fine():
    for call in every_call([], [], [], 0.05):
        result = call()
        assert np.shape(result if isinstance(result, np.ndarray) else result.rejected) == (0,)
    for name in NAMES.values():
        assert adjusted_p([], name).shape == (0,)


@pytest.mark.parametrize(
    ("e", "p", "alpha"),
    [
        ([math.nan], [math.nan], 0.05),
        ([-1.0], [-0.1], 0.05),
        ([-1.0], [1.1], 0.05),
        ([[1.0]], [[0.1]], 0.05),
        ([1.0], [0.1], 0.0),
        ([1.0], [0.1], 1.0),
        ([1.0], [0.1], math.nan),
    ],
)
def test_bad_input_is_refused_by_every_method(e, p, alpha):
    for call in every_call(e, p, [0.5], alpha):
        with pytest.raises(ValueError, match=r"e-values|p-values|alpha"):
            call()


@pytest.mark.parametrize("weights", [[0.5], [0.5, 0.0], [0.5, -0.1], [0.5, math.nan], [0.6, 0.6]])
def test_weights_are_checked(weights):
    with pytest.raises(ValueError, match="weight"):
        online_ebh([1.0, 2.0], weights, 0.05)


@pytest.mark.filterwarnings("error")
def test_extreme_e_values():
    e = [math.inf, 0.0, 5e-324, np.finfo(float).max]
    assert online_ebh(e, slot_weights(4), 0.05).tolist() == [True, False, False, True]
    assert e_bh(e, 0.05).tolist() == [True, False, False, True]


def test_a_hundred_thousand_hypotheses():
    rng = np.random.default_rng(0)
    p = np.where(rng.random(100_000) < 0.2, rng.random(100_000) * 1e-9, rng.random(100_000))
    weights = slot_weights(p.size)
    for method in METHODS:
        start = time.process_time()
        assert apply(method, e=1 / (p + 1e-300), p=p, weights=weights).any()
        assert time.process_time() - start < 5, method


# --- groups ------------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.floats(0, 1e6), st.integers(0, 4)), min_size=1, max_size=12))
def test_groups_count_once(pairs):
    """The definition, written out."""
    e, groups = np.array([x for x, _ in pairs]), [g for _, g in pairs]
    weights = slot_weights(len(e))

    def at(k):
        return e >= 1 / (k * 0.05 * weights)

    enough = [k for k in range(1, len(e) + 1) if len({g for g, ok in zip(groups, at(k), strict=True) if ok}) >= k]
    expected = at(max(enough)) if enough else np.zeros(len(e), bool)
    assert online_ebh(e, weights, 0.05, groups).tolist() == expected.tolist()
    apart = online_ebh(e, weights, 0.05, np.arange(len(e)))
    assert apart.tolist() == online_ebh(e, weights, 0.05).tolist()
    assert not (online_ebh(e, weights, 0.05, groups) & ~apart).any(), "never more than without groups"


def test_wordings_of_one_truth_count_once_by_hand():
    """With weights 1/100 and alpha 0.05, an e-value confirms from 2000 / k on where k groups reach that."""
    weights = np.full(3, 0.01)
    assert online_ebh([1000, 1000, 0], weights, 0.05).tolist() == [True, True, False]
    assert online_ebh([1000, 1000, 0], weights, 0.05, [1, 1, 2]).tolist() == [False, False, False]
    assert online_ebh([1000, 999, 1000], weights, 0.05, [1, 1, 2]).tolist() == [True, False, True]
    assert bars([1000, 1000, 0], weights, 0.05, [1, 1, 2]) == pytest.approx([2000, 2000, 1000])
    assert bars([1000, 1000, 0], weights, 0.05) == pytest.approx([1000, 1000, 2000 / 3])


def test_groups_need_a_label_each():
    with pytest.raises(ValueError, match="one group per e-value"):
        online_ebh([1.0, 2.0], slot_weights(2), 0.05, [1])


# --- the e-value needed, and the other numbers ---------------------------------------------------------------------


def with_one(numbers, k, value):
    changed = numbers.copy()
    changed[k] = value
    return changed


def needed(confirms, e, k, candidates):
    """The least of the candidates at which claim k is confirmed, by trying each."""
    return next((x for x in sorted(candidates) if confirms(with_one(e, k, x * (1 + 1e-9)))[k]), math.inf)


@given(
    st.lists(st.tuples(st.one_of(st.floats(0, 3000), st.just(math.inf)), st.integers(0, 5)), min_size=1, max_size=12),
    alphas,
    st.booleans(),
)
def test_bars_are_where_a_flipped_e_value_becomes_confirmed(pairs, alpha, grouped):
    e = np.array([x for x, _ in pairs])
    groups = np.array([label for _, label in pairs]) if grouped else None
    weights = np.array([0.3, 0.2, *(0.5 / 2 ** (k + 1) for k in range(20))])[: e.size]
    found = bars(e, weights, alpha, groups)
    confirmed = online_ebh(e, weights, alpha, groups)
    for k, bar in enumerate(found):
        possible = 1 / (alpha * weights[k] * np.arange(1, e.size + 1))
        twin = needed(lambda x: online_ebh(x, weights, alpha, groups), e, k, possible)
        assert bar == pytest.approx(twin)
        assert not online_ebh(with_one(e, k, bar * (1 - 1e-9)), weights, alpha, groups)[k]
        if abs(e[k] - bar) > 1e-9 * bar:
            assert confirmed[k] == (e[k] >= bar)


@given(st.lists(st.one_of(st.floats(0, 500), st.just(math.inf)), min_size=1, max_size=15).map(np.array), alphas)
def test_bars_of_e_bh(e, alpha):
    found = corrected("e-bh", e=e, alpha=alpha)
    for k, bar in enumerate(found):
        assert bar == pytest.approx(needed(lambda x: e_bh(x, alpha), e, k, e.size / alpha / np.arange(1, e.size + 1)))


@pytest.mark.parametrize("method", METHODS)
def test_corrected_numbers_say_what_the_method_decides(method):
    rng = np.random.default_rng(3)
    p, e = rng.random(300) ** 6, np.exp(rng.normal(3, 4, 300))
    groups, weights = rng.integers(0, 100, 300), slot_weights(300)
    arrays = {"e": e, "p": p, "weights": weights, "groups": groups, "alpha": 0.05}
    numbers, decided = corrected(method, **arrays), apply(method, **arrays)
    assert decided.any()
    assert not decided.all()
    said = {
        "e-value needed": e >= numbers,
        "adjusted p": numbers <= 0.05,
        "level of p": p <= numbers,
        "p": numbers <= 0.05,
    }
    assert said[CORRECTED[method]].tolist() == decided.tolist()


def test_corrected_numbers_of_nothing_and_of_very_many():
    for method in METHODS:
        assert corrected(method, e=[], p=[], weights=[], groups=[]).size == 0
    rng = np.random.default_rng(0)
    began = time.process_time()
    bars(np.exp(rng.normal(0, 6, 100_000)), slot_weights(100_000), 0.05, rng.integers(0, 50_000, 100_000))
    assert time.process_time() - began < 1


@pytest.mark.parametrize(("planned", "m"), [(1, 5), (24, 24), (24, 10), (24, 400)])
def test_a_plan_shares_four_fifths_among_its_slots_and_the_rest_by_the_schedule(planned, m):
    weights = slot_weights(m, planned)
    assert weights[:planned] == pytest.approx([0.8 / planned] * min(planned, m))
    np.testing.assert_allclose(weights[planned:], 0.2 * slot_weights(max(0, m - planned)))
    assert weights.sum() <= 1
    assert success_threshold(slot_weights(24, 24)[0], 0.05) == pytest.approx(600)


def test_a_plan_is_of_one_hypothesis_at_least():
    with pytest.raises(ValueError, match="at least one"):
        slot_weights(3, 0)
