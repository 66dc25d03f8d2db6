"""The share of a gap and its interval: worked by hand, for any numbers, and against twins that draw the wrong thing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakatos.experiments_db.mechanism import share

EFFECT, GAP, TEMPLATES = np.array([1.0, 2.0, 2.0, 1.0]), np.array([3.0, 3.0, 4.0, 4.0]), ["a", "a", "b", "b"]
FINITE = st.floats(-10, 10).map(lambda x: round(x, 3))


def test_by_hand():
    # template a: 3 of 6; b: 3 of 8. Two draws: aa 3/6, ab 6/14, bb 3/8, a quarter, a half and a quarter of the time
    found = share(EFFECT, GAP, TEMPLATES)
    assert found.mean == pytest.approx(6 / 14)
    assert (found.low, found.high) == (3 / 8, 3 / 6)


def test_prompts_are_drawn_where_there_is_one_template():
    # draws of four among the shares 1/3, 2/3, 1/2 and 1/4: wider than any single pair allows
    found = share(EFFECT, GAP, ["a"] * 4)
    assert found.mean == pytest.approx(6 / 14)
    assert 1 / 4 <= found.low < 3 / 8 < found.mean < 1 / 2 < found.high <= 2 / 3


def twin_over_prompts(effect, gap, templates, seed=0):
    """Broken: as if prompts of one template were independent."""
    return share(effect, gap, np.arange(len(effect)), seed)


def twin_of_shares(effect, gap, templates, seed=0):
    """Broken: the mean of the prompts' own shares, where prompts with a small gap count as much as any."""
    return share(effect / gap, np.ones(len(gap)), templates, seed)


def clustered():
    """Twelve prompts from three templates that differ, and do not differ within."""
    effect = np.repeat([0.0, 1.0, 2.0], 4)
    return effect, np.full(12, 2.0), np.repeat(["a", "b", "c"], 4)


def test_the_interval_is_over_templates_and_not_over_prompts():
    whole, broken = share(*clustered()), twin_over_prompts(*clustered())
    assert (whole.low, whole.high) == (0.0, 1.0)
    assert broken.high - broken.low < 0.6 * (whole.high - whole.low)


def test_it_is_the_ratio_of_means_and_not_the_mean_of_ratios():
    effect, gap = np.array([1.0, 1.0]), np.array([1.0, 9.0])
    assert share(effect, gap, ["a", "b"]).mean == pytest.approx(0.2)
    assert twin_of_shares(effect, gap, ["a", "b"]).mean == pytest.approx(5 / 9)


@given(st.lists(st.tuples(FINITE, st.floats(1, 10), st.integers(0, 4)), min_size=1, max_size=30), st.floats(0.1, 10))
def test_any_numbers(rows, factor):
    effect, gap, templates = (np.array(column, float) for column in zip(*rows, strict=True))
    found = share(effect, gap, templates)
    ratios = effect / gap
    assert found.low <= found.high
    assert ratios.min() - 1e-9 <= found.low
    assert found.high <= ratios.max() + 1e-9  # gaps are positive: every draw's ratio is between the prompts'
    assert found == share(effect, gap, templates), "the draws have a seed"
    scaled = share(effect * factor, gap * factor, templates)
    assert (scaled.mean, scaled.low, scaled.high) == pytest.approx((found.mean, found.low, found.high), abs=1e-9)
    whole = share(gap, gap, templates)
    assert (whole.mean, whole.low, whole.high) == pytest.approx((1, 1, 1))


@pytest.mark.parametrize(("effect", "gap"), [([], []), ([1.0, 2.0], [1.0, -1.0])])
def test_there_must_be_a_gap(effect, gap):
    with pytest.raises(ValueError, match="a gap to be a share of"):
        share(np.array(effect), np.array(gap), np.zeros(len(gap)))
