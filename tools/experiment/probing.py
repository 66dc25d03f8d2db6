"""What claims would show, tried on exploration prompts before they cost a slot. Suggestions, never evidence."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from lakatos.tools.claim import AnyClaim
from lakatos.tools.evidence import Battery, parts_of
from lakatos.tools.experiment.calibrating import opponents
from lakatos.tools.experiment.measuring import CLAIM_FAILURES, measure
from lakatos.tools.experiment.sampling import Sample
from lakatos.tools.statistics import standardised_effect


class Probed(NamedTuple):
    """A claim's whole battery on exploration prompts."""

    effect: float  # mean of the main line, in its unit
    promise: float  # (mean - delta) / sd of the line where that is smallest: negative, the claim would fail
    forwards: float


def probe(claim: AnyClaim, model: Any, sample: Sample, gap: float, seed: str) -> Probed | None:
    """Measure a claim's battery on exploration prompts; None: it cannot be measured on this model and behaviour.

    Args:
        gap: what thresholds are fractions of, in metric units.
        seed: of the choice of what the claim is compared with here; its test is compared with others.
    """
    try:
        matched, searched = opponents(claim, seed, model, sample)
        shown = measure(claim, matched, model, sample)
    except CLAIM_FAILURES:
        return None
    parts = [part for part in parts_of(claim, Battery.draft(gap, {}, matched), shown.values) if part.decides]
    weakest = min(standardised_effect(part.effect, part.delta) for part in parts)
    promise = -math.inf if math.isnan(weakest) else weakest
    return Probed(float(parts[0].effect.mean()), promise, shown.forwards + searched)
