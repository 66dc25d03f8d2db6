"""The strongest rows of the attribution table, with rivals and nulls among them. No language model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from lakatos.agent.proposers.protocol import Proposed
from lakatos.agent.view import Explored, Proposal, View
from lakatos.tools.component import Component


def attribution(view: View) -> Proposed:
    """One round: what exploration suggests does not change."""
    if view.round > 1:
        return Proposed([])
    return Proposed(from_attribution(view.explored, view.how_many, view.threshold))


def from_attribution(explored: Explored, how_many: int, threshold: float) -> list[Proposal]:
    """Claims about the strongest components at named positions, rivals to them, and that the weakest heads do nothing.

    Of `how_many`: about half node effects, a third necessity; from two on at least one null, from four on one rival.
    """
    rows = [(Component.parse(r["component"]), float(r["score"])) for r in explored.attributions]
    at_position = [r for r in rows if r[0].position is not None]
    without = max(1, how_many // 8) if how_many > 1 else 0
    beside = max(1, how_many // 8) if how_many > 3 else 0
    necessity = (how_many - without - beside) * 2 // 5
    effects = how_many - without - beside - necessity

    proposals = [_node_effect(c, s, explored, threshold) for c, s in at_position[:effects]]
    supporting = (r for r in rows if r[0].position is None and r[1] > 0)
    proposals += [_necessity(c, s, explored, threshold) for c, s in islice(supporting, necessity)]
    used = {component for component, _ in at_position[:effects]}
    proposals += list(islice(rivals(at_position, used, explored, threshold), beside))
    return [*proposals, *nulls(at_position, used, explored, threshold, without)]


def nulls(
    rows: Sequence[tuple[Component, float]], used: set[Component], explored: Explored, threshold: float, how_many: int
) -> list[Proposal]:
    """That the heads of the weakest attribution at END have no effect."""
    weakest = [r for r in reversed(rows) if r[0].kind == "head" and r[0].position == "END" and r[0] not in used]
    return [_no_effect(c, s, explored, threshold) for c, s in weakest[:how_many]]


def _node_effect(
    component: Component, score: float, explored: Explored, threshold: float, role: str = "main", why: str = ""
) -> Proposal:
    fraction = score / explored.gap if explored.gap > 0 else 0.0
    rationale = why or f"Attribution patching estimates that denoising it restores {fraction:+.1%} of the gap."
    claim = {
        "kind": "node_effect",
        "components": [str(component)],
        "direction": "supports" if score >= 0 else "opposes",
        "threshold": threshold,
    }
    return {"claim": claim, "rationale": rationale, "predicted": abs(fraction), "role": role}


def _necessity(component: Component, score: float, explored: Explored, threshold: float) -> Proposal:
    fraction = score / explored.gap if explored.gap > 0 else 0.0
    return {
        "claim": {"kind": "necessity", "components": [str(component)], "threshold": threshold},
        "rationale": f"Its attributions over all positions sum to {fraction:+.1%} of the gap.",
        "predicted": fraction,
        "role": "main",
    }


def _no_effect(component: Component, score: float, explored: Explored, threshold: float) -> Proposal:
    fraction = score / explored.gap if explored.gap > 0 else 0.0
    claim = {
        "kind": "no_effect",
        "components": [str(component)],
        "intervention": "denoising",
        "threshold": threshold,
    }
    why = f"Among the weakest attributions: {fraction:+.2%} of the gap."
    return {"claim": claim, "rationale": why, "predicted": fraction, "role": "null"}


def rivals(
    rows: Sequence[tuple[Component, float]], used: set[Component], explored: Explored, threshold: float
) -> Iterator[Proposal]:
    """For each strong component: the strongest unused one of its kind and position, if it can from its layer."""
    for strong in [component for component, _ in rows if component in used]:
        others = [r for r in rows if (r[0].position, r[0].kind) == (strong.position, strong.kind) and r[0] not in used]
        others.sort(key=lambda r: r[0].layer != strong.layer)
        if others:
            other, score = others[0]
            used.add(other)
            why = f"Rival to {strong}: it reads the same position and could do the same work."
            yield _node_effect(other, score, explored, threshold, role="rival", why=why)
