"""The whole battery of a claim, measured on a sample."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from lakatos.tools.behaviour import PromptPairs, encode
from lakatos.tools.claim import AnyClaim, Arm, Arms, Look, Matched
from lakatos.tools.claim.measures import CLEAN, CORRUPTED, of_control, of_role
from lakatos.tools.evidence import Values
from lakatos.tools.experiment.attention import attention_masses
from lakatos.tools.experiment.sampling import Sample
from lakatos.tools.intervention import Intervention, Runs, everywhere, run_interventions


@dataclass(frozen=True)
class Measurement:
    """What a battery showed on a sample: raw metric values per prompt, never averaged."""

    values: Values
    engine: str
    forwards: float  # in forward passes of one prompt
    unigram: dict[str, float]  # loss of each control under its own token frequencies, in nats; only when calibrating


def measure(claim: AnyClaim, matched: Matched, model: Any, sample: Sample) -> Measurement:
    """Run the claim's whole battery on a sample: the arms of each base run as one plan through the engine.

    Args:
        matched: what the battery compares with (`Battery.matched`).

    Returns:
        Values under the names of `lakatos.tools.claim.measures`.
    """
    wanted = claim.tested.measured(matched)
    if isinstance(wanted, Look):
        masses = attention_masses(model, sample.runs.pairs, claim.tested.parsed(), wanted.source)
        spent = float(len(sample.runs.pairs))
        return Measurement({of_role(role): masses[role] for role in wanted.roles}, "reference", spent, {})
    values, engine, forwards = run_arms(model, sample.runs, wanted)
    elsewhere = wanted.elsewhere
    for name, runs in sample.controls.items():
        found = run_interventions(model, runs, [everywhere(_intervention(arm)) for arm in elsewhere], base="clean")
        values[of_control(name)] = found.clean
        values |= {of_control(name, arm.name): row for arm, row in zip(elsewhere, found.values, strict=True)}
        forwards += found.forwards
    return Measurement(values, engine, forwards, {})


def unigram_loss(pairs: PromptPairs, model: Any) -> float:
    """Cross-entropy of the texts under their own token frequencies, in nats: what knowing only frequencies gives.

    It is the lowest that any unigram model reaches on them, so damage as a fraction of it is never understated.
    """
    counts: Counter[int] = Counter()
    for batch in encode(pairs, model.tokenizer):
        counts.update(batch.clean[:, 1:].ravel().tolist())
    frequencies = np.array(list(counts.values()), dtype=float) / counts.total()
    return float(-(frequencies * np.log(frequencies)).sum())


def run_arms(model: Any, runs: Runs, wanted: Arms) -> tuple[Values, str, float]:
    """The metric of each arm, and of the clean and the corrupted run. All arms of a claim share their base run."""
    metric, arms = wanted
    base, *others = {arm.base for arm in arms}
    assert not others
    effects = run_interventions(model, runs, [_intervention(arm) for arm in arms], base=base, metric=metric)
    values: Values = {CLEAN: effects.clean, CORRUPTED: effects.corrupted}
    values |= {arm.name: row for arm, row in zip(arms, effects.values, strict=True)}
    return values, effects.engine, effects.forwards


def _intervention(arm: Arm) -> Intervention:
    return Intervention(arm.components, arm.source, to=arm.to, keep=arm.keep)
