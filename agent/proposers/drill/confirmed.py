"""What is confirmed so far, as later stages need it."""

from __future__ import annotations

from typing import NamedTuple

from lakatos.agent.view import View
from lakatos.tools.claim import Necessity, NodeEffect
from lakatos.tools.component import Component, Shape


class Confirmed(NamedTuple):
    """A component with a confirmed effect or necessity."""

    component: Component  # at its position, where the claim has one
    effect: float  # as a fraction of the gap; its size
    opposes: bool

    @property
    def bare(self) -> Component:
        """The component at every position."""
        return Component(self.component.layer, self.component.kind, self.component.index)

    def reads(self, receiver: str, shape: Shape) -> bool:
        """Whether a receiver of edges (a9.h6.q, a9.g2.k, m5, logits) is a part of it that reads."""
        if receiver == "logits":
            return False
        part, own = Component.parse(receiver), self.component
        if part.layer != own.layer or (part.kind == "mlp") != (own.kind == "mlp"):
            return False
        if part.kind == "mlp":
            return True
        group = (own.index or 0) * shape.n_key_value_heads // shape.n_heads
        return part.index == (own.index if part.kind == "query" else group)


def confirmed_nodes(view: View) -> list[Confirmed]:
    """Confirmed node effects and necessities of single components on the behaviour itself, the strongest first."""
    found: dict[Component, Confirmed] = {}
    for entry in view.known:
        claim = entry.claim
        if entry.state != "confirmed" or not isinstance(claim, NodeEffect | Necessity) or len(claim.components) > 1:
            continue
        if entry.evidence is None or entry.evidence.effect is None:
            continue
        effect = entry.evidence.effect.mean / entry.battery.gap
        own = Confirmed(claim.parsed()[0], effect, getattr(claim, "direction", "supports") == "opposes")
        if own.component not in found:
            found[own.component] = own
    return sorted(found.values(), key=lambda own: (-own.effect, str(own.component)))
