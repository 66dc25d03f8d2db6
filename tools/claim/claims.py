"""The kinds of claim, each with its mandatory battery: what is measured, which nulls must all be rejected, what else
the numbers may say.

    node_effect      patching the components moves the metric, more than matched random components do
    necessity        ablating them costs the behaviour, and costs control behaviours far less
    sufficiency      with everything else ablated the circuit keeps the behaviour, and others of its size do not
    minimality       no member of a circuit can be left out
    mediation        what the senders do, they do through these receivers
    attention_role   a head attends from one role to another, more than to any other role
    no_effect        neither the total nor the direct effect reaches the threshold (equivalence)
    generalisation   a claim of another kind, on a prompt family that took no part in exploration

Every part of a battery reads "the mean effect exceeds delta"; its null hypothesis is that it does not. Signs: with
direction "supports" a positive effect means that the components carry the behaviour; "opposes" flips it. Threshold: the
smallest effect of interest, as a fraction of the clean-corrupted gap (of attention: as a share of it).

Everything here is a pure function of fields and arrays.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from lakatos.tools.claim.base import (
    DEFAULT_THRESHOLD,
    DIGITS,
    EQUIVALENCE,
    LEAST_RANDOM,
    Ablation,
    AnyIntervention,
    Arm,
    BaseClaim,
    Direction,
    Floats,
    Frozen,
    Gauge,
    Matched,
    MeasuredClaim,
    Part,
    Patch,
    Values,
    equivalence,
    moved_by,
    patch,
    split,
)
from lakatos.tools.claim.circuits import Mediation, Minimality, Sufficiency


class NodeEffect(MeasuredClaim):
    """Activation patching: the components move the metric, more than matched random components do."""

    kind: Literal["node_effect"] = "node_effect"
    intervention: Patch = Field(
        "denoising", description="denoising: clean into the corrupted run; noising: corrupted into the clean run"
    )
    direction: Direction = Field("supports", description="supports: the components carry the behaviour")
    matched_random: int = Field(
        LEAST_RANDOM, ge=LEAST_RANDOM, le=8, description="how many matched random components it is compared with"
    )

    def arms(self, matched: Matched) -> tuple[Arm, ...]:
        source, base = patch(self.intervention)
        others = [Arm(f"random.{k}", split(text), source, base) for k, text in enumerate(matched["random"])]
        return (Arm("intervened", self.components, source, base), *others)

    def parts(self, gauge: Gauge, values: Values) -> list[Part]:
        def moved(name: str) -> Floats:
            return moved_by(self.intervention, self.direction, values, name)

        effect, delta = moved("intervened"), self.threshold * gauge.gap
        others = np.mean([moved(f"random.{k}") for k in range(len(gauge.matched["random"]))], axis=0)
        return [
            Part("effect", effect, delta, self.unit),
            Part("beyond matched random", effect - others, delta, self.unit),
        ]


class Necessity(MeasuredClaim):
    """Ablation: the behaviour needs the components, and other behaviours need them much less.

    Readings, where the claim itself does not hold: the ablation may be damaging but not specific; repaired by what
    comes later, so that the direct effect, everything downstream frozen, exceeds the total (backup heads, Wang et al.
    2022; the Hydra effect, McGrath et al. 2023); or without effect, total and direct.
    """

    needs_controls: ClassVar[bool] = True

    kind: Literal["necessity"] = "necessity"
    ablation: Ablation = Field("resample", description="what replaces the activation")
    specificity: float = Field(
        3.0, ge=3, le=1000, description="how many times the control damage the target damage must exceed"
    )

    def arms(self, matched: Matched) -> tuple[Arm, ...]:  # noqa: ARG002
        return (
            Arm("intervened", self.components, self.ablation, elsewhere=True),
            Arm("direct", self.components, self.ablation, to=("logits",)),
        )

    def parts(self, gauge: Gauge, values: Values) -> list[Part]:
        total = values["clean"] - values["intervened"]
        direct = values["clean"] - values["direct"]
        delta = self.threshold * gauge.gap
        parts = [Part("effect", total, delta, self.unit)]
        for name, gap in gauge.control_gaps.items():
            elsewhere = (values[f"control.{name}.intervened"] - values[f"control.{name}.clean"]) / gap
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


class AttentionRole(BaseClaim):
    """On the clean run a head attends from one role to another, more than to any other named position or the rest."""

    most: ClassVar[int] = 1  # a mean over heads would let idle ones ride along

    kind: Literal["attention_role"] = "attention_role"
    attends_from: str = Field(min_length=1, description="the named position that looks, e.g. END")
    attends_to: str = Field(min_length=1, description="the named position that is looked at, e.g. IO")
    threshold: float = Field(
        DEFAULT_THRESHOLD, ge=10.0**-DIGITS, lt=1, description="by how much of its attention, at least"
    )

    @model_validator(mode="after")
    def _heads(self) -> AttentionRole:
        if self.attends_from == self.attends_to:
            raise ValueError("a position that attends to itself is no role")
        if any(c.kind != "head" or c.position is not None for c in self.parsed()):
            raise ValueError("an attention role is of heads without a position, e.g. a9.h6")
        return self

    def arms(self, matched: Matched) -> tuple[Arm, ...]:  # noqa: ARG002
        return ()

    def parts(self, gauge: Gauge, values: Values) -> list[Part]:
        looked_at = values[f"attention.{self.attends_to}"]
        return [
            Part(f"more than to {role}", looked_at - values[f"attention.{role}"], self.threshold, "share of attention")
            for role in gauge.matched["positions"]
        ]


class NoEffect(MeasuredClaim):
    """Equivalence: neither the total effect nor the direct one (everything downstream frozen) reaches the threshold."""

    kind: Literal["no_effect"] = "no_effect"
    intervention: AnyIntervention = Field(
        "resample", description="an ablation (resample, zero) or a patch (denoising, noising)"
    )
    threshold: float = Field(
        DEFAULT_THRESHOLD, ge=10.0**-DIGITS, le=0.2, description="the margin, as a fraction of the clean-corrupted gap"
    )

    def arms(self, matched: Matched) -> tuple[Arm, ...]:  # noqa: ARG002
        source, base = patch(self.intervention)
        return (
            Arm("intervened", self.components, source, base),
            Arm("direct", self.components, source, base, to=("logits",)),
        )

    def parts(self, gauge: Gauge, values: Values) -> list[Part]:
        total, direct = (moved_by(self.intervention, "supports", values, name) for name in ("intervened", "direct"))
        return equivalence(total, direct, self.threshold * gauge.gap, self.unit)


AnyParent = NodeEffect | Necessity | Sufficiency | Minimality | Mediation | AttentionRole | NoEffect
Parent = Annotated[AnyParent, Field(discriminator="kind")]


class Generalisation(Frozen):
    """A claim of another kind on a named prompt family of the behaviour; constants come from ordinary exploration."""

    kind: Literal["generalisation"] = "generalisation"
    parent: Parent = Field(description="the claim that is to hold there too")
    family: str = Field(min_length=1, description="a prompt family of the behaviour")

    @property
    def tested(self) -> AnyParent:
        """The claim whose battery is run."""
        return self.parent
