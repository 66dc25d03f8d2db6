"""Pausing, resuming and stopping a run from another process: what is asked is an event of the run, like all else."""

from __future__ import annotations

from typing import Final, Literal

from lakatos.experiments_db.log.log import Log
from lakatos.experiments_db.log.records import RunRecord
from lakatos.tools.errors import UserError

Wish = Literal["pause", "resume", "stop"]
WISHES: Final[tuple[Wish, ...]] = ("pause", "resume", "stop")
_PREFIX = "asked to "
_OVER = ("started", "resumed", "stopped", "finished", "failed")  # what was asked of a run before these is over


def ask(log: Log, run_id: int, wish: str, author: str) -> None:
    """Ask a running investigation to pause, to go on, or to stop after the batch under way.

    Raises:
        UserError: no such run or wish, or the run is not running.
    """
    if wish not in WISHES:
        raise UserError(f"A run can be asked to {', '.join(WISHES)}, not to {wish!r}.")
    status = log.run(run_id).status
    if status != "running":
        again = f"; `lakatos run --resume --run {run_id}` goes on" if status == "stopped" else ""
        raise UserError(f"Run {run_id} is not running: it has {status}{again}.")
    log.event(run_id, _PREFIX + wish, {"author": author})


def asked(log: Log, run_id: int) -> Literal["pause", "stop"] | None:
    """What the newest wish asks of a run; None to go on."""
    kinds = (*_OVER, *(_PREFIX + wish for wish in WISHES))
    found = log.events(run_id, *kinds)
    kind = found[-1].kind if found else ""
    if kind == _PREFIX + "pause":
        return "pause"
    return "stop" if kind == _PREFIX + "stop" else None


def resumable(log: Log) -> list[int]:
    """The runs of the study that can go on, in order: stopped, killed, or failed in a way that may not come again."""
    return [run.id for run in log.runs() if run.status != "finished" and not _failed_for_good(log, run)]


def _failed_for_good(log: Log, run: RunRecord) -> bool:
    """Would the same failure come again? The event says so: what was looked at is not there."""
    if run.status != "failed":
        return False
    failure = log.event_of(run.id, "failed")
    return failure is not None and bool(failure.payload.get("final"))
