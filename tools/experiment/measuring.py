"""The whole batteries of claims, measured on the same sample.

Arms that have base run and metric in common run as one plan through the engine, equal ones once; heads' attention is
read in one forward pass.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from lakatos.tools.behaviour import PromptPairs, encode
from lakatos.tools.claim import AnyClaim, Arm, Arms, Look, Matched
from lakatos.tools.claim.measures import CLEAN, CORRUPTED, of_control, of_role
from lakatos.tools.claim.vocabulary import Base, Metric
from lakatos.tools.errors import UserError
from lakatos.tools.evidence import Values
from lakatos.tools.experiment.attention import Looking, attention_masses
from lakatos.tools.experiment.sampling import Sample, needs_controls
from lakatos.tools.intervention import Effects, Intervention, Runs, everywhere, run_interventions

# What a claim may be at fault for where its constants are measured.
CLAIM_FAILURES = (UserError, FloatingPointError)

# What a test may die of, so that it is the claim's failure. Anything else is a mistake of the program.
TEST_FAILURES = (ArithmeticError, RuntimeError, ValueError, MemoryError, LookupError, TypeError, UserError)


@dataclass(frozen=True)
class Measurement:
    """What a battery showed on a sample: raw metric values per prompt, never averaged."""

    values: Values
    engine: str
    forwards: float  # in forward passes of one prompt
    unigram: dict[str, float]  # loss of each control under its own token frequencies, in nats; only when calibrating


class Asked(NamedTuple):
    """A claim whose battery is to be measured, and what the battery compares with (`Battery.matched`)."""

    claim: AnyClaim
    matched: Matched


class Together(NamedTuple):
    """What several batteries showed on a sample."""

    values: list[Values]  # of each battery, under the names of `lakatos.tools.claim.measures`
    engines: list[str]  # that measured it
    forwards: float  # of all of them, in forward passes of one prompt


def measure(claim: AnyClaim, matched: Matched, model: Any, sample: Sample) -> Measurement:
    """Run the claim's whole battery on a sample.

    Args:
        matched: what the battery compares with (`Battery.matched`).

    Returns:
        Values under the names of `lakatos.tools.claim.measures`.
    """
    (values,), (engine,), forwards = measure_together([Asked(claim, matched)], model, sample)
    return Measurement(values, engine, forwards, {})


def measure_together(asked: Sequence[Asked], model: Any, sample: Sample) -> Together:
    """Run the whole batteries of several claims on a sample, as if they were one.

    Equal numbers of several batteries may be one array.

    Raises:
        UserError, FloatingPointError, ...: any of `TEST_FAILURES`, of whichever claim fails first.
    """
    wanted = [claim.tested.measured(matched) for claim, matched in asked]
    looks = {place: look for place, look in enumerate(wanted) if isinstance(look, Look)}
    arms = {place: own for place, own in enumerate(wanted) if isinstance(own, Arms)}
    looked, spent = _look({place: (asked[place].claim, look) for place, look in looks.items()}, model, sample)
    here, forwards = run_arms(model, sample.runs, list(arms.values()))
    controlled = {place: own for place, own in arms.items() if needs_controls(asked[place].claim)}
    there, more = _run_controls(model, sample.controls, list(controlled.values()))
    elsewhere = dict(zip(controlled, there, strict=True))
    values, engines = dict(looked), dict.fromkeys(looks, "reference")
    for place, (own, engine) in zip(arms, here, strict=True):
        values[place], engines[place] = own | elsewhere.get(place, {}), engine
    places = range(len(asked))
    return Together([values[place] for place in places], [engines[place] for place in places], spent + forwards + more)


def unigram_loss(pairs: PromptPairs, model: Any) -> float:
    """Cross-entropy of the texts under their own token frequencies, in nats: what knowing only frequencies gives.

    It is the lowest that any unigram model reaches on them, so damage as a fraction of it is never understated.
    """
    counts: Counter[int] = Counter()
    for batch in encode(pairs, model.tokenizer):
        counts.update(batch.clean[:, 1:].ravel().tolist())
    frequencies = np.array(list(counts.values()), dtype=float) / counts.total()
    return float(-(frequencies * np.log(frequencies)).sum())


def run_arms(model: Any, runs: Runs, batteries: Sequence[Arms]) -> tuple[list[tuple[Values, str]], float]:
    """The metric of each arm, and of the clean and the corrupted run, of each battery, with the engine; the cost."""
    plans: dict[tuple[Base, Metric], dict[Intervention, int]] = {}
    for own in batteries:
        _add(plans.setdefault(_plan(own), {}), own.arms)
    effects = {
        (base, metric): run_interventions(model, runs, list(plan), base=base, metric=metric)
        for (base, metric), plan in plans.items()
    }
    found = []
    for own in batteries:
        shown, rows = effects[_plan(own)], plans[_plan(own)]
        values: Values = {CLEAN: shown.clean, CORRUPTED: shown.corrupted}
        values |= {arm.name: shown.values[rows[_intervention(arm)]] for arm in own.arms}
        found.append((values, str(shown.engine)))
    return found, sum(shown.forwards for shown in effects.values())


def _run_controls(model: Any, controls: Mapping[str, Runs], batteries: Sequence[Arms]) -> tuple[list[Values], float]:
    """The clean run of each control and the arms that run there too, of each battery; the cost."""
    rows: dict[Intervention, int] = {}
    for own in batteries:
        _add(rows, own.elsewhere, anywhere=True)
    effects: dict[str, Effects] = {}
    for name, runs in controls.items() if batteries else ():
        effects[name] = run_interventions(model, runs, list(rows), base="clean")
    found: list[Values] = []
    for own in batteries:
        values: Values = {}
        for name, shown in effects.items():
            values[of_control(name)] = shown.clean
            for arm in own.elsewhere:
                values[of_control(name, arm.name)] = shown.values[rows[everywhere(_intervention(arm))]]
        found.append(values)
    return found, sum(shown.forwards for shown in effects.values())


def _look(looks: Mapping[int, tuple[AnyClaim, Look]], model: Any, sample: Sample) -> tuple[dict[int, Values], float]:
    """The shares of attention of each, and the cost."""
    if not looks:
        return {}, 0.0
    pairs = sample.runs.pairs
    looking = [Looking(claim.tested.parsed(), look.source) for claim, look in looks.values()]
    masses = attention_masses(model, pairs, looking)
    found = {
        place: {of_role(role): own[role] for role in look.roles}
        for (place, (_, look)), own in zip(looks.items(), masses, strict=True)
    }
    return found, float(len(pairs))


def _plan(battery: Arms) -> tuple[Base, Metric]:
    """What the arms of one plan have in common. All arms of a claim share their base run."""
    base, *others = {arm.base for arm in battery.arms}
    assert not others
    return base, battery.metric


def _add(rows: dict[Intervention, int], arms: Sequence[Arm], anywhere: bool = False) -> None:
    """Give each arm a row of the plan; equal ones have one."""
    for arm in arms:
        intervention = _intervention(arm)
        rows.setdefault(everywhere(intervention) if anywhere else intervention, len(rows))


def _intervention(arm: Arm) -> Intervention:
    return Intervention(arm.components, arm.source, to=arm.to, keep=arm.keep)
