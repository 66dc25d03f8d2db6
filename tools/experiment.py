"""Where claim, prompts, model and statistics meet.

`calibrate` turns a claim into a battery: what is measured, and the constants that are fixed before any confirmation
prompt exists. `run_experiment` draws batches, measures the whole battery on each, updates the e-process and stops by
the registered rule. What follows from the numbers is in `battery.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lakatos.tools.attention import attention_masses
from lakatos.tools.battery import Data, Values, e_process, fixed, gaps, stopped
from lakatos.tools.behaviour import Behaviour
from lakatos.tools.circuits import Sufficiency
from lakatos.tools.claim_base import Arm, Matched
from lakatos.tools.claims import AttentionRole
from lakatos.tools.donors import draw_donors
from lakatos.tools.encoding import encode
from lakatos.tools.hypothesis import AnyClaim, Battery, Unit
from lakatos.tools.intervention import Intervention, Runs, everywhere, run_interventions
from lakatos.tools.matched import Shape, draw_matched, roles_to_compare, shuffled_circuits
from lakatos.tools.pairs import PromptPairs, Split
from lakatos.tools.statistics import PER_TEMPLATE

EXPLORED = 64  # exploration pairs behind every constant


@dataclass(frozen=True)
class Sample:
    """Prompts ready to be measured: the behaviour's pairs with their donors, and as many of each control's."""

    runs: Runs
    controls: dict[str, Runs]

    @property
    def templates(self) -> tuple[str, ...]:
        """The template of each pair."""
        return tuple(pair.template for pair in self.runs.pairs)


@dataclass(frozen=True)
class Measurement:
    """What a battery showed on a sample: raw metric values per prompt, never averaged."""

    values: Values
    engine: str
    forwards: float  # in forward passes of one prompt
    unigram: dict[str, float]  # loss of each control under its own token frequencies, in nats; only when calibrating


@dataclass(frozen=True)
class Prompts:
    """Prompts of one behaviour, each with its donor where the battery resamples."""

    pairs: PromptPairs
    donors: PromptPairs | None

    def take(self, places: Sequence[int]) -> Prompts:
        """Some of them."""

        def some(pairs: PromptPairs) -> PromptPairs:
            return replace(pairs, pairs=tuple(pairs[place] for place in places))

        return Prompts(some(self.pairs), None if self.donors is None else some(self.donors))

    def and_those(self, other: Prompts) -> Prompts:
        """These, then others that were drawn alike."""
        donors = None if self.donors is None or other.donors is None else self.donors.concat(other.donors)
        return Prompts(self.pairs.concat(other.pairs), donors)


@dataclass(frozen=True)
class Drawn:
    """What a battery is to be measured on, before any model has run: the behaviour's prompts, and as many controls'."""

    prompts: Prompts
    controls: dict[str, Prompts]

    def take(self, places: Sequence[int]) -> Drawn:
        """Some of the prompts."""
        return Drawn(self.prompts.take(places), {name: own.take(places) for name, own in self.controls.items()})

    def and_those(self, other: Drawn) -> Drawn:
        """These, then others that were drawn alike."""
        controls = {name: own.and_those(other.controls[name]) for name, own in self.controls.items()}
        return Drawn(self.prompts.and_those(other.prompts), controls)

    def on(self, model: Any) -> Sample:
        """Ready to be measured on a model."""

        def runs(prompts: Prompts) -> Runs:
            return Runs(model, prompts.pairs, prompts.donors)

        return Sample(runs(self.prompts), {name: runs(own) for name, own in self.controls.items()})


def draw_prompts(
    behaviour: Behaviour,
    controls: Sequence[Behaviour],
    tokenizer: Any,
    *,
    n: int,
    skip: int,
    split: Split,
    seeds: Callable[[str], int],
    donors: bool,
    family: str | None = None,
    unit: Unit = "prompt",
) -> Drawn:
    """Draw prompts skip .. skip + n of the streams that `seeds` gives.

    Args:
        seeds: from a purpose ("pairs", "donors", "control:NAME", ...) to a seed.
        donors: whether every prompt gets a donor for resample ablation.
        family: a prompt family of the behaviour in place of its confirmation templates.
        unit: where templates are bet on, prompts come in blocks of one template.
    """

    def prompts(source: Behaviour, purpose: str, pairs: PromptPairs) -> Prompts:
        # a batch's donors come from a stream of their own, so that batch k needs nothing from batches before it
        stream = seeds(f"{purpose}:donors:{skip}")
        return Prompts(pairs, draw_donors(source, pairs, tokenizer, stream) if donors else None)

    blocks = PER_TEMPLATE if unit == "template" else None
    drawn = behaviour.sample(n, seeds("pairs"), split, skip=skip, family=family, per_template=blocks)
    texts = [(c, f"control:{c.name}") for c in controls]
    return Drawn(
        prompts(behaviour, "pairs", drawn),
        {c.name: prompts(c, purpose, c.sample(n, seeds(purpose), split, skip=skip)) for c, purpose in texts},
    )


def needs_donors(claim: AnyClaim) -> bool:
    """Whether the claim's battery replaces activations by those of other prompts."""
    fields = (getattr(claim.tested, name, None) for name in ("ablation", "intervention"))
    return "resample" in fields


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
    if isinstance(tested, Sufficiency):
        matched["shuffled"], spent = _best_shuffled(tested, model, sample, seed)
    if isinstance(tested, AttentionRole):
        matched["positions"] = roles_to_compare(tested, _positions(sample.runs))
    measured = measure(claim, matched, model, sample)
    unigram = {name: unigram_loss(runs.pairs, model) for name, runs in sample.controls.items()}
    gap, control_gaps = gaps(measured.values, unigram)
    draft = Battery.draft(gap, control_gaps, matched)
    battery = fixed(claim, draft, Data(measured.values, sample.templates), cap, templates)
    return battery, replace(measured, unigram=unigram, forwards=measured.forwards + spent)


def run_experiment(
    claim: AnyClaim,
    battery: Battery,
    threshold: float,
    model: Any,
    draw: Callable[[int], Sample],
    done: Sequence[Data],
    on_batch: Callable[[int, Sample, Measurement, float], None],
) -> str:
    """Draw and measure batches until the registered rule stops the test.

    Args:
        threshold: the e-value at which the slot is confirmed whatever the others do.
        draw: from a batch's number to its prompts.
        done: batches measured before (a resumed test continues after them).
        on_batch: stores a batch; is given its number, prompts, measurement and the e-value after it. May raise `Stop`.

    Returns:
        Why it stopped: "success", "futility" or "exhausted".
    """
    so_far = list(done)
    while (reason := stopped(claim, battery, threshold, so_far)) is None:
        number = len(so_far)
        sample = draw(number)
        measured = measure(claim, battery.matched, model, sample)
        so_far.append(Data(measured.values, sample.templates))
        on_batch(number, sample, measured, float(e_process(claim, battery, Data.join(so_far))[-1]))
    return reason


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


def _best_shuffled(claim: Sufficiency, model: Any, sample: Sample, seed: str) -> tuple[tuple[str, ...], float]:
    """The circuit from shuffled labels that keeps most of the true behaviour on the exploration pairs, and the cost."""
    from lakatos.tools.attribution import node_scores

    pairs = sample.runs.pairs
    positions = [c.position for c in claim.parsed()]
    circuits = shuffled_circuits(claim, node_scores(model, pairs, claim.metric, positions), seed)
    if not circuits:
        return (), 3.0 * len(pairs)
    arms = [Arm(str(k), circuit, claim.ablation, keep=True) for k, circuit in enumerate(circuits)]
    values, _, forwards = _run(model, sample.runs, arms, claim.metric)
    best = max(range(len(circuits)), key=lambda k: float(values[str(k)].mean()))
    return ("+".join(circuits[best]),), forwards + 3.0 * len(pairs)  # two forward passes and one backward for each pair


def _positions(runs: Runs) -> dict[str, np.ndarray]:
    names = runs.batches[0].batch.positions
    index = np.concatenate([b.batch.index for b in runs.batches])
    found = {name: np.concatenate([b.batch.positions[name] for b in runs.batches]) for name in names}
    return {name: at[np.argsort(index)] for name, at in found.items()}
