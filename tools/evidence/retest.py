"""A confirmed claim put to the question again: does it hold, has it failed, or can nobody tell yet?

For each line of its battery two gamblers bet on fresh prompts (`statistics.e_path`):

    against "the mean is at least kept"    failed as soon as, for any of k lines, this capital reaches k / alpha
    against "the mean is at most lost"     held as soon as, for every line, this capital has reached 1 / .002

Both are supermartingales under what they bet against, so that by Ville's inequality one may look after every prompt
and stop at any time: a claim whose means are all at least kept fails with probability at most alpha (union bound over
the lines), and one of whose means is at most lost holds with probability at most .002 (whichever line it is, its
capital must have been raised by chance). If neither has happened after n prompts it is undecided, and more prompts can
decide it; n is planned such that this is rare where half of the effect is gone (`tolerance.pairs_needed`). Failing goes
before holding.

Bets are on clipped effects, at the scale that exploration gave. Cost: 12 logarithms per line, prompt and side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from lakatos.tools.evidence.tolerance import ALPHA, MISSED, Tolerance, fail_bar
from lakatos.tools.statistics import clip, confidence_interval, e_path

Outcome = Literal["held", "failed", "undecided"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LineFound:
    """What fresh prompts showed of one line. Raw units; the interval is of the clipped mean, at 95 %, at any n."""

    line: str
    mean: float  # of the clipped effects
    low: float
    high: float
    e_failed: float  # largest capital so far against "at least kept"
    e_held: float  # largest capital so far against "at most lost"
    outcome: Outcome


@dataclass(frozen=True)
class Decision:
    """What follows from all prompts so far."""

    outcome: Outcome
    lines: tuple[LineFound, ...]


def decide(tolerances: Sequence[Tolerance], effects: Mapping[str, Floats], alpha: float = ALPHA) -> Decision:
    """Decide on the bets so far.

    Args:
        tolerances: of every line, see `tolerance.tolerances`.
        effects: line -> [bets] oriented effects, raw units, in the order in which they were drawn.
        alpha: how often a true claim may fail.

    Raises:
        ValueError: an effect is not finite.
    """
    bar = fail_bar(len(tolerances), alpha)
    lines = tuple(_line(t, effects[t.line], bar) for t in tolerances)
    outcome: Outcome = "undecided"
    if any(line.outcome == "failed" for line in lines):
        outcome = "failed"
    elif all(line.outcome == "held" for line in lines):
        outcome = "held"
    return Decision(outcome, lines)


def decided_after(
    tolerances: Sequence[Tolerance], effects: Mapping[str, Floats], alpha: float, batch: int
) -> tuple[Outcome, int]:
    """What a retest that is asked after each whole batch of these bets comes to, and after how many bets.

    Arguments as of `decide`, which gives the same when it is asked batch by batch.
    """
    n = len(effects[tolerances[0].line])
    bar = fail_bar(len(tolerances), alpha)
    failed, held = np.zeros(n, dtype=bool), np.ones(n, dtype=bool)
    for t in tolerances:
        against_kept, against_lost = _capitals(t, effects[t.line])
        failed |= np.maximum.accumulate(against_kept) >= bar
        held &= np.maximum.accumulate(against_lost) >= 1 / MISSED
    for end in range(batch, n + 1, batch):
        if failed[end - 1]:
            return "failed", end
        if held[end - 1]:
            return "held", end
    return "undecided", n


def _capitals(t: Tolerance, x: Floats) -> tuple[Floats, Floats]:
    c = clip(x, t.scale)
    return e_path(-c, -t.kept / t.scale), e_path(c, t.lost / t.scale)


def _line(t: Tolerance, x: Floats, bar: float) -> LineFound:
    against_kept, against_lost = _capitals(t, x)
    failed, held = float(against_kept.max(initial=1.0)), float(against_lost.max(initial=1.0))
    outcome: Outcome = "failed" if failed >= bar else "held" if held >= 1 / MISSED else "undecided"
    low, high = confidence_interval(x, t.scale)
    mean = t.scale * float(clip(x, t.scale).mean()) if len(x) else 0.0
    return LineFound(t.line, mean, low, high, failed, held, outcome)
