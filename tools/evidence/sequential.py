"""The one loop of a sequential test. It knows neither model nor log.

The same loop tests a registered claim, re-runs a confirmed one, and runs the simulated laboratory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from lakatos.tools.evidence.battery import Data


class HasData(Protocol):
    """Whatever a test measures at a time."""

    @property
    def data(self) -> Data:
        """What the stopping rule reads."""


M = TypeVar("M", bound=HasData)


def run_test(
    stops: Callable[[Sequence[Data]], str | None],
    measured: Callable[[int], M],
    keep: Callable[[M, Sequence[Data]], None],
    done: Sequence[Data] = (),
) -> str:
    """Measure batches, in order, until the rule stops the test.

    Args:
        stops: from the batches so far to why the test is over; None: it goes on.
        measured: from a batch's number to the measured batch.
        keep: stores a batch before the next is drawn; is given the batch, and all so far. May raise `Stop`.
        done: batches that were measured before: the test goes on after them.

    Returns:
        What `stops` said.
    """
    so_far = list(done)
    while (reason := stops(so_far)) is None:
        batch = measured(len(so_far))
        so_far.append(batch.data)
        keep(batch, so_far)
    return reason
