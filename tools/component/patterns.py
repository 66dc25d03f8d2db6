"""Regular expressions for whole numbers in a range, in the least syntax that every constrained decoder knows.

Only literals, classes of digits, alternatives and groups: llama.cpp turns such a pattern into a grammar.
"""

from __future__ import annotations


def numbers(low: int, high: int) -> str:
    """A pattern, without a group of its own, that matches the numbers low..high without leading zeros.

    Raises:
        ValueError: there is no such number.
    """
    if not 0 <= low <= high:
        raise ValueError(f"there is no number from {low} to {high}")
    found: list[str] = []
    for width in range(len(str(low)), len(str(high)) + 1):
        least = 0 if width == 1 else 10 ** (width - 1)
        found += _of_one_width(str(max(low, least)), str(min(high, 10**width - 1)))
    return "|".join(found)


def _of_one_width(low: str, high: str) -> list[str]:
    """Patterns of the numbers between two that have as many digits."""
    if len(low) == 1:
        return [_digits(int(low), int(high))]
    rest = len(low) - 1
    if low[0] == high[0]:
        return [low[0] + tail for tail in _of_one_width(low[1:], high[1:])]
    first, last = int(low[0]), int(high[0])
    before: list[str] = []
    after: list[str] = []
    if low[1:] != "0" * rest:
        before, first = [low[0] + tail for tail in _of_one_width(low[1:], "9" * rest)], first + 1
    if high[1:] != "9" * rest:
        after, last = [high[0] + tail for tail in _of_one_width("0" * rest, high[1:])], last - 1
    between = [_digits(first, last) + "[0-9]" * rest] if first <= last else []
    return [*before, *between, *after]


def _digits(low: int, high: int) -> str:
    return str(low) if low == high else f"[{low}-{high}]"
