"""Any components at all: the control arm, under the same protocol."""

from __future__ import annotations

import random
from typing import Any

from lakatos.agent.proposers.protocol import Proposed
from lakatos.agent.view import Explored, Proposal, View
from lakatos.tools.component import Component


def chance(view: View) -> Proposed:
    """As many random claims in each round."""
    return Proposed(at_random(view.explored, view.how_many, view.threshold, f"{view.seed}:{view.round}"))


def at_random(explored: Explored, how_many: int, threshold: float, seed: str) -> list[Proposal]:
    """Claims about components drawn uniformly: what a search without insight would register."""
    rng = random.Random(f"propose:{seed}")
    proposals = []
    for _ in range(how_many):
        head = rng.random() < 0.75
        index = rng.randrange(explored.n_heads) if head else None
        layer = rng.randrange(explored.n_layers)
        if rng.random() < 0.5:
            component = Component(layer, "head" if head else "mlp", index, rng.choice(list(explored.positions)))
            claim: dict[str, Any] = {"kind": "node_effect", "direction": rng.choice(["supports", "opposes"])}
        else:
            component = Component(layer, "head" if head else "mlp", index)
            claim = {"kind": "necessity"}
        claim |= {"components": [str(component)], "threshold": threshold}
        proposals.append({"claim": claim, "rationale": "Drawn at random.", "role": "main"})
    return proposals
