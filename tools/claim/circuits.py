"""Claims about circuits and paths: what suffices, what cannot be left out, what goes where."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field, field_validator, model_validator

from lakatos.tools.claim.base import (
    DEFAULT_FAITHFULNESS,
    DEFAULT_SHARE,
    LEAST_RANDOM,
    Ablation,
    Arm,
    Direction,
    Floats,
    Gauge,
    Matched,
    MeasuredClaim,
    Part,
    Patch,
    Values,
    moved_by,
    patch,
    split,
)
from lakatos.tools.component import Component, canonical


class CircuitClaim(MeasuredClaim):
    """A claim about what is left when every head and MLP outside of the components is ablated."""

    ablation: Ablation = Field("resample", description="what replaces the activations outside of the circuit")

    @field_validator("components", mode="after")
    @classmethod
    def _members(cls, components: tuple[str, ...]) -> tuple[str, ...]:
        if strangers := [c for c in components if Component.parse(c).kind not in ("head", "attention", "mlp")]:
            raise ValueError(f"a circuit is of heads, attentions and MLPs, not of {', '.join(strangers)}")
        return components


class Sufficiency(CircuitClaim):
    """A circuit: with every head and MLP outside of it ablated, the behaviour stays, and not so with other circuits.

    The others are random circuits of the same size, and the best of those that the same search (attribution patching)
    finds when answers are shuffled: any search finds some subnetwork. The bound from above refuses a "circuit" that
    does the task better than the model, which then works otherwise (Shi et al. 2024, "Hypothesis testing the circuit
    hypothesis").
    """

    most: ClassVar[int] = 200

    kind: Literal["sufficiency"] = "sufficiency"
    faithfulness: float = Field(
        DEFAULT_FAITHFULNESS, gt=0, le=1, description="share of the model's metric that the circuit keeps"
    )
    matched_random: int = Field(
        LEAST_RANDOM, ge=LEAST_RANDOM, le=8, description="how many random circuits it must beat"
    )

    def arms(self, matched: Matched) -> tuple[Arm, ...]:
        others = [(f"{role}.{k}", text) for role in ("random", "shuffled") for k, text in enumerate(matched[role])]
        found = [("circuit", "+".join(self.components)), *others]
        return tuple(Arm(name, split(text), self.ablation, keep=True) for name, text in found)

    def parts(self, gauge: Gauge, values: Values) -> list[Part]:
        circuit, model = values["circuit"], values["clean"]
        delta, tau = self.threshold * gauge.gap, self.faithfulness
        parts = [
            Part(
                "keeps the behaviour",
                circuit - tau * model,
                0.0,
                f"{self.unit} beyond {100 * tau:.4g} % of the model's",
            ),
            Part("not beyond the model", (2 - tau) * model - circuit, 0.0, self.unit),
        ]
        for k in range(len(gauge.matched["random"])):
            parts.append(Part(f"beyond random circuit {k}", circuit - values[f"random.{k}"], delta, self.unit))
        for k in range(len(gauge.matched["shuffled"])):
            parts.append(Part("beyond the shuffled search", circuit - values[f"shuffled.{k}"], delta, self.unit))
        return parts


class Minimality(CircuitClaim):
    """A circuit none of whose members can be left out; a member that others back up is left out together with them."""

    most: ClassVar[int] = 40

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
        return (kept("circuit", ()), *without, *spared)

    def parts(self, gauge: Gauge, values: Values) -> list[Part]:
        delta = self.threshold * gauge.gap
        parts = [
            Part(f"needs {' with '.join(self._out(m))}", values["circuit"] - values[f"without.{m}"], delta, self.unit)
            for m in self.components
        ]
        # without its backups the member itself must matter, or anything would be minimal beside a backup that does
        for member, others in self.backups.items():
            lost = values[f"spared.{member}"] - values[f"without.{member}"]
            parts.append(Part(f"needs {member} without {' and '.join(others)}", lost, delta, self.unit))
        return parts

    def _out(self, member: str) -> tuple[str, ...]:
        return (member, *self.backups.get(member, ()))


class Mediation(MeasuredClaim):
    """Path patching: at least a share of what the senders do goes directly into these receivers, and not into others.

    A receiver is compared with random ones of its kind in its layer (an MLP: in near layers); `logits`, of which there
    is one, with random senders near the claim's (Wang et al. 2022; Goldowsky-Dill et al. 2023).
    """

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

    def places(self) -> tuple[Component, ...]:
        return (*self.parsed(), *(Component.parse(r) for r in self.receivers if r != "logits"))

    def arms(self, matched: Matched) -> tuple[Arm, ...]:
        source, base = patch(self.intervention)
        total = Arm("intervened", self.components, source, base)
        path = Arm("path", self.components, source, base, to=self.receivers)
        if self.receivers == ("logits",):
            others = [path._replace(name=f"random.{k}", components=split(t)) for k, t in enumerate(matched["random"])]
        else:
            others = [path._replace(name=f"random.{k}", to=split(t)) for k, t in enumerate(matched["random"])]
        return (total, path, *others)

    def parts(self, gauge: Gauge, values: Values) -> list[Part]:
        def moved(name: str) -> Floats:
            return moved_by(self.intervention, self.direction, values, name)

        total, path, delta = moved("intervened"), moved("path"), self.threshold * gauge.gap
        others = np.mean([moved(f"random.{k}") for k in range(len(gauge.matched["random"]))], axis=0)
        return [
            Part("total", total, delta, self.unit),
            Part("share of the path", path - self.share * total, 0.0, self.unit),
            Part("beyond random receivers", path - others, self.share * delta, self.unit),
        ]
