"""What of the mechanism holds on the behaviour's other prompt families."""

from __future__ import annotations

from lakatos.agent.proposers.drill.budget import Candidate, fresh, put
from lakatos.agent.view import View
from lakatos.tools.claim import Generalisation, NoEffect


def far(view: View) -> list[Candidate]:
    """Every confirmed claim but those of no effect on every family, the claims with the largest e-values first."""
    held = [e for e in view.known if e.state == "confirmed" and e.claim.family is None]
    found = []
    for entry in sorted(held, key=lambda e: (-e.e, e.id)):
        if isinstance(entry.claim, NoEffect):
            continue
        for family in view.behaviour.families:
            claim = Generalisation(parent=entry.claim, family=family)
            if fresh(view, claim):
                found.append(put(claim, f"Confirmed as hypothesis {entry.id} on the behaviour itself.", passes=True))
    return found
