"""Ablation: the behaviour needs the components, and other behaviours need them much less."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from pydantic import Field

from lakatos.tools.claim.base import (
    ABLATION,
    EQUIVALENCE,
    METRIC,
    REPLACED_BY,
    THRESHOLD,
    Gauge,
    Matched,
    MeasuredClaim,
    Part,
    Values,
    equivalence,
)
from lakatos.tools.claim.measures import CLEAN, DIRECT, INTERVENED, Arm, of_control
from lakatos.tools.claim.schema import Offer, Schema, claim_form, ref
from lakatos.tools.claim.vocabulary import DEFAULT_THRESHOLD, Ablation
from lakatos.tools.claim.words import Phrase, times


class Necessity(MeasuredClaim):
    """Ablation: the behaviour needs the components, and other behaviours need them much less.

    Readings, where the claim itself does not hold: the ablation may be damaging but not specific; repaired by what
    comes later, so that the direct effect, everything downstream frozen, exceeds the total (backup heads, Wang et al.
    2022; the Hydra effect, McGrath et al. 2023); or without effect, total and direct.
    """

    synonyms = ("ablation",)
    example = "a9.h6 necessary for ioi (resample, logit_diff, >= 10% of gap, 4 x controls)"
    phrases = (Phrase("necessary for"),)
    options = (ABLATION, METRIC, THRESHOLD, times("specificity", 3, "controls"))
    needs_controls = True
    of_an_effect = True
    established = "specific"

    kind: Literal["necessity"] = "necessity"
    ablation: Ablation = Field("resample", description="what replaces the activation")
    specificity: float = Field(
        3.0, ge=3, le=1000, description="how many times the control damage the target damage must exceed"
    )

    @property
    def how(self) -> str:
        return self.ablation

    def arms(self, matched: Matched) -> tuple[Arm, ...]:  # noqa: ARG002
        return (
            Arm(INTERVENED, self.components, self.ablation, elsewhere=True),
            Arm(DIRECT, self.components, self.ablation, to=("logits",)),
        )

    def parts(self, gauge: Gauge, values: Values) -> list[Part]:
        total = values[CLEAN] - values[INTERVENED]
        direct = values[CLEAN] - values[DIRECT]
        delta = self.threshold * gauge.gap
        parts = [Part("effect", total, delta, self.unit)]
        for name, gap in gauge.control_gaps.items():
            elsewhere = (values[of_control(name, INTERVENED)] - values[of_control(name)]) / gap
            excess = total / gauge.gap - self.specificity * elsewhere
            parts += [
                Part(f"specific against {name}", excess, 0.0, "fraction of baseline"),
                Part(f"not specific against {name}", -excess, 0.0, "fraction of baseline", decides=False),
            ]
        parts.append(Part("direct effect", direct, delta, self.unit, decides=False))
        parts.append(Part("direct beyond total", direct - total, delta, self.unit, decides=False))
        margin = min(self.threshold, DEFAULT_THRESHOLD) * gauge.gap  # a bold threshold makes nothing inert
        return parts + equivalence(total, direct, margin, self.unit, decides=False)

    def readings(self, e: Mapping[str, float]) -> dict[str, float]:
        against = [value for name, value in e.items() if name.startswith("not specific")]
        return {
            # of several controls any one suffices: the mean of e-values is one for "specific against all"
            "necessary, not specific": min(e["effect"], float(np.mean(against))),
            # an ablation that helps has a total below the direct effect as well: there must be something to make up for
            "backed up": min(e["direct effect"], e["direct beyond total"]),
            "inert": min(e[name] for name in EQUIVALENCE),
        }

    def in_words(self, behaviour: str) -> str:
        return (
            f"Replacing {self.where} by {REPLACED_BY[self.ablation]} costs {behaviour} at least {self.amount} in "
            f"{self.metric_in_words}, and more than {self.specificity:g} times the damage that it does to the control "
            "behaviours."
        )

    @classmethod
    def schemas(cls, offer: Offer) -> dict[str, Schema]:  # noqa: ARG003
        fields = {"components": ref("branches"), "ablation": ref("ablation"), "threshold": ref("threshold")}
        return {cls.name(): claim_form(cls.name(), **fields)}
