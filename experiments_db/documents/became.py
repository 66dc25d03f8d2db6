"""What became of proposals: registered, and how that ended; or refused, and why."""

from __future__ import annotations

from typing import Any

from lakatos.experiments_db.log import Proposal, Run
from lakatos.experiments_db.store import Store
from lakatos.tools.claim import claim_of


def proposals_of(store: Store, run: Run) -> list[tuple[Proposal, dict[str, Any]]]:
    """The proposals of a run in their order, each with what became of it."""
    rows = store.proposals(run.id)
    ids = [row.id for row in rows]
    entries = {entry.id: entry for entry in store.hypotheses(run.id)}
    registered = {proposal: entries[hypothesis] for proposal, hypothesis in store.of_proposals(ids).items()}
    refused = store.refusals(ids)
    found = []
    for row in rows:
        entry, refusal = registered.get(row.id), refused.get(row.id)
        told = {
            "claim": claim_of(row.proposal, run.behaviour),
            "became": "registered" if entry else refusal.kind if refusal else "unjudged",
            "hypothesis": entry.id if entry else refusal.duplicate_of if refusal else None,
            "state": entry.state if entry else None,
            "reason": refusal.reason if refusal else None,
        }
        found.append((row, told))
    return found


def became(proposal: dict[str, Any]) -> str:
    """A proposal and what became of it, in a line."""
    if proposal["became"] == "registered":
        return f"{proposal['claim']}: registered as hypothesis {proposal['hypothesis']}, {proposal['state']}"
    if proposal["became"] == "unjudged":
        return f"{proposal['claim']}: not judged yet"
    return f"{proposal['claim']}: refused, {proposal['became']}: {proposal['reason']}"
