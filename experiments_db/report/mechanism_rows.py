"""The findings of a mechanism one by one: for tables on pages, in notebooks and in a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lakatos.experiments_db.mechanism import Backing, Mechanism


@dataclass(frozen=True)
class Finding:
    """A part of a mechanism in a few words."""

    what: str
    part: Backing
    effect: float | None = None  # as a fraction of the gap, signed


def findings(found: Mechanism) -> Iterator[Finding]:
    """All that is confirmed, in the order of the mechanism's fields."""
    for node in found.nodes:
        if node.effect is not None or not node.necessary:
            yield Finding(
                f"{node.component} {'carries' if node.direction == 'supports' else 'opposes'}", node, node.effect
            )
        if node.necessary:
            yield Finding(f"{node.component} is necessary", node, node.lost)
    for path in found.paths:
        opposing = " (opposes)" if path.direction == "opposes" else ""
        yield Finding(f"{_all(path.senders)} through {_all(path.receivers)}{opposing}", path, path.effect)
    for looks in found.looks:
        yield Finding(f"{_all(looks.heads)} attends from {looks.attends_from} to {looks.attends_to}", looks)
    for backup in found.backups:
        yield Finding(f"{_all(backup.components)} steps in for {_all(backup.of)}", backup, backup.effect)
    for circuit in found.circuits:
        rival = ", a rival" if circuit.rival else ""
        what = "sufficient" if circuit.kind == "sufficiency" else "minimal"
        yield Finding(f"{_all(circuit.components)}: {what}{rival}", circuit)
    for absent in found.absent:
        yield Finding(f"{_all(absent.components)} has no effect", absent)


def _all(names: tuple[str, ...]) -> str:
    return " + ".join(names)
