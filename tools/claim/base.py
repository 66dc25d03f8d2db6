"""What all kinds of claim have: components in canonical form, a battery, a sentence, opponents, and what they refute.

Every part of a battery reads "the mean effect exceeds delta"; its null hypothesis is that it does not. Signs: with
direction "supports" a positive effect means that the components carry the behaviour; "opposes" flips it. Threshold: the
smallest effect of interest, as a fraction of the clean-corrupted gap (of attention: as a share of it).

Everything here is a pure function of fields and arrays.
"""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from lakatos.tools.claim.measures import CLEAN, CORRUPTED, INTERVENED, Arm, Arms, Look
from lakatos.tools.claim.schema import Offer, Schema
from lakatos.tools.claim.vocabulary import DEFAULT_THRESHOLD, DIGITS, MetricName
from lakatos.tools.claim.words import Option, Phrase, filled, fraction, percent, place, word
from lakatos.tools.component import Component, Shape, canonical

Floats = NDArray[np.float64]
Values = Mapping[str, Floats]  # name -> [n] raw numbers per prompt
Matched = Mapping[str, tuple[str, ...]]  # what the battery compares with; see `Battery.matched`
Scores = dict[Component, np.ndarray]  # [n_pairs] attribution of each node


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


class Frozen(BaseModel):
    """A record that cannot be changed, has no other fields, and holds finite numbers only."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class BaseClaim(Frozen):
    """A kind of claim: its class says everything about it that others have to know."""

    synonyms: ClassVar[tuple[str, ...]] = ()  # other names of the kind
    example: ClassVar[str]  # a claim of this kind, as `parse_claim` reads it
    phrases: ClassVar[tuple[Phrase, ...]]  # between components and behaviour
    after: ClassVar[str] = ""  # the phrase after the behaviour
    options: ClassVar[tuple[Option, ...]]  # in the parentheses
    most: ClassVar[int] = 16  # components
    needs_controls: ClassVar[bool] = False  # whether control behaviours are part of the battery
    of_gap: ClassVar[bool] = False  # whether the main effect is a fraction of the clean-corrupted gap
    established: ClassVar[str | None] = None  # what holds beside the claim itself where it is confirmed
    family: ClassVar[str | None] = None  # the prompt family that it is about, if it is about one

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
        alike = [str(c) for c in self.parsed() if not c.known.resampled]
        if alike and self.how == "resample":
            raise ValueError(
                f"{alike[0]}: a donor is of the same template, so that a head looks at the same places there, and "
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

    @classmethod
    def name(cls) -> str:
        """The name of the kind."""
        return str(cls.model_fields["kind"].default)

    @property
    def tested(self) -> Self:
        """The claim whose battery is run: itself, but for a generalisation."""
        return self

    @property
    def how(self) -> str | None:
        """How activations are replaced: resample, zero, denoising or noising; None: they are looked at only."""
        return None

    def parsed(self) -> tuple[Component, ...]:
        """The components, parsed."""
        return tuple(Component.parse(c) for c in self.components)

    def places(self) -> tuple[Component, ...]:
        """Every component that the claim names, receivers too."""
        return self.parsed()

    def canonical_fields(self) -> dict[str, Any]:
        """The canonical form, JSON-ready: the kind, and every field that is not at its default."""
        return {"kind": self.name(), **self.model_dump(mode="json", exclude_defaults=True)}

    # what is measured, and what the numbers mean

    @abstractmethod
    def measured(self, matched: Matched) -> Arms | Look:
        """What is measured on every prompt."""

    @abstractmethod
    def parts(self, gauge: Gauge, values: Values) -> list[Part]:
        """The null hypotheses, the main effect's first."""

    def readings(self, e: Mapping[str, float]) -> dict[str, float]:  # noqa: ARG002 - most kinds have none
        """What else the numbers may say: reading -> e-value of its own, from the e-values of the parts."""
        return {}

    @abstractmethod
    def shown(self, matched: Matched) -> list[str]:
        """The names of the numbers that the main effect is made of, as they stand beside it."""

    # what it is compared with, and what it contradicts

    def draw(self, rng: random.Random, shape: Shape) -> dict[str, tuple[str, ...]]:  # noqa: ARG002
        """Opponents that follow from the model's shape: role -> components joined by "+".

        Raises:
            UserError: the model has not enough others to compare with.
        """
        return {}

    def match_positions(self, positions: Mapping[str, np.ndarray]) -> dict[str, tuple[str, ...]]:  # noqa: ARG002
        """Opponents that follow from where the named positions are: role -> names.

        Args:
            positions: name -> [n] token index on exploration prompts.
        """
        return {}

    def refutes(self, other: BaseClaim) -> bool:  # noqa: ARG002
        """Whether this claim and another about the same components cannot both hold."""
        return False

    def generalises(self, other: Any) -> bool:  # noqa: ARG002
        """Whether this is `other` on prompts that took no part in exploration."""
        return False

    # how it is said

    def head(self, behaviour: str) -> str:
        """The claim in one line, without the options."""
        chosen = (p.text for p in self.phrases if all(getattr(self, k) == v for k, v in p.means.items()))
        parts = (" + ".join(self.components), filled(next(chosen), self), behaviour, filled(self.after, self))
        return " ".join(filter(None, parts))

    def text(self, behaviour: str) -> str:
        """The claim in one line, as `parse_claim` reads it."""
        options = [said for option in self.options for said in option.write(getattr(self, option.field))]
        return f"{self.head(behaviour)} ({', '.join(options)})"

    def title(self, behaviour: str) -> str:
        """The claim in a few words: where, what, of which behaviour, how."""
        return f"{self.head(behaviour)} ({self.how})" if self.how else self.head(behaviour)

    @abstractmethod
    def in_words(self, behaviour: str) -> str:
        """The claim as a sentence for people who do not know the forms above."""

    @property
    def where(self) -> str:
        """The components, in words."""
        return " together with ".join(place(c) for c in self.components)

    @classmethod
    @abstractmethod
    def schemas(cls, offer: Offer) -> dict[str, Schema]:
        """The forms in which a language model may propose it: name -> JSON schema, made of `claim_form`."""


class MeasuredClaim(BaseClaim):
    """A claim about a metric of the output, under interventions."""

    of_gap: ClassVar[bool] = True
    of_an_effect: ClassVar[bool] = False  # whether it says that replacing the components has one
    main: ClassVar[tuple[str, ...]] = (INTERVENED,)  # the arms that the main effect is made of

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

    @property
    def amount(self) -> str:
        """The threshold, in words."""
        return f"{percent(self.threshold)} of the gap between clean and corrupted prompts"

    @property
    def metric_in_words(self) -> str:
        return {"logit_diff": "logit difference", "prob_diff": "probability difference"}[self.metric]

    @abstractmethod
    def arms(self, matched: Matched) -> tuple[Arm, ...]:
        """What is measured, beside the clean and the corrupted run."""

    def measured(self, matched: Matched) -> Arms:
        return Arms(self.metric, self.arms(matched))

    def shown(self, matched: Matched) -> list[str]:  # noqa: ARG002
        return [CLEAN, CORRUPTED, *self.main]


class SearchedClaim(MeasuredClaim):
    """A claim that is compared with what its own search finds where answers are shuffled."""

    @abstractmethod
    def found_by_search(self, scores: Scores, seed: str) -> list[Arm]:
        """An arm for each circuit that the search finds."""


_HOW, _METRIC = ("resample", "zero", "denoising", "noising"), ("logit_diff", "prob_diff")
HOW_SHOWN, METRIC_SHOWN = "resample or zero, denoising or noising", "logit_diff or prob_diff"
ABLATION = word("ablation", *_HOW, shown=HOW_SHOWN)
INTERVENTION = word("intervention", *_HOW, shown=HOW_SHOWN)
METRIC = word("metric", *_METRIC, shown=METRIC_SHOWN)
THRESHOLD = fraction("threshold", ">=", "gap")
CARRIES = (Phrase("carries", {"direction": "supports"}), Phrase("opposes", {"direction": "opposes"}))
REPLACED_BY = {"resample": "its activations on other prompts", "zero": "zeros"}


def patching(where: str, intervention: str, direction: str) -> str:
    """A patch and what it does, in words."""
    into_corrupted = intervention == "denoising"
    runs = "from the clean into the corrupted run" if into_corrupted else "from the corrupted into the clean run"
    return f"Patching {where} {runs} {'raises' if into_corrupted == (direction == 'supports') else 'lowers'}"


def split(text: str) -> tuple[str, ...]:
    """The components of a text that joins them by "+"."""
    return tuple(text.split("+")) if text else ()


def moved_by(intervention: str, direction: str, values: Values, name: str) -> Floats:
    """How far an arm moves the metric in the direction: restored by denoising, lost by everything else."""
    change = values[name] - values[CORRUPTED] if intervention == "denoising" else values[CLEAN] - values[name]
    return change if direction == "supports" else -change


EQUIVALENCE = ("total above -margin", "total below margin", "direct above -margin", "direct below margin")


def equivalence(total: Floats, direct: Floats, margin: float, unit: str, decides: bool = True) -> list[Part]:
    """Both effects within the margin, from above and from below."""
    effects = (total, -total, direct, -direct)
    return [Part(name, x, -margin, unit, decides) for name, x in zip(EQUIVALENCE, effects, strict=True)]
