"""Which components carry the behaviour: node effects and necessities over all depths and positions, rivals, nulls."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lakatos.agent.proposers.attribution import nulls, rivals
from lakatos.agent.proposers.drill.budget import PROMISING, Candidate, fresh, promise, put, share, spread, third
from lakatos.agent.view import View
from lakatos.tools.claim import AnyClaim, Hypothesis, Necessity, NodeEffect
from lakatos.tools.component import Component
from lakatos.tools.intervention import Intervention

_OF_ALL: Final = 20  # of the strongest by attribution that are looked at more closely
_OF_A_CELL: Final = 2  # ... and of each third of the layers and position
_LEAST: Final = 2  # node effects that are put forward though none is promising: exploration may be wrong

Row = tuple[Component, float]  # attribution, in logits


class _Looked(NamedTuple):
    """A component with what an intervention on it does on exploration pairs."""

    component: Component
    moved: NDArray[np.float64]  # [n] fraction of the gap, signed

    @property
    def mean(self) -> float:
        return float(self.moved.mean())

    def promise(self, threshold: float) -> float:
        return promise(self.moved * np.sign(self.mean or 1.0), threshold)


def where(view: View) -> list[Candidate]:
    """Candidates in the order in which a budget takes them: node effects, necessities, a rival, a null."""
    rows = [(Component.parse(r["component"]), float(r["score"])) for r in view.explored.attributions]
    placed = [row for row in rows if row[0].position is not None]
    effects = _node_effects(view, placed)
    main = [c for c in effects if c.passes]
    main += [c for c in effects if not c.passes][: max(0, _LEAST - len(main))]
    needed = _necessities(view, [row for row in rows if row[0].position is None])
    budget = share("where", view.how_many, view.proposed)
    beside = max(1, budget // 8) if budget > 1 else 0
    room = max(0, budget - 2 * beside)
    least = min(len(needed), room // 3)
    first = [*main[: room - least], *needed[: max(least, room - len(main))]]
    others = _rivals_and_nulls(view, placed, first, beside)
    rest = [c for c in [*main, *needed] if c not in first]
    return [*first, *others, *rest]


def _node_effects(view: View, rows: list[Row]) -> list[Candidate]:
    """Denoising, measured; the strongest of every third of the layers and every position first."""
    n = view.shape.n_layers

    def cell(row: Row) -> tuple[int, object]:
        return third(row[0].layer, n), row[0].position

    by_cell = spread(rows, cell)
    cells = len({cell(row) for row in rows})
    chosen = list(dict.fromkeys(c for c, _ in [*rows[:_OF_ALL], *by_cell[: _OF_A_CELL * cells]]))
    moved = view.searching.effects([Intervention(c, "clean") for c in chosen], "corrupted")
    looked = sorted(map(_Looked, chosen, moved), key=lambda own: (-abs(own.mean), str(own.component)))
    passing = [own for own in looked if own.promise(view.threshold) >= PROMISING]
    failing = [own for own in looked if own.promise(view.threshold) < PROMISING]
    ordered = [*spread(passing, lambda own: (third(own.component.layer, n), own.component.position)), *failing]
    found = []
    for own in ordered:
        claim = NodeEffect(
            components=(str(own.component),),
            direction="supports" if own.mean >= 0 else "opposes",
            threshold=view.threshold,
        )
        if fresh(view, claim):
            why = f"Denoising it moves the metric by {own.mean:+.1%} of the gap on {len(own.moved)} exploration pairs."
            found.append(put(claim, why, predicted=abs(own.mean), passes=own.promise(view.threshold) >= PROMISING))
    return found


def _necessities(view: View, rows: list[Row]) -> list[Candidate]:
    """Resample ablation, measured; the strongest of every third of the layers first. Controls are left to the test."""
    n = view.shape.n_layers
    chosen = [c for c, _ in spread([r for r in rows if r[1] > 0], lambda row: third(row[0].layer, n))[:_OF_ALL]]
    if not chosen:
        return []
    lost = view.searching.effects([Intervention(c, "resample") for c in chosen], "clean")
    looked = sorted(map(_Looked, chosen, lost), key=lambda own: (-own.mean, str(own.component)))
    passing = [own for own in looked if promise(own.moved, view.threshold) >= PROMISING]
    found = []
    for own in spread(passing, lambda own: third(own.component.layer, n)):
        claim = Necessity(components=(str(own.component),), threshold=view.threshold)
        if fresh(view, claim):
            why = f"Resampling it costs {own.mean:+.1%} of the gap on {len(own.moved)} exploration pairs."
            found.append(put(claim, why, predicted=own.mean, passes=True))
    return found


def _rivals_and_nulls(view: View, rows: list[Row], main: list[Candidate], beside: int) -> list[Candidate]:
    """So many rivals to node effects, and so many heads that should do nothing."""
    used = {Component.parse(c) for own in main for c in own.proposal["claim"]["components"]}
    proposals = [
        *list(rivals(rows, set(used), view.explored, view.threshold))[:beside],
        *nulls(rows, used, view.explored, view.threshold, beside),
    ]
    found = []
    for proposal in proposals:
        claim: AnyClaim = Hypothesis.model_validate(proposal).claim
        if fresh(view, claim):
            found.append(Candidate(proposal, passes=False))
    return found
