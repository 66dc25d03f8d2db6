"""What claims about circuits have in common: everything outside of the components is ablated."""

from __future__ import annotations

from pydantic import Field, field_validator

from lakatos.tools.claim.base import MeasuredClaim
from lakatos.tools.claim.measures import CIRCUIT
from lakatos.tools.claim.vocabulary import Ablation
from lakatos.tools.component import Component


class CircuitClaim(MeasuredClaim):
    """A claim about what is left when every head and MLP outside of the components is ablated."""

    main = (CIRCUIT,)

    ablation: Ablation = Field("resample", description="what replaces the activations outside of the circuit")

    @field_validator("components", mode="after")
    @classmethod
    def _members(cls, components: tuple[str, ...]) -> tuple[str, ...]:
        if strangers := [c for c in components if not Component.parse(c).known.in_circuits]:
            raise ValueError(f"a circuit is of heads, attentions and MLPs, not of {', '.join(strangers)}")
        return components

    @property
    def how(self) -> str:
        return self.ablation
