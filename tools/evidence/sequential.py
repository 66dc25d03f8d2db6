"""The one loop of sequential tests on the same prompts. It knows neither model nor log.

It tests registered claims, re-runs confirmed ones, and runs the simulated laboratory. What is measured at a time is a
draw: some prompts, and what the battery of every claim showed on them. Each test ends by its own rule, whatever the
others do; the draws go on until all have ended.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from lakatos.tools.evidence.data import Data


class HasData(Protocol):
    """A measured draw."""

    def data(self, place: int, /) -> Data | Exception:
        """What the rule of the place-th test that was measured reads, or what that test died of."""


M = TypeVar("M", bound=HasData)


def run_tests(
    stops: Sequence[Callable[[Sequence[Data]], str | None]],
    measured: Callable[[range, Sequence[int]], Sequence[M]],
    keep: Callable[[M, Sequence[int], Sequence[Sequence[Data]]], None],
    done: Sequence[Sequence[Data]] = (),
    first: int = 0,
    ahead: Callable[[int, Sequence[Data]], int] = lambda _test, _so_far: 1,
) -> list[str | Exception]:
    """Measure draws, in order, until every test is over. A test is named by its place in `stops`.

    Args:
        stops: of each test: from its data so far to why it is over; None: it goes on.
        measured: from the numbers of draws and the tests that go on to these draws, measured for these tests.
        keep: stores a draw before the next is asked for; is given the draw, the tests that it was measured for, and the
            data so far of each of them (this draw's included, unless the test died of it). Not called for a draw of
            which every test died. May raise `Stop`.
        done: of each test: the data of its draws so far; it goes on after them.
        first: number of the next draw.
        ahead: from a test and its data so far to how many draws may be measured at once: none but the last of them can
            end it. Of all tests that go on, the smallest number counts. What is measured at once and comes after the
            end of a test is measured again.

    Returns:
        Of each test, what `stops` said, or the exception that it died of.
    """
    so_far = [list(own) for own in done] or [[] for _ in stops]
    number = first
    ended: list[str | Exception | None] = [stop(own) for stop, own in zip(stops, so_far, strict=True)]
    while alive := [test for test, end in enumerate(ended) if end is None]:
        asked = range(number, number + min(ahead(test, so_far[test]) for test in alive))
        for _, draw in zip(asked, measured(asked, alive), strict=True):
            number += 1
            for place, test in enumerate(alive):
                data = draw.data(place)
                if isinstance(data, Data):
                    so_far[test].append(data)
                else:
                    ended[test] = data
            going = [test for test in alive if ended[test] is None]
            if going:
                keep(draw, alive, [so_far[test] for test in alive])
            for test in going:
                ended[test] = stops[test](so_far[test])
            if any(ended[test] is not None for test in alive):
                break
    return [end for end in ended if end is not None]
