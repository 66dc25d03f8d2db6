"""Student's t-test against SciPy's, and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lakatos.tools.baseline.t_test import LARGEST, incomplete_beta, t_statistic, two_sided_p


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=40).filter(lambda x: np.ptp(x) > 1e-3))
def test_it_is_scipys(x) -> None:
    expected = stats.ttest_1samp(x, 0)
    assert t_statistic(x) == pytest.approx(expected.statistic, rel=1e-6, abs=1e-9)
    assert two_sided_p(t_statistic(x), len(x) - 1) == pytest.approx(expected.pvalue, rel=1e-6, abs=1e-12)


@given(st.floats(0, 1e8), st.integers(1, 100_000))
def test_far_out_too(t, df) -> None:
    assert two_sided_p(t, df) == pytest.approx(2 * stats.t.sf(t, df), rel=1e-6, abs=1e-290)
    assert two_sided_p(-t, df) == two_sided_p(t, df)


def test_by_hand() -> None:
    assert t_statistic([1.0, 2.0, 3.0]) == pytest.approx(2 * math.sqrt(3))
    assert two_sided_p(1.0, 1) == pytest.approx(0.5)  # Cauchy: 1 - 2/pi arctan 1
    assert two_sided_p(0.0, 5) == 1.0
    assert incomplete_beta(0.25, 1, 1) == pytest.approx(0.25)
    assert incomplete_beta(0.25, 2, 1) == pytest.approx(0.0625)


def test_equal_effects() -> None:
    assert t_statistic([0.0, 0.0]) == 0
    assert t_statistic([-0.1, -0.1, -0.1]) == -LARGEST
    assert two_sided_p(LARGEST, 2) == 0.0


@pytest.mark.parametrize("x", [[], [1.0], [1.0, math.nan], [[1.0, 2.0]]])
def test_what_has_no_t(x) -> None:
    with pytest.raises(ValueError, match="two finite effects"):
        t_statistic(x)


def test_what_has_no_p() -> None:
    with pytest.raises(ValueError, match="degrees of freedom"):
        two_sided_p(1.0, 0)
