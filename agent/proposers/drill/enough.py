"""A circuit that is enough, a rival that shares nothing with it, and whether a member can be left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from lakatos.agent.proposers.drill.budget import PROMISING, Candidate, fresh, put
from lakatos.agent.proposers.drill.confirmed import confirmed_nodes
from lakatos.agent.view import View
from lakatos.tools.claim import AnyClaim, Backup, Minimality, Sufficiency
from lakatos.tools.claim.kinds.sufficiency import DEFAULT_FAITHFULNESS
from lakatos.tools.component import Component

_SIZES: Final = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 80, 96, 112, 128, 144, 160, 180, 200)
_MARGIN: Final = 0.05  # of the model's metric: what exploration predicts beyond what is claimed
_SMALL: Final = 12  # members of a circuit of which each is left out in turn

_WHY: Final = "What is confirmed, completed by the fewest components that keep the behaviour on exploration pairs."
_WHY_RIVAL: Final = "It shares no component with the circuit above, and keeps the behaviour on exploration pairs too."

Circuit = tuple[Component, ...]


def enough(view: View) -> list[Candidate]:
    """The smallest circuit around what is confirmed, the same search without its members, and its minimality."""
    nodes = confirmed_nodes(view)
    core = list(dict.fromkeys(n.bare for n in nodes if not n.opposes and n.bare.kind in ("head", "mlp")))
    if not core:
        return []
    ranked = _ranked(view)
    circuit = _smallest(view, core, [c for c in ranked if c not in core])
    if circuit is None:
        return []
    circuit, lost = _pruned(view, circuit)
    main = _claim(circuit, view)
    if not _holds(view, main):
        return []
    found = [(main, put(main, _WHY, passes=True))]
    others = _smallest(view, [], [c for c in ranked if c not in circuit])
    if others is not None and _holds(view, rival := _claim(others, view)):
        found.append((rival, put(rival, _WHY_RIVAL, passes=True, role="rival")))
    if 1 < len(circuit) <= _SMALL:
        found.append(_minimal(circuit, lost, view))
    return [candidate for claim, candidate in found if fresh(view, claim)]


def _claim(circuit: Circuit, view: View) -> AnyClaim:
    return Sufficiency(components=tuple(map(str, circuit)), threshold=view.threshold)


def _holds(view: View, claim: AnyClaim) -> bool:
    """Whether the whole battery promises to hold: random circuits and the search on shuffled labels are part of it."""
    (shown,) = view.searching.probe([claim])
    return shown is not None and shown.promise >= PROMISING


def _ranked(view: View) -> list[Component]:
    """Heads and MLPs by the size of their attribution over all positions."""
    rows = [(Component.parse(r["component"]), abs(float(r["score"]))) for r in view.explored.attributions]
    return [c for c, _ in sorted((r for r in rows if r[0].position is None), key=lambda row: -row[1])]


def _smallest(view: View, core: Sequence[Component], others: Sequence[Component]) -> Circuit | None:
    """The core with the fewest others, in their order, that keep enough of the behaviour; None: none does.

    Sizes are halved in, as if more components never kept less.
    """
    most = min(Sufficiency.most, len(core) + len(others))
    sizes = [n for n in _SIZES if max(1, len(core)) < n < most] + [most]
    sizes = [len(core), *sizes] if core else sizes
    if len(core) + len(others) == len(_ranked(view)):
        sizes = [n for n in sizes if n < len(core) + len(others)]  # the whole model is no circuit
    if not sizes:
        return None

    def keeps(size: int) -> bool:
        (share,) = view.searching.kept([[*core, *others[: size - len(core)]]])
        return share >= DEFAULT_FAITHFULNESS + _MARGIN

    low, high = 0, len(sizes) - 1
    if not keeps(sizes[high]):
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if keeps(sizes[middle]) else (middle + 1, high)
    return (*core, *others[: sizes[high] - len(core)])


def _pruned(view: View, circuit: Circuit) -> tuple[Circuit, dict[Component, float]]:
    """A small circuit without the members that it can do without, and what each of the others is worth to it."""
    if not 1 < len(circuit) <= _SMALL:
        return circuit, {}
    while len(circuit) > 1:
        whole, *shares = view.searching.kept([circuit, *([d for d in circuit if d != c] for c in circuit)])
        lost = {c: whole - share for c, share in zip(circuit, shares, strict=True)}
        least = min(lost, key=lambda c: (lost[c], str(c)))
        if whole - lost[least] < DEFAULT_FAITHFULNESS + _MARGIN:
            return circuit, lost
        circuit = tuple(c for c in circuit if c != least)
    return circuit, {}


def _minimal(circuit: Circuit, lost: dict[Component, float], view: View) -> tuple[AnyClaim, Candidate]:
    """That no member can be left out; one that others back up is left out together with them."""
    members = set(map(str, circuit))
    backups = {
        claim.backed_up[0]: claim.components
        for claim in (e.claim for e in view.known if e.state == "confirmed" and isinstance(e.claim, Backup))
        if len(claim.backed_up) == 1 and {*claim.backed_up, *claim.components} <= members
    }
    claim = Minimality(components=tuple(sorted(members)), backups=backups, threshold=view.threshold)
    least = min(lost.values(), default=0.0)
    why = f"Leaving out any member costs {least:.0%} of the model's metric or more on exploration pairs."
    return claim, put(claim, why, passes=least >= view.threshold)
