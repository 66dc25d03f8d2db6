"""A claim turned into a battery: what is measured, and the constants that are fixed before any confirmation prompt."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from lakatos.tools.claim import AnyClaim, Arms, SearchedClaim, draw_matched
from lakatos.tools.component import Shape
from lakatos.tools.evidence import Battery, Data, fixed, gaps
from lakatos.tools.experiment.measuring import Measurement, measure, run_arms, unigram_loss
from lakatos.tools.experiment.sampling import Sample, needs_controls
from lakatos.tools.intervention import Runs


def calibrate(
    claim: AnyClaim, model: Any, sample: Sample, seed: str, cap: int, templates: int
) -> tuple[Battery, Measurement]:
    """Fix every constant of the claim's test from exploration pairs.

    Args:
        sample: at least 64 exploration pairs.
        seed: of the choice of what the claim is compared with.
        cap: the most prompts a test may use.
        templates: how many templates the confirmation prompts come from.

    Raises:
        UserError: too few pairs, or the model has nothing to compare the claim with.
    """
    tested, spent = claim.tested, 0.0
    matched = draw_matched(tested, Shape.of(model.cfg), seed)
    if isinstance(tested, SearchedClaim):
        matched["shuffled"], spent = _best_shuffled(tested, model, sample, seed)
    matched |= tested.match_positions(_positions(sample.runs))
    measured = measure(claim, matched, model, sample)
    controls = sample.controls if needs_controls(claim) else {}
    unigram = {name: unigram_loss(runs.pairs, model) for name, runs in controls.items()}
    gap, control_gaps = gaps(measured.values, unigram)
    draft = Battery.draft(gap, control_gaps, matched)
    battery = fixed(claim, draft, Data(measured.values, sample.templates), cap, templates)
    return battery, replace(measured, unigram=unigram, forwards=measured.forwards + spent)


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


def _positions(runs: Runs) -> dict[str, np.ndarray]:
    names = runs.batches[0].batch.positions
    index = np.concatenate([b.batch.index for b in runs.batches])
    found = {name: np.concatenate([b.batch.positions[name] for b in runs.batches]) for name in names}
    return {name: at[np.argsort(index)] for name, at in found.items()}
