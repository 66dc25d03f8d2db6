"""The whole battery of a claim, measured on a sample."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lakatos.tools.behaviour import PromptPairs, encode
from lakatos.tools.claim import AnyClaim, Arm, AttentionRole, Matched
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
        Values named clean, corrupted, the claim's arms, control.NAME.clean and control.NAME.ARM for those arms that run
        elsewhere too; or attention.ROLE.
    """
    tested = claim.tested
    if isinstance(tested, AttentionRole):
        masses = attention_masses(model, sample.runs.pairs, tested.parsed(), tested.attends_from)
        wanted = (tested.attends_to, *matched["positions"])
        spent = float(len(sample.runs.pairs))
        return Measurement({f"attention.{role}": masses[role] for role in wanted}, "reference", spent, {})
    arms = tested.arms(matched)
    values, engine, forwards = _run(model, sample.runs, arms, tested.metric)
    elsewhere = [arm for arm in arms if arm.elsewhere]
    for name, runs in sample.controls.items():
        found = run_interventions(model, runs, [everywhere(_intervention(arm)) for arm in elsewhere], base="clean")
        values[f"control.{name}.clean"] = found.clean
        values |= {f"control.{name}.{arm.name}": row for arm, row in zip(elsewhere, found.values, strict=True)}
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


def _run(model: Any, runs: Runs, arms: Sequence[Arm], metric: str) -> tuple[Values, str, float]:
    """The metric of each arm, and of the clean and the corrupted run. All arms of a claim share their base run."""
    base, *others = {arm.base for arm in arms}
    assert not others
    effects = run_interventions(model, runs, [_intervention(arm) for arm in arms], base=base, metric=metric)  # type: ignore[arg-type]
    values: Values = {"clean": effects.clean, "corrupted": effects.corrupted}
    values |= {arm.name: row for arm, row in zip(arms, effects.values, strict=True)}
    return values, effects.engine, effects.forwards


def _intervention(arm: Arm) -> Intervention:
    return Intervention(arm.components, arm.source, to=arm.to, keep=arm.keep)
