"""What a claim is measured on: prompts of the behaviour, of its controls, and their donors."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lakatos.tools.behaviour import Behaviour, PromptPairs, Split, draw_donors
from lakatos.tools.claim import AnyClaim
from lakatos.tools.evidence import Unit
from lakatos.tools.intervention import Runs
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

    @property
    def positions(self) -> dict[str, np.ndarray]:
        """Where the named positions are: name -> [n] token index of each pair."""
        batches = [own.batch for own in self.runs.batches]
        order = np.argsort(np.concatenate([batch.index for batch in batches]))
        return {k: np.concatenate([batch.positions[k] for batch in batches])[order] for k in batches[0].positions}


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

    def added_to(self, sample: Sample) -> Sample:
        """A sample of the same prompts with these donors: what it has recorded of the prompts is recorded for both.

        Raises:
            ValueError: it is of other prompts, or there are no donors.
        """

        def runs(prompts: Prompts, known: Runs) -> Runs:
            if prompts.donors is None or prompts.pairs.pairs != known.pairs.pairs:
                raise ValueError("donors are added to a sample of the same prompts")
            return known.with_donors(prompts.donors)

        controls = {name: runs(own, sample.controls[name]) for name, own in self.controls.items()}
        return Sample(runs(self.prompts, sample.runs), controls)


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
    without: Collection[str] = (),
) -> Drawn:
    """Draw prompts skip .. skip + n of the streams that `seeds` gives.

    Args:
        seeds: from a purpose ("pairs", "donors", "control:NAME", ...) to a seed.
        donors: whether every prompt gets a donor for resample ablation.
        family: a prompt family of the behaviour in place of its confirmation templates.
        unit: where templates are bet on, prompts come in blocks of one template.
        without: pairs of the behaviour that are passed over (`Behaviour.stream`).
    """

    def prompts(source: Behaviour, purpose: str, pairs: PromptPairs) -> Prompts:
        stream = seeds(_donors(purpose, skip)) if donors else None
        return Prompts(pairs, None if stream is None else draw_donors(source, pairs, tokenizer, stream))

    blocks = PER_TEMPLATE if unit == "template" else None
    drawn = behaviour.sample(n, seeds("pairs"), split, skip=skip, family=family, per_template=blocks, without=without)
    texts = [(c, _control(c)) for c in controls]
    return Drawn(
        prompts(behaviour, "pairs", drawn),
        {c.name: prompts(c, purpose, c.sample(n, seeds(purpose), split, skip=skip)) for c, purpose in texts},
    )


def streams(controls: Sequence[Behaviour], skip: int, donors: bool) -> tuple[str, ...]:
    """The purposes for which `draw_prompts` asks `seeds` when it is given these arguments."""
    purposes = ("pairs", *(_control(control) for control in controls))
    return (*purposes, *(_donors(purpose, skip) for purpose in purposes)) if donors else purposes


def _control(control: Behaviour) -> str:
    return f"control:{control.name}"


def _donors(purpose: str, skip: int) -> str:
    """A batch's donors come from a stream of their own, so that batch k needs nothing from batches before it."""
    return f"{purpose}:donors:{skip}"


def needs_donors(claim: AnyClaim) -> bool:
    """Whether the claim's battery replaces activations by those of other prompts."""
    return claim.tested.how == "resample"


def needs_controls(claim: AnyClaim) -> bool:
    """Whether the claim's battery measures control behaviours."""
    return claim.tested.needs_controls
