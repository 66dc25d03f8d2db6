"""Path patching: what the senders do, they do through these receivers."""

from __future__ import annotations

import random
from typing import Literal

import numpy as np
from pydantic import Field, field_validator

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
from lakatos.tools.claim.measures import INTERVENED, PATH, Arm, of_match
from lakatos.tools.claim.opponents import distinct, most_in_layers, near, same_layer
from lakatos.tools.claim.schema import TOGETHER, Offer, Schema, claim_form, one_of, ref, several
from lakatos.tools.claim.vocabulary import LEAST_RANDOM, Direction, Patch, patch
from lakatos.tools.claim.words import count, fraction, percent
from lakatos.tools.component import Component, Shape, canonical, numbers

DEFAULT_SHARE = 0.5
_CUTS = 8


class Mediation(MeasuredClaim):
    """Path patching: at least a share of what the senders do goes directly into these receivers, and not into others.

    A receiver is compared with random ones of its kind in its layer (an MLP: in near layers); `logits`, of which there
    is one, with random senders near the claim's (Wang et al. 2022; Goldowsky-Dill et al. 2023).
    """

    synonyms = ("path", "path_patching")
    example = "a5.h5 carries ioi through a9.h6.q (denoising, logit_diff, >= 10% of gap, >= 50% of total)"
    phrases = CARRIES
    after = "through <receivers+>"
    options = (
        INTERVENTION,
        METRIC,
        THRESHOLD,
        fraction("share", ">=", "total"),
        count("matched_random", LEAST_RANDOM, "random"),
    )
    main = (INTERVENED, PATH)

    kind: Literal["mediation"] = "mediation"
    receivers: tuple[str, ...] = Field(
        min_length=1, max_length=16, description="what reads it: a9.h6.q, a9.g2.k, a9.g2.v, m5, or logits"
    )
    intervention: Patch = Field("denoising", description="as of node_effect")
    direction: Direction = Field("supports", description="supports: the senders carry the behaviour")
    share: float = Field(DEFAULT_SHARE, gt=0, le=2, description="of the total effect that must go this way")
    matched_random: int = Field(LEAST_RANDOM, ge=LEAST_RANDOM, le=8, description="how many random receivers")

    @field_validator("receivers", mode="after")
    @classmethod
    def _canonical_receivers(cls, receivers: tuple[str, ...]) -> tuple[str, ...]:
        places = [r.strip() for r in receivers]
        if "logits" in places:
            if len(set(places)) > 1:
                raise ValueError("logits are a receiver of their own")
            return ("logits",)
        return canonical(tuple(places))

    @property
    def how(self) -> str:
        return self.intervention

    def places(self) -> tuple[Component, ...]:
        return (*self.parsed(), *(Component.parse(r) for r in self.receivers if r != "logits"))

    def arms(self, matched: Matched) -> tuple[Arm, ...]:
        source, base = patch(self.intervention)
        total = Arm(INTERVENED, self.components, source, base)
        path = Arm(PATH, self.components, source, base, to=self.receivers)
        if self.receivers == ("logits",):
            others = [path._replace(name=of_match(k), components=split(t)) for k, t in enumerate(matched["random"])]
        else:
            others = [path._replace(name=of_match(k), to=split(t)) for k, t in enumerate(matched["random"])]
        return (total, path, *others)

    def parts(self, gauge: Gauge, values: Values) -> list[Part]:
        def moved(name: str) -> Floats:
            return moved_by(self.intervention, self.direction, values, name)

        total, path, delta = moved(INTERVENED), moved(PATH), self.threshold * gauge.gap
        others = np.mean([moved(of_match(k)) for k in range(len(gauge.matched["random"]))], axis=0)
        return [
            Part("total", total, delta, self.unit),
            Part("share of the path", path - self.share * total, 0.0, self.unit),
            Part("beyond random receivers", path - others, self.share * delta, self.unit),
        ]

    def draw(self, rng: random.Random, shape: Shape) -> dict[str, tuple[str, ...]]:
        if self.receivers == ("logits",):
            return {"random": distinct(self.matched_random, lambda: near(rng, self.parsed(), shape))}
        receivers, last = self.places()[len(self.components) :], max(c.layer for c in self.parsed())
        return {"random": distinct(self.matched_random, lambda: same_layer(rng, receivers, shape, last))}

    def refutes(self, other: BaseClaim) -> bool:
        """The other direction through the same receivers, whatever the thresholds."""
        return isinstance(other, Mediation) and (
            (self.intervention, self.metric, self.receivers) == (other.intervention, other.metric, other.receivers)
            and self.direction != other.direction
        )

    def in_words(self, behaviour: str) -> str:  # noqa: ARG002
        return (
            f"{patching(self.where, self.intervention, self.direction)} the {self.metric_in_words} by at least "
            f"{self.amount}; at least {percent(self.share)} of that goes directly into {' and '.join(self.receivers)}, "
            "and not into others like it."
        )

    @classmethod
    def schemas(cls, offer: Offer) -> dict[str, Schema]:
        """A pattern cannot compare two strings, so a path is cut at a layer: its senders come before the cut, its
        receivers after it, and there are a few cuts to choose from."""
        to_logits = {"type": "array", "items": one_of("logits"), "minItems": 1, "maxItems": 1}
        paths = {"logits": (ref("senders"), to_logits)} | _cut(offer)
        return {
            f"{cls.name()}_{name}": claim_form(
                cls.name(),
                components=senders,
                receivers=receivers,
                intervention=ref("patch"),
                direction=ref("direction"),
                share=ref("share"),
                threshold=ref("threshold"),
            )
            for name, (senders, receivers) in paths.items()
        }


def _cut(offer: Offer) -> dict[str, tuple[Schema, Schema]]:
    """Senders before a layer, receivers from it on. A receiver has no position: it reads wherever the senders write."""
    shape = offer.shape
    n, heads, groups = shape.n_layers, numbers(0, shape.n_heads - 1), numbers(0, shape.n_key_value_heads - 1)
    found = {}
    for cut in sorted({max(1, n * k // (_CUTS + 1)) for k in range(1, _CUTS + 1)} - {n}):
        before, after = numbers(0, cut - 1), numbers(cut, n - 1)
        senders = several(rf"^(a({before})\.h({heads})|m({before})){offer.at}$", TOGETHER)
        reads = rf"a({after})\.(h({heads})\.q|g({groups})\.(k|v))" + (f"|m({after})" if n - cut > 1 else "")
        found[str(cut)] = (senders, several(f"^({reads})$", most_in_layers(n - cut)))
    return found
