"""What a person made of drafts: one decision a round; what was proposed is what they kept."""

from __future__ import annotations

from collections.abc import Iterator

from lakatos.experiments_db.log import APPROVED, DRAFTED
from lakatos.experiments_db.log import tables as m
from lakatos.experiments_db.verify.log import WholeLog


def approval_lies(run: m.Run, log: WholeLog) -> Iterator[str]:
    """Every round of a run that asks a person has their decision, and proposes what they kept."""
    events = log.of_run("events", run.id)
    drafted = {e.payload["round"]: e for e in events if e.kind == DRAFTED}
    decided: dict[int, m.Event] = {}
    for event in [e for e in events if e.kind == APPROVED]:
        here, told = f"events row {event.id}", event.payload
        put = drafted.get(told["round"])
        if put is None or put.id > event.id or told["round"] in decided:
            yield f"{here}: decides on round {told['round']}, about which nobody asked, or which was decided before"
            continue
        decided[told["round"]] = event
        if told["added"] != [own for own in told["kept"] if own not in put.payload["put"]]:
            yield f"{here}: does not say rightly what was added"
        if not told["author"]:
            yield f"{here}: is signed by nobody"
    rounds: dict[int, list[m.Proposal]] = {}
    for proposal in log.of_run("proposals", run.id):
        rounds.setdefault(proposal.round, []).append(proposal)
    if not (run.config or {}).get("approve"):
        if drafted:
            yield f"events row {min(e.id for e in drafted.values())}: run {run.id} asks nobody"
        return
    for number, own in rounds.items():
        event = decided.get(number)
        if event is None or event.payload["kept"] != [p.proposal for p in own]:
            yield f"proposals row {own[0].id}: round {number} of run {run.id} is not what a person kept"
