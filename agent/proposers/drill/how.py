"""Who reads what from whom, and where heads look: paths and roles of what is confirmed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lakatos.agent.proposers.drill.budget import PROMISING, Candidate, fresh, mixed, promise, put
from lakatos.agent.proposers.drill.confirmed import Confirmed, confirmed_nodes
from lakatos.agent.view import View
from lakatos.tools.claim import AttentionRole, Mediation
from lakatos.tools.component import Component, Shape
from lakatos.tools.intervention import Intervention

_NODES: Final = 5  # confirmed nodes whose paths are looked for
_RECEIVERS: Final = 4  # of a sender, together
_SENDERS: Final = 2  # of each part of a receiver
_SHARES: Final = (0.5, 0.25)  # of the total effect that a path is claimed to carry; the largest that exploration allows


Floats = NDArray[np.float64]


class _Asked(NamedTuple):
    """Senders, and receivers that may pass on what they do."""

    sender: Component
    receivers: tuple[str, ...]


def how(view: View) -> list[Candidate]:
    """Paths and roles in turn, each kind with the most promising first."""
    nodes = confirmed_nodes(view)
    return mixed(_paths(view, nodes[:_NODES]), _roles(view, nodes))


def _paths(view: View, nodes: list[Confirmed]) -> list[Candidate]:
    """A path for each confirmed node and each component that feeds one: the largest share, the fewest receivers."""
    edges = view.searching.edges if nodes else {}
    asked = list(dict.fromkeys(own for node in nodes for own in [*_out(node, edges), *_into(node, edges, view.shape)]))
    if not asked:
        return []
    senders = list(dict.fromkeys(own.sender for own in asked))
    arms = [Intervention(sender, "clean") for sender in senders]
    arms += [Intervention(own.sender, "clean", to=own.receivers) for own in asked]
    moved = view.searching.effects(arms, "corrupted")
    totals = dict(zip(senders, moved, strict=False))
    found = [
        path
        for own, through in zip(asked, moved[len(senders) :], strict=True)
        for path in _claimable(view, own, totals[own.sender], through)
    ]
    best: dict[Component, _Path] = {}
    for path in sorted(found, key=_Path.rank):
        best.setdefault(path.sender, path)
    return [path.candidate for path in sorted(best.values(), key=lambda path: -path.promise)]


class _Path(NamedTuple):
    """A path that exploration predicts to be confirmed."""

    sender: Component
    receivers: int
    share: float
    promise: float
    candidate: Candidate

    def rank(self) -> tuple[float, int, float]:
        """The largest share first, through the fewest receivers."""
        return -self.share, self.receivers, -self.promise


def _claimable(view: View, own: _Asked, total: Floats, through: Floats) -> Iterator[_Path]:
    """The claims that a path allows, where what it carries [n] and the sender's total effect [n] are known."""
    sign = 1.0 if total.mean() >= 0 else -1.0
    for share in _SHARES:
        expected = min(
            promise(sign * total, view.threshold),
            promise(sign * (through - share * total), 0.0),
            promise(sign * through, share * view.threshold),
        )
        claim = Mediation(
            components=(str(own.sender),),
            receivers=own.receivers,
            direction="supports" if sign > 0 else "opposes",
            share=share,
            threshold=view.threshold,
        )
        if expected >= PROMISING and fresh(view, claim):
            why = f"On exploration pairs {through.mean() / total.mean():.0%} of {total.mean():+.1%} go this way."
            candidate = put(claim, why, predicted=abs(float(total.mean())), passes=True)
            yield _Path(own.sender, len(own.receivers), share, expected, candidate)


def _out(node: Confirmed, edges: dict[str, dict[str, float]]) -> list[_Asked]:
    """A node and its strongest receivers: the first, the first two, ...; and the logits directly."""
    read = edges.get(node.component.atom(), {})
    sign = -1.0 if node.opposes else 1.0
    ranked = sorted((r for r in read if r != "logits" and sign * read[r] > 0), key=lambda r: -sign * read[r])
    sets = [tuple(ranked[:k]) for k in range(1, _RECEIVERS + 1) if k <= len(ranked)]
    return [_Asked(node.component, own) for own in [*sets, ("logits",)]]


def _into(node: Confirmed, edges: dict[str, dict[str, float]], shape: Shape) -> list[_Asked]:
    """The strongest senders to each part of a node that reads."""
    found = []
    parts = [r for r in {r for read in edges.values() for r in read} if node.reads(r, shape)]
    for part in sorted(parts):
        senders = sorted((s for s in edges if s != "r0" and part in edges[s]), key=lambda s: -abs(edges[s][part]))
        found += [_Asked(Component.parse(sender), (part,)) for sender in senders[:_SENDERS]]
    return found


def _roles(view: View, nodes: list[Confirmed]) -> list[Candidate]:
    """For each confirmed head: the position that it looks at from where it acts. A role is never counted as causal."""
    names = view.behaviour.named_positions
    claims = []
    for node in nodes:
        here = node.component.position or "END"
        if node.component.kind != "head" or here not in names:
            continue
        for there in names[: names.index(here)]:
            head = str(Component(node.component.layer, "head", node.component.index))
            claim = AttentionRole(components=(head,), attends_from=here, attends_to=there, threshold=view.threshold)
            if fresh(view, claim) and claim not in claims:
                claims.append(claim)
    shown = [(claim, own) for claim, own in zip(claims, view.searching.probe(claims), strict=True) if own]
    passing = [(claim, own) for claim, own in shown if own.promise >= PROMISING]
    return [
        put(claim, f"Its attention there exceeds any other by {own.effect:.0%} on exploration pairs.", passes=True)
        for claim, own in sorted(passing, key=lambda one: -np.nan_to_num(one[1].promise, posinf=1e9))
    ]
