"""Where claim, prompts, model and statistics meet.

`calibrate` turns a claim into a battery: what is measured, and the constants that are fixed before any confirmation
prompt exists. `run_experiment` draws batches, measures the whole battery on each, updates the e-process and stops by
the registered rule. What follows from the numbers is in `battery.py`.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lakatos.tools.battery import Values, e_process, gaps, stack, stopped, with_lines
from lakatos.tools.behaviour import Behaviour
from lakatos.tools.component import Component
from lakatos.tools.donors import draw_donors
from lakatos.tools.encoding import encode
from lakatos.tools.errors import UserError
from lakatos.tools.hypothesis import AnyClaim, Battery, Necessity, NodeEffect
from lakatos.tools.intervention import Base, Effects, Intervention, Runs, everywhere, run_interventions
from lakatos.tools.pairs import PromptPairs, Split

EXPLORED = 64  # exploration pairs behind every constant
_NEAR = 3  # matched random components lie within so many layers


@dataclass(frozen=True)
class Sample:
    """Prompts ready to be measured: the behaviour's pairs with their donors, and as many of each control's."""

    runs: Runs
    controls: dict[str, Runs]


@dataclass(frozen=True)
class Measurement:
    """What a battery showed on a sample: raw metric values per prompt, never averaged."""

    values: Values
    engine: str
    forwards: float  # in forward passes of one prompt
    unigram: dict[str, float]  # loss of each control under its own token frequencies, in nats; only when calibrating


def draw_sample(
    behaviour: Behaviour,
    controls: Sequence[Behaviour],
    model: Any,
    *,
    n: int,
    skip: int,
    split: Split,
    seeds: Callable[[str], int],
    donors: bool,
) -> Sample:
    """Draw prompts skip .. skip + n of the streams that `seeds` gives.

    Args:
        seeds: from a purpose ("pairs", "donors", "control:NAME", ...) to a seed.
        donors: whether every prompt gets a donor for resample ablation.
    """

    def runs(source: Behaviour, purpose: str) -> Runs:
        pairs = source.sample(n, seeds(purpose), split, skip=skip)
        # a batch's donors come from a stream of their own, so that batch k needs nothing from batches before it
        own = draw_donors(source, pairs, model.tokenizer, seeds(f"{purpose}:donors:{skip}")) if donors else None
        return Runs(model, pairs, own)

    return Sample(runs(behaviour, "pairs"), {c.name: runs(c, f"control:{c.name}") for c in controls})


def needs_donors(claim: AnyClaim) -> bool:
    """Whether the claim's battery replaces activations by those of other prompts."""
    return isinstance(claim, Necessity) and claim.ablation == "resample"


def measure(claim: AnyClaim, matched: Sequence[str], model: Any, sample: Sample) -> Measurement:
    """Run the claim's whole battery on a sample, as one plan through the engine.

    Args:
        matched: the matched random components of the battery (`Battery.controls`).

    Returns:
        Values named clean, corrupted, intervened, random.0, random.1, ..., control.NAME.clean, control.NAME.intervened.
    """
    source = claim.ablation if isinstance(claim, Necessity) else _SOURCE[claim.intervention]
    base: Base = "corrupted" if isinstance(claim, NodeEffect) and claim.intervention == "denoising" else "clean"
    target = Intervention(claim.parsed(), source)
    plan = [target, *(Intervention(text.split("+"), source) for text in matched)]

    def run(runs: Runs, interventions: list[Intervention]) -> Effects:
        return run_interventions(model, runs, interventions, base=base, metric=claim.metric)

    effects = run(sample.runs, plan)
    values: Values = {"clean": effects.clean, "corrupted": effects.corrupted, "intervened": effects.values[0]}
    values |= {f"random.{k}": row for k, row in enumerate(effects.values[1:])}
    forwards = effects.forwards
    for name, runs in sample.controls.items():
        control = run(runs, [everywhere(target)])
        values |= {f"control.{name}.clean": control.clean, f"control.{name}.intervened": control.values[0]}
        forwards += control.forwards
    return Measurement(values, effects.engine, forwards, {})


def calibrate(claim: AnyClaim, model: Any, sample: Sample, identity: str, cap: int) -> tuple[Battery, Measurement]:
    """Fix every constant of the claim's test from exploration pairs.

    Args:
        sample: at least 64 exploration pairs.
        identity: the claim's hash, which seeds the choice of matched random components.
        cap: the most prompts a test may use.

    Raises:
        UserError: too few pairs, or no matched component is left in the model.
    """
    matched = matched_components(claim, model.cfg, identity) if isinstance(claim, NodeEffect) else []
    measured = measure(claim, matched, model, sample)
    unigram = {name: unigram_loss(runs.pairs, model) for name, runs in sample.controls.items()}
    gap, control_gaps = gaps(measured.values, unigram)
    draft = Battery(
        gap=gap,
        control_gaps=control_gaps,
        controls=tuple(matched),
        lines=(),
        predicted_d=0.0,
        n_max=cap,
        explored=len(sample.runs.pairs),
    )
    return with_lines(claim, draft, measured.values, cap), replace(measured, unigram=unigram)


def run_experiment(
    claim: AnyClaim,
    battery: Battery,
    threshold: float,
    model: Any,
    draw: Callable[[int], Sample],
    done: Sequence[Values],
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
        measured = measure(claim, battery.controls, model, sample)
        so_far.append(measured.values)
        on_batch(number, sample, measured, float(e_process(claim, battery, stack(so_far))[-1]))
    return reason


def matched_components(claim: AnyClaim, cfg: Any, identity: str) -> list[str]:
    """Random components of the same types at the same positions in near layers, chosen by the claim's hash.

    Raises:
        UserError: the model is too small to have any besides the claim's own.
    """
    own = claim.parsed()
    rng = random.Random(f"matched:{identity}")
    chosen: list[str] = []
    candidates = [[str(c) for c in _similar(component, cfg, exclude=own)] for component in own]
    wanted = claim.matched_random if isinstance(claim, NodeEffect) else 0
    for _ in range(50 * wanted):
        drawn: list[str] = []
        for similar in candidates:
            left = [c for c in similar if c not in drawn]
            drawn += [rng.choice(left)] if left else []
        text = "+".join(sorted(drawn))
        if len(drawn) == len(own) and text not in chosen:  # as many as the claim has: fewer would be easier to beat
            chosen.append(text)
        if len(chosen) == wanted:
            break
    if wanted and not chosen:
        raise UserError("The model has not enough other components of these types nearby to compare with.")
    return sorted(chosen)


def unigram_loss(pairs: PromptPairs, model: Any) -> float:
    """Cross-entropy of the texts under their own token frequencies, in nats: what knowing only frequencies gives.

    It is the lowest that any unigram model reaches on them, so damage as a fraction of it is never understated.
    """
    counts: Counter[int] = Counter()
    for batch in encode(pairs, model.tokenizer):
        counts.update(batch.clean[:, 1:].ravel().tolist())
    frequencies = np.array(list(counts.values()), dtype=float) / counts.total()
    return float(-(frequencies * np.log(frequencies)).sum())


_SOURCE: dict[str, Any] = {"denoising": "clean", "noising": "corrupted"}


def _similar(component: Component, cfg: Any, exclude: Sequence[Component]) -> Iterator[Component]:
    width = component.width(cfg)
    for layer in range(max(0, component.layer - _NEAR), min(cfg.n_layers, component.layer + _NEAR + 1)):
        for index in range(width) if width is not None else [None]:
            other = Component(layer, component.kind, index, component.position)
            if other not in exclude:
                yield other
