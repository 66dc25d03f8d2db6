"""Batches of a test as data, and the pure function that measures one.

A `Batch` holds all that a process with the model needs, and neither the log nor the study's secret.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lakatos.tools.behaviour import Behaviour, PromptPair
from lakatos.tools.claim import AnyClaim
from lakatos.tools.evidence import Battery, Data, Unit
from lakatos.tools.experiment.measuring import Measurement, measure
from lakatos.tools.experiment.sampling import Drawn, draw_prompts, needs_donors, streams
from lakatos.tools.model import LoadedModel
from lakatos.tools.statistics import BATCH


@dataclass(frozen=True)
class Batch:
    """Sixteen confirmation prompts of a claim's test, before they are drawn."""

    claim: AnyClaim
    battery: Battery
    behaviour: Behaviour
    controls: tuple[Behaviour, ...]
    unit: Unit  # where templates are bet on, prompts come in blocks of one template
    number: int  # 0, 1, ...
    seeds: dict[str, int]  # purpose -> seed: of this batch's streams and of no others

    @classmethod
    def of(
        cls,
        claim: AnyClaim,
        battery: Battery,
        behaviour: Behaviour,
        controls: Sequence[Behaviour],
        number: int,
        seed: Callable[[str], int],
        *,
        unit: Unit,
    ) -> Batch:
        """A batch with the seeds that its prompts, donors and control texts need.

        Args:
            seed: from a purpose to a seed.
        """
        wanted = streams(controls, BATCH * number, needs_donors(claim))
        seeds = {purpose: seed(purpose) for purpose in wanted}
        return cls(claim, battery, behaviour, tuple(controls), unit, number, seeds)

    def draw(self, tokenizer: Any) -> Drawn:
        """Its prompts.

        Raises:
            Exhausted: the behaviour has no more to give.
        """
        return draw_prompts(
            self.behaviour,
            self.controls,
            tokenizer,
            n=BATCH,
            skip=BATCH * self.number,
            split="confirmation",
            seeds=self.seeds.__getitem__,
            donors=needs_donors(self.claim),
            family=self.claim.family,
            unit=self.unit,
        )


@dataclass(frozen=True)
class Measured:
    """A batch that was measured: its prompts, and the whole battery on each."""

    batch: Batch
    prompts: tuple[PromptPair, ...]
    measurement: Measurement
    seconds: float  # of drawing and measuring

    @property
    def data(self) -> Data:
        """What the stopping rule reads."""
        return Data(self.measurement.values, tuple(pair.template for pair in self.prompts))


def measure_batch(batch: Batch, model: LoadedModel) -> Measured:
    """Draw a batch and measure its claim's battery on it: a function of the batch and of the model's weights alone.

    Raises:
        Exhausted: the behaviour has no more prompts to give.
        FloatingPointError: the model gives numbers that are not finite.
    """
    began = time.monotonic()
    sample = batch.draw(model.tokenizer).on(model.bridge)
    measurement = measure(batch.claim, batch.battery.matched, model.bridge, sample)
    return Measured(batch, tuple(sample.runs.pairs), measurement, time.monotonic() - began)
