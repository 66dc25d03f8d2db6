"""Equivalence: neither the total effect nor the direct one reaches the threshold."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from lakatos.tools.claim.base import (
    INTERVENTION,
    METRIC,
    BaseClaim,
    Gauge,
    Matched,
    MeasuredClaim,
    Part,
    Values,
    equivalence,
    moved_by,
)
from lakatos.tools.claim.measures import DIRECT, INTERVENED, Arm
from lakatos.tools.claim.schema import Offer, Schema, claim_form, one_of, ref
from lakatos.tools.claim.vocabulary import DEFAULT_THRESHOLD, DIGITS, AnyIntervention, patch
from lakatos.tools.claim.words import Phrase, fraction


class NoEffect(MeasuredClaim):
    """Equivalence: neither the total effect nor the direct one (everything downstream frozen) reaches the threshold."""

    synonyms = ("equivalence",)
    example = "a3.h2 has no effect on ioi (resample, logit_diff, < 10% of gap)"
    phrases = (Phrase("has no effect on"),)
    options = (INTERVENTION, METRIC, fraction("threshold", "<", "gap"))

    kind: Literal["no_effect"] = "no_effect"
    intervention: AnyIntervention = Field(
        "resample", description="an ablation (resample, zero) or a patch (denoising, noising)"
    )
    threshold: float = Field(
        DEFAULT_THRESHOLD, ge=10.0**-DIGITS, le=0.2, description="the margin, as a fraction of the clean-corrupted gap"
    )

    @property
    def how(self) -> str:
        return self.intervention

    def arms(self, matched: Matched) -> tuple[Arm, ...]:  # noqa: ARG002
        source, base = patch(self.intervention)
        return (
            Arm(INTERVENED, self.components, source, base),
            Arm(DIRECT, self.components, source, base, to=("logits",)),
        )

    def parts(self, gauge: Gauge, values: Values) -> list[Part]:
        total, direct = (moved_by(self.intervention, "supports", values, name) for name in (INTERVENED, DIRECT))
        return equivalence(total, direct, self.threshold * gauge.gap, self.unit)

    def refutes(self, other: BaseClaim) -> bool:
        """An effect at least as large as the margin, of the same intervention."""
        return isinstance(other, MeasuredClaim) and (
            other.of_an_effect
            and (self.intervention, self.metric) == (other.how, other.metric)
            and self.threshold <= other.threshold
        )

    def in_words(self, behaviour: str) -> str:  # noqa: ARG002
        ablations = {"resample": "Resample ablation", "zero": "Zero ablation"}
        how = ablations.get(self.intervention, f"patching ({self.intervention})")
        changes = f"changes the {self.metric_in_words} by less than {self.amount}"
        return f"{how} of {self.where} {changes}, in total and directly."

    @classmethod
    def schemas(cls, offer: Offer) -> dict[str, Schema]:  # noqa: ARG003
        how = one_of("denoising", "noising", "resample", "zero")
        form = claim_form(cls.name(), components=ref("branches"), intervention=how, threshold=ref("margin"))
        return {cls.name(): form}
