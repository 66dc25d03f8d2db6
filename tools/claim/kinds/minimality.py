"""A circuit none of whose members can be left out."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from lakatos.tools.claim.base import ABLATION, METRIC, REPLACED_BY, THRESHOLD, Gauge, Matched, Part, Values
from lakatos.tools.claim.kinds.circuit import CircuitClaim
from lakatos.tools.claim.measures import CIRCUIT, Arm
from lakatos.tools.claim.schema import Offer, Schema, claim_form, ref
from lakatos.tools.claim.words import LIST, Option, Phrase, listed
from lakatos.tools.component import canonical

_BACKUPS = Option(
    "backups",
    rf"(\S+)\s+with\s+({LIST})",
    "a9.h6 with a10.h0",
    lambda match: {match[1]: listed(match[2])},
    lambda backups: [f"{member} with {' + '.join(others)}" for member, others in backups.items()],
    several=True,
)


class Minimality(CircuitClaim):
    """A circuit none of whose members can be left out; a member that others back up is left out together with them."""

    example = "m0 + a9.h6 + a10.h0 minimal for ioi (resample, logit_diff, >= 10% of gap, a9.h6 with a10.h0)"
    phrases = (Phrase("minimal for"),)
    options = (ABLATION, METRIC, THRESHOLD, _BACKUPS)
    most = 40

    kind: Literal["minimality"] = "minimality"
    backups: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="member -> members that do its work when it is missing"
    )

    @field_validator("backups", mode="after")
    @classmethod
    def _canonical_backups(cls, backups: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for member, others in backups.items():
            (name,) = canonical((member,))
            found[name] = tuple(c for c in canonical(others) if c != name)
        return {name: others for name, others in sorted(found.items()) if others}

    @model_validator(mode="after")
    def _backups_in_circuit(self) -> Minimality:
        named = {*self.backups, *(c for others in self.backups.values() for c in others)}
        if strangers := sorted(named - set(self.components)):
            raise ValueError(f"backups: {', '.join(strangers)} are not in the circuit")
        if len(self.components) < 2:
            raise ValueError("a circuit of one component is minimal; claim its necessity or its node effect")
        return self

    def arms(self, matched: Matched) -> tuple[Arm, ...]:  # noqa: ARG002
        def kept(name: str, left_out: tuple[str, ...]) -> Arm:
            return Arm(name, tuple(c for c in self.components if c not in left_out), self.ablation, keep=True)

        without = [kept(f"without.{member}", self._out(member)) for member in self.components]
        spared = [kept(f"spared.{member}", others) for member, others in self.backups.items()]
        return (kept(CIRCUIT, ()), *without, *spared)

    def parts(self, gauge: Gauge, values: Values) -> list[Part]:
        delta = self.threshold * gauge.gap
        parts = [
            Part(f"needs {' with '.join(self._out(m))}", values[CIRCUIT] - values[f"without.{m}"], delta, self.unit)
            for m in self.components
        ]
        # without its backups the member itself must matter, or anything would be minimal beside a backup that does
        for member, others in self.backups.items():
            lost = values[f"spared.{member}"] - values[f"without.{member}"]
            parts.append(Part(f"needs {member} without {' and '.join(others)}", lost, delta, self.unit))
        return parts

    def in_words(self, behaviour: str) -> str:  # noqa: ARG002
        told = [f"{member} being left out with {' and '.join(others)}" for member, others in self.backups.items()]
        backups = f" ({'; '.join(told)}, and mattering by itself where that is missing)" if told else ""
        return (
            f"In the circuit {self.where}, everything else being replaced by {REPLACED_BY[self.ablation]}, no member "
            f"can be left out without a loss of at least {self.amount} in {self.metric_in_words}{backups}."
        )

    @classmethod
    def schemas(cls, offer: Offer) -> dict[str, Schema]:  # noqa: ARG003
        fields = {"components": ref("several"), "ablation": ref("ablation"), "threshold": ref("threshold")}
        return {cls.name(): claim_form(cls.name(), **fields)}

    def _out(self, member: str) -> tuple[str, ...]:
        return (member, *self.backups.get(member, ()))
