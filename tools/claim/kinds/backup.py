"""Ablation together and apart: components do the work of others when those are missing."""

from __future__ import annotations

import random
from typing import Literal

import numpy as np
from pydantic import Field, field_validator, model_validator

from lakatos.tools.claim.base import (
    ABLATION,
    METRIC,
    THRESHOLD,
    Floats,
    Gauge,
    Matched,
    MeasuredClaim,
    Part,
    Values,
    split,
)
from lakatos.tools.claim.measures import BACKED_UP, BACKUPS, CLEAN, INTERVENED, Arm, of_match
from lakatos.tools.claim.opponents import distinct, near, share_a_place
from lakatos.tools.claim.schema import Offer, Schema, claim_form, ref
from lakatos.tools.claim.vocabulary import LEAST_RANDOM, Ablation
from lakatos.tools.claim.words import Phrase, count, place
from lakatos.tools.component import Component, Shape, canonical

_ALONE = "random_alone"


class Backup(MeasuredClaim):
    """Ablation together and apart: the components do the work of others when those are missing.

    With loss(X) = clean - ablated(X), the main effect is the interaction of the backups v and what they back up, u:
    loss(u + v) - loss(u) - loss(v). It is zero where both work apart from one another, however much each is needed;
    positive where v makes up for u; and negative where each needs the other, as along a path. Random components like
    the backups show how much any ablation adds to that of u.

    The interaction is the same with u and v exchanged. What is computed before u cannot tell that it is missing, so a
    backup must come after something that it backs up. It is not shown that a backup changes what it writes: two that
    always write the same interact too where the output saturates, as behind a final norm. (Backup name movers, Wang et
    al. 2022; the Hydra effect, McGrath et al. 2023.)
    """

    synonyms = ("self_repair",)
    example = "a10.h2 + a11.h2 backs up a9.h6 + a9.h9 for ioi (resample, logit_diff, >= 10% of gap, 5 random)"
    phrases = (Phrase("backs up <backed_up+> for"),)
    options = (ABLATION, METRIC, THRESHOLD, count("matched_random", LEAST_RANDOM, "random"))
    most = 8
    main = (INTERVENED, BACKED_UP, BACKUPS)

    kind: Literal["backup"] = "backup"
    backed_up: tuple[str, ...] = Field(
        min_length=1, max_length=200, description="whose work the components do when it is missing, e.g. a9.h6"
    )
    ablation: Ablation = Field("resample", description="what replaces the activations")
    matched_random: int = Field(
        LEAST_RANDOM, ge=LEAST_RANDOM, le=8, description="how many matched random components it is compared with"
    )

    @field_validator("backed_up", mode="after")
    @classmethod
    def _canonical_backed_up(cls, backed_up: tuple[str, ...]) -> tuple[str, ...]:
        found = canonical(backed_up)
        if len(found) > cls.most:
            raise ValueError(f"at most {cls.most} components, not {len(found)}")
        return found

    @model_validator(mode="after")
    def _come_after_what_they_back_up(self) -> Backup:
        if strangers := [str(c) for c in self.places() if not c.known.in_circuits]:
            raise ValueError(f"backups and what they back up are heads, attentions and MLPs, not {strangers[0]}")
        missing = self._missing()
        for own in self.parsed():
            if any(share_a_place(own, other) for other in missing):
                raise ValueError(f"{own} is among what it backs up")
            if _depth(own) <= min(map(_depth, missing)):
                raise ValueError(f"{own} comes before all that it backs up, and cannot tell that it is missing")
        return self

    @property
    def how(self) -> str:
        return self.ablation

    def places(self) -> tuple[Component, ...]:
        return (*self.parsed(), *self._missing())

    def arms(self, matched: Matched) -> tuple[Arm, ...]:
        def ablated(name: str, *components: str) -> Arm:
            return Arm(name, components, self.ablation)

        others = [(k, split(text)) for k, text in enumerate(matched["random"])]
        return (
            ablated(INTERVENED, *self.components, *self.backed_up),
            ablated(BACKED_UP, *self.backed_up),
            ablated(BACKUPS, *self.components),
            *(ablated(of_match(k), *other, *self.backed_up) for k, other in others),
            *(ablated(of_match(k, _ALONE), *other) for k, other in others),
        )

    def parts(self, gauge: Gauge, values: Values) -> list[Part]:
        def lost(name: str) -> Floats:
            return values[CLEAN] - values[name]

        def beyond_apart(together: str, alone: str) -> Floats:
            return lost(together) - lost(BACKED_UP) - lost(alone)

        interaction, delta = beyond_apart(INTERVENED, BACKUPS), self.threshold * gauge.gap
        matched = range(len(gauge.matched["random"]))
        others = np.mean([beyond_apart(of_match(k), of_match(k, _ALONE)) for k in matched], axis=0)
        return [
            Part("more than apart", interaction, delta, self.unit),
            Part("both", lost(INTERVENED), delta, self.unit),
            Part("beyond matched random", interaction - others, delta, self.unit),
        ]

    def draw(self, rng: random.Random, shape: Shape) -> dict[str, tuple[str, ...]]:
        def drawn() -> list[Component] | None:
            return near(rng, self.parsed(), shape, without=self.places())

        return {"random": distinct(self.matched_random, drawn)}

    def in_words(self, behaviour: str) -> str:
        missing = " together with ".join(place(c) for c in self.backed_up)
        return (
            f"When {missing} is missing, {self.where} does its work: {self.ablation} ablation of both costs "
            f"{behaviour} at least {self.amount} in {self.metric_in_words}, and at least that much more than ablation "
            "of each alone, added up; matched random components in its place make up for at least that much less."
        )

    @classmethod
    def schemas(cls, offer: Offer) -> dict[str, Schema]:  # noqa: ARG003
        fields = {"components": ref("senders"), "backed_up": ref("branches"), "ablation": ref("ablation")}
        return {cls.name(): claim_form(cls.name(), **fields, threshold=ref("threshold"))}

    def _missing(self) -> tuple[Component, ...]:
        return tuple(Component.parse(c) for c in self.backed_up)


def _depth(component: Component) -> tuple[int, bool]:
    """Where a head, an attention or an MLP comes in a forward pass."""
    return component.layer, component.kind == "mlp"
