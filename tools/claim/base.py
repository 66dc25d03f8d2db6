"""What all kinds of claim have: components in canonical form, and a battery made of arms and parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from lakatos.tools.component import Component, canonical

Floats = NDArray[np.float64]
Values = Mapping[str, Floats]  # name -> [n] raw numbers per prompt
Matched = Mapping[str, tuple[str, ...]]  # what the battery compares with; see `Battery.matched`
Source = Literal["clean", "corrupted", "resample", "zero"]
Base = Literal["clean", "corrupted"]
Metric = Literal["logit_diff", "prob_diff"]

DEFAULT_THRESHOLD = 0.1
DEFAULT_FAITHFULNESS = 0.8
DEFAULT_SHARE = 0.5
LEAST_RANDOM = 3  # matched random components, receivers or circuits
DIGITS = 4  # of fractions: a claim that differs by less is the same claim


class Arm(NamedTuple):
    """One measured run of a battery: the metric with `components` replaced, stored under `name`."""

    name: str
    components: tuple[str, ...]
    source: Source
    base: Base = "clean"
    to: tuple[str, ...] = ()  # only along the direct path into these receivers
    keep: bool = False  # everything but the components
    elsewhere: bool = False  # on the control behaviours too


class Part(NamedTuple):
    """One null hypothesis of a battery, E[effect] <= delta."""

    name: str
    effect: Floats  # [n] oriented: the larger, the more the claim is right
    delta: float  # in `unit`
    unit: str
    decides: bool = True  # whether it must be rejected for the claim; otherwise it belongs to a reading


class Gauge(Protocol):
    """What fractions are fractions of, and what the claim is compared with."""

    @property
    def gap(self) -> float: ...
    @property
    def control_gaps(self) -> Mapping[str, float]: ...
    @property
    def matched(self) -> Matched: ...


def _synonym(value: Any) -> Any:
    return (
        _SYNONYMS.get(value.strip().lower().replace(" ", "_").replace("-", "_"), value)
        if isinstance(value, str)
        else value
    )


_SYNONYMS = {
    **dict.fromkeys(("resample", "resampling", "resample_ablation"), "resample"),
    **dict.fromkeys(("zero", "zero_ablation"), "zero"),
    **dict.fromkeys(("denoising", "denoise", "clean_into_corrupted"), "denoising"),
    **dict.fromkeys(("noising", "noise", "corrupted_into_clean"), "noising"),
    **dict.fromkeys(("supports", "positive", "carries"), "supports"),
    **dict.fromkeys(("opposes", "negative"), "opposes"),
    **dict.fromkeys(("logit_diff", "logit_difference"), "logit_diff"),
    **dict.fromkeys(("prob_diff", "probability_difference"), "prob_diff"),
}
Ablation = Annotated[Literal["resample", "zero"], BeforeValidator(_synonym)]
Patch = Annotated[Literal["denoising", "noising"], BeforeValidator(_synonym)]
AnyIntervention = Annotated[Literal["resample", "zero", "denoising", "noising"], BeforeValidator(_synonym)]
Direction = Annotated[Literal["supports", "opposes"], BeforeValidator(_synonym)]
MetricName = Annotated[Metric, BeforeValidator(_synonym)]


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class BaseClaim(Frozen):
    most: ClassVar[int] = 16  # components
    needs_controls: ClassVar[bool] = False  # whether control behaviours are part of the battery
    family: ClassVar[str | None] = None

    components: tuple[str, ...] = Field(min_length=1, max_length=200, description="where, e.g. a9.h6@END or m5")

    @field_validator("components", mode="after")
    @classmethod
    def _canonical(cls, components: tuple[str, ...]) -> tuple[str, ...]:
        found = canonical(components)
        if len(found) > cls.most:
            raise ValueError(f"a claim of this kind is about at most {cls.most} components, not {len(found)}")
        return found

    @model_validator(mode="after")
    def _replaces_something(self) -> Self:
        patterns = [str(c) for c in self.parsed() if c.kind == "pattern"]
        if patterns and "resample" in (getattr(self, "ablation", None), getattr(self, "intervention", None)):
            raise ValueError(
                f"{patterns[0]}: a donor is of the same template, so that a head looks at the same places there, and "
                "resampling its pattern replaces nothing; use zero, denoising or noising"
            )
        return self

    @field_validator("threshold", "faithfulness", "share", "specificity", mode="before", check_fields=False)
    @classmethod
    def _rounded(cls, value: Any) -> Any:
        """Before the bounds are checked, so that what is stored is within them too."""
        if isinstance(value, bool):
            raise ValueError("a number is asked for")
        return round(value, DIGITS) if isinstance(value, float) else value

    @property
    def tested(self) -> Self:
        """The claim whose battery is run: itself, but for a generalisation."""
        return self

    def parsed(self) -> tuple[Component, ...]:
        """The components, parsed."""
        return tuple(Component.parse(c) for c in self.components)

    def places(self) -> tuple[Component, ...]:
        """Every component that the claim names, receivers too."""
        return self.parsed()

    def arms(self, matched: Matched) -> tuple[Arm, ...]:
        """What is measured, beside the clean and the corrupted run."""
        raise NotImplementedError

    def parts(self, gauge: Gauge, values: Values) -> list[Part]:
        """The null hypotheses, the main effect's first."""
        raise NotImplementedError

    def readings(self, e: Mapping[str, float]) -> dict[str, float]:  # noqa: ARG002 - most kinds have none
        """What else the numbers may say: reading -> e-value of its own, from the e-values of the parts."""
        return {}


class MeasuredClaim(BaseClaim):
    """A claim about a metric of the output."""

    metric: MetricName = Field("logit_diff", description="what is measured per prompt")
    threshold: float = Field(
        DEFAULT_THRESHOLD,
        ge=10.0**-DIGITS,
        le=2,
        description="smallest effect of interest, as a fraction of the clean-corrupted gap",
    )

    @property
    def unit(self) -> str:
        """What raw effects are measured in."""
        return "logits" if self.metric == "logit_diff" else "probability"


def split(text: str) -> tuple[str, ...]:
    """The components of a text that joins them by "+"."""
    return tuple(text.split("+")) if text else ()


def patch(intervention: str) -> tuple[Source, Base]:
    """What replaces the activations, and in which run."""
    if intervention == "denoising":
        return "clean", "corrupted"
    if intervention == "noising":
        return "corrupted", "clean"
    return ("zero" if intervention == "zero" else "resample"), "clean"


def moved_by(intervention: str, direction: str, values: Values, name: str) -> Floats:
    """How far an arm moves the metric in the direction: restored by denoising, lost by everything else."""
    change = values[name] - values["corrupted"] if intervention == "denoising" else values["clean"] - values[name]
    return change if direction == "supports" else -change


EQUIVALENCE = ("total above -margin", "total below margin", "direct above -margin", "direct below margin")


def equivalence(total: Floats, direct: Floats, margin: float, unit: str, decides: bool = True) -> list[Part]:
    effects = (total, -total, direct, -direct)
    return [Part(name, x, -margin, unit, decides) for name, x in zip(EQUIVALENCE, effects, strict=True)]
