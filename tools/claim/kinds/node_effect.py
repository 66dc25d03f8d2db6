"""Activation patching: the components move the metric, more than matched random components do."""

from __future__ import annotations

import random
from typing import Literal

import numpy as np
from pydantic import Field

from lakatos.tools.claim.base import (
    CARRIES,
    INTERVENTION,
    METRIC,
    THRESHOLD,
    BaseClaim,
    Floats,
    Gauge,
    Matched,
    MeasuredClaim,
    Part,
    Values,
    moved_by,
    patching,
    split,
)
from lakatos.tools.claim.measures import INTERVENED, Arm, of_match
from lakatos.tools.claim.opponents import distinct, near
from lakatos.tools.claim.schema import Offer, Schema, claim_form, ref
from lakatos.tools.claim.vocabulary import LEAST_RANDOM, Direction, Patch, patch
from lakatos.tools.claim.words import count
from lakatos.tools.component import Shape


class NodeEffect(MeasuredClaim):
    """Activation patching: the components move the metric, more than matched random components do."""

    synonyms = ("activation_patching", "patching")
    example = "a9.h6@END opposes ioi (noising, logit_diff, >= 10% of gap, 5 random)"
    phrases = CARRIES
    options = (INTERVENTION, METRIC, THRESHOLD, count("matched_random", LEAST_RANDOM, "random"))
    of_an_effect = True

    kind: Literal["node_effect"] = "node_effect"
    intervention: Patch = Field(
        "denoising", description="denoising: clean into the corrupted run; noising: corrupted into the clean run"
    )
    direction: Direction = Field("supports", description="supports: the components carry the behaviour")
    matched_random: int = Field(
        LEAST_RANDOM, ge=LEAST_RANDOM, le=8, description="how many matched random components it is compared with"
    )

    @property
    def how(self) -> str:
        return self.intervention

    def arms(self, matched: Matched) -> tuple[Arm, ...]:
        source, base = patch(self.intervention)
        others = [Arm(of_match(k), split(text), source, base) for k, text in enumerate(matched["random"])]
        return (Arm(INTERVENED, self.components, source, base), *others)

    def parts(self, gauge: Gauge, values: Values) -> list[Part]:
        def moved(name: str) -> Floats:
            return moved_by(self.intervention, self.direction, values, name)

        effect, delta = moved(INTERVENED), self.threshold * gauge.gap
        others = np.mean([moved(of_match(k)) for k in range(len(gauge.matched["random"]))], axis=0)
        return [
            Part("effect", effect, delta, self.unit),
            Part("beyond matched random", effect - others, delta, self.unit),
        ]

    def draw(self, rng: random.Random, shape: Shape) -> dict[str, tuple[str, ...]]:
        return {"random": distinct(self.matched_random, lambda: near(rng, self.parsed(), shape))}

    def refutes(self, other: BaseClaim) -> bool:
        """The other direction, whatever the thresholds."""
        return isinstance(other, NodeEffect) and (
            (self.intervention, self.metric) == (other.intervention, other.metric) and self.direction != other.direction
        )

    def in_words(self, behaviour: str) -> str:  # noqa: ARG002
        return (
            f"{patching(self.where, self.intervention, self.direction)} the {self.metric_in_words} by at least "
            f"{self.amount}, and by at least that much more than patching matched random components does."
        )

    @classmethod
    def schemas(cls, offer: Offer) -> dict[str, Schema]:  # noqa: ARG003
        fields = {"components": ref("anywhere"), "intervention": ref("patch"), "direction": ref("direction")}
        return {cls.name(): claim_form(cls.name(), **fields, threshold=ref("threshold"))}
