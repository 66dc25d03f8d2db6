"""Claims about components, and the frozen records that testing them leaves.

A claim is typed and closed: what it says is in its fields and nowhere else. Its hash covers the model's weights, the
behaviour's version and every field of the claim, and no prose, so rewording a claim does not make a new one.

    node_effect   patching the components from the other run moves the metric by at least the threshold, and by at least
                  the threshold more than matched random components do
    necessity     ablating the components costs the behaviour at least the threshold, and costs it more than three times
                  the damage that the same ablation does to control behaviours (both as fractions of a baseline)

Sign: with direction "supports" a positive effect means that the components carry the behaviour; "opposes" flips it.
Threshold: the smallest effect of interest, as a fraction of the clean-corrupted gap of the behaviour.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, field_validator

from lakatos.tools.behaviour import Behaviour
from lakatos.tools.canonical import content_hash
from lakatos.tools.component import Component
from lakatos.tools.errors import UserError

Direction = Literal["supports", "opposes"]
Role = Literal["main", "rival", "null"]
DEFAULT_THRESHOLD = 0.1


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class _Claim(_Frozen):
    components: tuple[str, ...] = Field(min_length=1, max_length=16, description="where, e.g. a9.h6@END or m5")
    metric: Literal["logit_diff", "prob_diff"] = Field("logit_diff", description="what is measured per prompt")
    threshold: float = Field(
        DEFAULT_THRESHOLD,
        gt=0,
        le=2,
        description="smallest effect of interest, as a fraction of the clean-corrupted gap",
    )

    @field_validator("components", mode="after")
    @classmethod
    def _canonical(cls, components: tuple[str, ...]) -> tuple[str, ...]:
        try:
            parsed = sorted({Component.parse(c) for c in components}, key=str)
        except UserError as error:
            raise ValueError(str(error)) from error
        return tuple(str(c) for c in parsed)

    def parsed(self) -> tuple[Component, ...]:
        """The components, parsed."""
        return tuple(Component.parse(c) for c in self.components)


class NodeEffect(_Claim):
    """Activation patching: the components move the metric, more than matched random components do."""

    kind: Literal["node_effect"] = "node_effect"
    intervention: Literal["denoising", "noising"] = Field(
        "denoising",
        description="denoising: clean into the corrupted run; noising: corrupted into the clean run",
    )
    direction: Direction = Field("supports", description="supports: the components carry the behaviour")
    matched_random: int = Field(3, ge=3, le=8, description="how many matched random components it is compared with")


class Necessity(_Claim):
    """Ablation: the behaviour needs the components, and other behaviours need them much less."""

    kind: Literal["necessity"] = "necessity"
    ablation: Literal["resample", "zero"] = Field("resample", description="what replaces the activation")
    specificity: float = Field(3.0, ge=3, description="how many times the control damage the target damage must exceed")


Claim = Annotated[NodeEffect | Necessity, Field(discriminator="kind")]
AnyClaim = NodeEffect | Necessity
CLAIM: TypeAdapter[AnyClaim] = TypeAdapter(Claim)


class Hypothesis(_Frozen):
    """A claim as its proposer put it: the prose beside it is shown as prose and decides nothing."""

    claim: Claim
    rationale: str = Field("", max_length=4000, description="why this should hold, in words")
    predicted: float | None = Field(None, description="predicted effect, as a fraction of the clean-corrupted gap")
    role: Role = Field("main", description="main, a rival explanation, or a null: expected not to be confirmed")


class Line(_Frozen):
    """One null hypothesis of a battery: E[effect] <= delta, tested after division by `scale` and clipping to +-1."""

    name: str
    delta: float  # raw units of the line
    scale: float  # raw units; s of the protocol
    unit: str  # what the raw units are


class Battery(_Frozen):
    """The constants of a test, fixed at registration from exploration pairs."""

    gap: float  # what thresholds are fractions of: max(mean clean - corrupted, sd of clean), in metric units
    control_gaps: dict[str, float]  # per control behaviour: unigram loss - clean loss, in nats
    controls: tuple[str, ...]  # matched random components, each a component's text, joined by "+" where several
    lines: tuple[Line, ...]
    predicted_d: float  # standardised effect of the weakest line on the exploration pairs
    n_max: int
    explored: int  # exploration pairs used


def claim_hash(claim: AnyClaim, *, weights: str, behaviour: str, controls: dict[str, str]) -> str:
    """The identity of a claim: what is claimed, of which weights, on which behaviour, against which controls.

    Args:
        controls: name -> hash of each control behaviour of the claim's battery.
    """
    facts = {"weights": weights, "behaviour": behaviour, "controls": controls, "claim": claim_fields(claim)}
    return content_hash(facts)


def claim_fields(claim: AnyClaim) -> dict[str, Any]:
    """Every field, JSON-ready."""
    return claim.model_dump(mode="json")


def describe(claim: AnyClaim, behaviour: str) -> str:
    """The claim in one line for people: `a9.h6@END necessary for ioi (resample, logit_diff, >= 10% of gap)`."""
    where = " + ".join(claim.components)
    how: str = claim.ablation if isinstance(claim, Necessity) else claim.intervention
    if isinstance(claim, Necessity):
        verb = "necessary for"
    else:
        verb = "carries" if claim.direction == "supports" else "opposes"
    return f"{where} {verb} {behaviour} ({how}, {claim.metric}, >= {100 * claim.threshold:.4g}% of gap)"


def control_names(claim: AnyClaim, behaviour: Behaviour) -> list[str]:
    """The control behaviours that the claim's battery measures; a necessity claim has at least one.

    Raises:
        UserError: the behaviour names no control.
    """
    if not isinstance(claim, Necessity):
        return []
    if not behaviour.controls:
        raise UserError(
            f"{behaviour.name} names no control, and necessity is nothing without one: controls: [plain_text]"
        )
    return list(behaviour.controls)
