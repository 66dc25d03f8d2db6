"""Second-order ablation: components do the work of others when these are missing."""

from __future__ import annotations

import random
from typing import Literal

import numpy as np
from pydantic import Field, field_validator, model_validator

from lakatos.tools.claim.base import (
    ABLATION,
    METRIC,
    REPLACED_BY,
    THRESHOLD,
    Floats,
    Gauge,
    Matched,
    MeasuredClaim,
    Part,
    Values,
    split,
)
from lakatos.tools.claim.measures import CLEAN, Arm, of_match
from lakatos.tools.claim.opponents import distinct, near
from lakatos.tools.claim.schema import Offer, Schema, claim_form, ref
from lakatos.tools.claim.vocabulary import LEAST_RANDOM, Ablation
from lakatos.tools.claim.words import Phrase, count, place
from lakatos.tools.component import Component, Shape, canonical

BOTH, MISSING, SPARE = "both", "missing", "spare"


class Backup(MeasuredClaim):
    """Second-order ablation: components do the work of others when these are missing.

    Ablating both costs more than ablating each, taken together; with matched random components in their place it does
    not (backup name movers, Wang et al. 2022; the Hydra effect, McGrath et al. 2023). Two components that work side by
    side lose as much together as apart, and are no backups of each other. What is measured is the same both ways; that
    the backup steps in, and not the other way round, follows from its coming later.
    """

    synonyms = ("backs_up",)
    example = "a10.h0 backs up a9.h6 in ioi (resample, logit_diff, >= 10% of gap, 5 random)"
    phrases = (Phrase("backs up <of+> in"),)
    options = (ABLATION, METRIC, THRESHOLD, count("matched_random", LEAST_RANDOM, "random"))
    most = 8
    main = (BOTH, MISSING, SPARE)

    kind: Literal["backup"] = "backup"
    of: tuple[str, ...] = Field(
        min_length=1, max_length=8, description="whose work the components do where it is missing"
    )
    ablation: Ablation = Field("resample", description="what replaces the activations")
    matched_random: int = Field(
        LEAST_RANDOM, ge=LEAST_RANDOM, le=8, description="how many matched random components they are compared with"
    )

    @field_validator("of", mode="after")
    @classmethod
    def _canonical_of(cls, of: tuple[str, ...]) -> tuple[str, ...]:
        return canonical(of)

    @model_validator(mode="after")
    def _apart(self) -> Backup:
        if both := sorted({c.atom() for c in self.parsed()} & {c.atom() for c in self._missing()}):
            raise ValueError(f"{', '.join(both)} cannot back itself up")
        first, last = min(self.parsed(), key=_order), max(self._missing(), key=_order)
        if _order(first) <= _order(last):
            raise ValueError(f"{first} cannot step in for {last}, which does not come before it")
        return self

    @property
    def how(self) -> str:
        return self.ablation

    def places(self) -> tuple[Component, ...]:
        return (*self.parsed(), *self._missing())

    def arms(self, matched: Matched) -> tuple[Arm, ...]:
        def ablated(name: str, *components: str) -> Arm:
            return Arm(name, canonical(components), self.ablation)

        arms = [ablated(BOTH, *self.of, *self.components), ablated(MISSING, *self.of), ablated(SPARE, *self.components)]
        for k, text in enumerate(matched["random"]):
            arms += [ablated(of_match(k), *self.of, *split(text)), ablated(of_match(k, "alone"), *split(text))]
        return tuple(arms)

    def parts(self, gauge: Gauge, values: Values) -> list[Part]:
        def lost(name: str) -> Floats:
            return values[CLEAN] - values[name]

        def beyond(both: str, alone: str) -> Floats:
            return lost(both) - lost(MISSING) - lost(alone)

        delta, more = self.threshold * gauge.gap, beyond(BOTH, SPARE)
        drawn = range(len(gauge.matched["random"]))
        others = np.mean([beyond(of_match(k), of_match(k, "alone")) for k in drawn], axis=0)
        return [
            Part("more than apart", more, delta, self.unit),
            Part("both", lost(BOTH), delta, self.unit),
            Part("beyond matched random", more - others, delta, self.unit),
        ]

    def draw(self, rng: random.Random, shape: Shape) -> dict[str, tuple[str, ...]]:
        missing = {c.atom() for c in self._missing()}

        def others() -> list[Component] | None:
            drawn = near(rng, self.parsed(), shape)
            return None if drawn is None or missing & {c.atom() for c in drawn} else drawn

        return {"random": distinct(self.matched_random, others)}

    def in_words(self, behaviour: str) -> str:
        missing = " together with ".join(place(c) for c in self.of)
        return (
            f"Replacing {self.where} and {missing} together by {REPLACED_BY[self.ablation]} costs {behaviour} at least "
            f"{self.amount} in {self.metric_in_words} more than replacing each does, taken together; with matched "
            "random components in place of the former it does not."
        )

    @classmethod
    def schemas(cls, offer: Offer) -> dict[str, Schema]:  # noqa: ARG003
        fields = {"components": ref("senders"), "of": ref("senders"), "ablation": ref("ablation")}
        return {cls.name(): claim_form(cls.name(), **fields, threshold=ref("threshold"))}

    def _missing(self) -> tuple[Component, ...]:
        return tuple(Component.parse(c) for c in self.of)


def _order(component: Component) -> tuple[int, bool]:
    """Components of a larger value can read what those of a smaller one write."""
    return component.layer, component.kind in ("mlp", "neuron")
