"""Patterns of ranges of numbers match these numbers and nothing else."""

from __future__ import annotations

import re

import pytest

from lakatos.tools.component import numbers

ENDS = (0, 1, 8, 9, 10, 11, 19, 29, 30, 47, 99, 100, 101, 125, 199, 200, 999, 1000)


@pytest.mark.parametrize("low", ENDS)
@pytest.mark.parametrize("high", ENDS)
def test_exactly_the_numbers_of_the_range(low, high):
    if low > high:
        with pytest.raises(ValueError, match="no number"):
            numbers(low, high)
        return
    pattern = re.compile(f"({numbers(low, high)})")
    assert [k for k in range(1102) if pattern.fullmatch(str(k))] == list(range(low, high + 1))
    assert not any(pattern.fullmatch(text) for text in ("", "-1", "00", f"0{high}", f"{high} ", f"{high}0000"))
