"""Claims turned into batteries: what is measured, and the constants that are fixed before any confirmation prompt."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

from lakatos.tools.claim import AnyClaim, Arms, SearchedClaim, draw_matched
from lakatos.tools.component import Shape
from lakatos.tools.evidence import Battery, Data, fixed, gaps
from lakatos.tools.experiment.measuring import (
    CLAIM_FAILURES,
    Asked,
    Measurement,
    measure,
    measure_together,
    run_arms,
    unigram_loss,
)
from lakatos.tools.experiment.sampling import Sample, needs_controls


class Uncalibrated(NamedTuple):
    """A claim whose constants are to be fixed."""

    claim: AnyClaim
    seed: str  # of the choice of what it is compared with
    cap: int  # the most prompts that its test may use
    templates: int  # how many its confirmation prompts come from


Calibrated = tuple[Battery, Measurement]


def calibrate(
    claim: AnyClaim, model: Any, sample: Sample, seed: str, cap: int, templates: int
) -> tuple[Battery, Measurement]:
    """Fix every constant of one claim's test from exploration pairs. Arguments as of `calibrate_all`.

    Raises:
        UserError: the model has nothing to compare the claim with, or has not what it is about.
        FloatingPointError: the model gives numbers that are not finite.
        ValueError: too few pairs.
    """
    (found,) = calibrate_all([Uncalibrated(claim, seed, cap, templates)], model, sample)
    if isinstance(found, Exception):
        raise found
    return found


def calibrate_all(asked: Sequence[Uncalibrated], model: Any, sample: Sample) -> list[Calibrated | Exception]:
    """Fix every constant of several claims' tests from the same exploration pairs, measured together.

    Args:
        sample: at least 64 exploration pairs, with donors and controls where any of the claims needs them.

    Returns:
        For each claim its battery and what was measured, the costs shared out; or which of `CLAIM_FAILURES` is its own.

    Raises:
        ValueError: too few pairs.
    """
    found: dict[int, Calibrated | Exception] = {}
    searches: dict[int, Opponents] = {}
    for place, own in enumerate(asked):
        try:
            searches[place] = opponents(own.claim, own.seed, model, sample)
        except CLAIM_FAILURES as error:
            found[place] = error
    measured = _measured([Asked(asked[place].claim, own.matched) for place, own in searches.items()], model, sample)

    @cache
    def unigram(control: str) -> float:
        return unigram_loss(sample.controls[control].pairs, model)

    for (place, others), shown in zip(searches.items(), measured, strict=True):
        if isinstance(shown, Exception):
            found[place] = shown
            continue
        controls = sample.controls if needs_controls(asked[place].claim) else {}
        losses = {name: unigram(name) for name in controls}
        try:
            battery = _fixed(asked[place], others.matched, Data(shown.values, sample.templates), losses)
        except CLAIM_FAILURES as error:
            found[place] = error
        else:
            found[place] = battery, replace(shown, unigram=losses, forwards=shown.forwards + others.forwards)
    return [found[place] for place in range(len(asked))]


class Opponents(NamedTuple):
    """What a claim is compared with, and what it cost to find it."""

    matched: dict[str, tuple[str, ...]]
    forwards: float


def opponents(claim: AnyClaim, seed: str, model: Any, sample: Sample) -> Opponents:
    """Everything that a claim is compared with, drawn with a seed or searched for on exploration pairs.

    Raises:
        UserError: the model has nothing to compare the claim with, or has not what it is about.
    """
    tested, spent = claim.tested, 0.0
    matched = draw_matched(tested, Shape.of(model.cfg), seed)
    if isinstance(tested, SearchedClaim):
        matched["shuffled"], spent = _best_shuffled(tested, model, sample, seed)
    return Opponents(matched | tested.match_positions(sample.positions), spent)


def _measured(asked: Sequence[Asked], model: Any, sample: Sample) -> list[Measurement | Exception]:
    """All batteries together; each by itself where that fails."""
    with suppress(*CLAIM_FAILURES):
        found = measure_together(asked, model, sample)
        each = zip(found.values, found.engines, strict=True)
        return [Measurement(values, engine, found.forwards / len(asked), {}) for values, engine in each]
    alone: list[Measurement | Exception] = []
    for claim, matched in asked:
        try:
            alone.append(measure(claim, matched, model, sample))
        except CLAIM_FAILURES as error:
            alone.append(error)
    return alone


def _fixed(
    asked: Uncalibrated, matched: dict[str, tuple[str, ...]], explored: Data, unigram: dict[str, float]
) -> Battery:
    """The battery that follows from the exploration values."""
    gap, control_gaps = gaps(explored.values, unigram)
    return fixed(asked.claim, Battery.draft(gap, control_gaps, matched), explored, asked.cap, asked.templates)


def _best_shuffled(claim: SearchedClaim, model: Any, sample: Sample, seed: str) -> tuple[tuple[str, ...], float]:
    """The circuit from shuffled labels that keeps most of the true behaviour on the exploration pairs, and the cost."""
    from lakatos.tools.exploration import node_scores

    pairs = sample.runs.pairs
    searched = 3.0 * len(pairs)  # two forward passes and one backward for each pair
    positions = [c.position for c in claim.parsed()]
    found = claim.found_by_search(node_scores(model, pairs, claim.metric, positions), seed)
    if not found:
        return (), searched
    ((values, _),), forwards = run_arms(model, sample.runs, [Arms(claim.metric, tuple(found))])
    best = max(found, key=lambda arm: float(values[arm.name].mean()))
    return ("+".join(best.components),), forwards + searched
