"""What a person made of drafts before they were registered: an event of the run, like all else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from lakatos.experiments_db.log import tables as m
from lakatos.experiments_db.log.log import Log
from lakatos.experiments_db.log.reader import Reader
from lakatos.tools.errors import UserError

DRAFTED: Final = "drafted"  # the kind of event that holds what a person is asked about
APPROVED: Final = "approved"  # ... that holds what they decided
_MOST: Final = 200  # claims that may be kept of a round

Draft = Mapping[str, Any]


def waiting_drafts(log: Reader, run_id: int) -> tuple[int, list[dict[str, Any]]] | None:
    """The round whose drafts nobody has decided on, and those; None where there is none."""
    asked = log.events(run_id, DRAFTED)
    if not asked or approval(log, run_id, asked[-1].payload["round"]) is not None:
        return None
    return asked[-1].payload["round"], list(asked[-1].payload["put"])


def approval(log: Reader, run_id: int, round_: int) -> m.Event | None:
    """What was decided on a round; None while nothing was."""
    return next((e for e in log.events(run_id, APPROVED) if e.payload["round"] == round_), None)


def approve(log: Log, run_id: int, round_: int, kept: Sequence[Draft], author: str) -> None:
    """Append what a person keeps of a round's drafts, with what they added.

    Raises:
        UserError: nobody asked about this round, it was decided already, or there is no author.
    """
    waiting = waiting_drafts(log, run_id)
    if waiting is None or waiting[0] != round_:
        raise UserError(f"Run {run_id} does not ask about round {round_}, or somebody has decided already.")
    if not author.strip() or not author.isprintable() or len(author) > 100:
        raise UserError("Say who decides: a name of 1 to 100 printable characters.")
    if len(kept) > _MOST:
        raise UserError(f"At most {_MOST} claims can be kept of a round, not {len(kept)}.")
    added = [dict(own) for own in kept if dict(own) not in waiting[1]]
    payload = {"round": round_, "kept": [dict(own) for own in kept], "added": added, "author": author.strip()}
    log.event(run_id, APPROVED, payload)


def dropped(put: Sequence[Draft], kept: Sequence[Draft]) -> list[dict[str, Any]]:
    """What was put forward and not kept as it was."""
    return [dict(own) for own in put if dict(own) not in [dict(k) for k in kept]]
