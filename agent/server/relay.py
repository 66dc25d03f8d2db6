"""A call of a tool: left in the log for the run's process, and answered from there."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from lakatos.agent.toolbox.arguments import read_arguments, storable
from lakatos.tools.errors import UserError

if TYPE_CHECKING:
    from lakatos.agent.server.runs import Runs
    from lakatos.experiments_db import Store

PATIENCE: Final = 45.0  # seconds that a call is waited for: clients give up after 60
_LOOK: Final = 0.1
_AT_ONCE: Final = 8  # calls that may wait for a run's process


def leave(runs: Runs, run: int, by: str, name: str, arguments: dict[str, Any]) -> int:
    """Leave a call in the log; its number.

    Raises:
        UserError: the run is over or has no process, or too many calls wait already.
    """
    from lakatos.experiments_db.log import CALLED

    status, alive = runs.alive(run)
    if not alive:
        if status == "finished":
            raise UserError(f"Run {run} has finished: `start` begins another.")
        raise UserError(f"Run {run} has no process ({status}): `resume` goes on with it; nothing is lost.")
    store = runs.store()
    if store.run_row(run).proposer != "mcp":
        raise UserError(f"Run {run} is not open to calls: its hypotheses come from {store.run_row(run).proposer}.")
    waiting = len(store.calls_left(run))
    if waiting >= _AT_ONCE:
        raise UserError(f"{waiting} calls wait for the run's process already: wait for their answers.")
    return store.event(run, CALLED, {"by": by, "name": storable(name[:80]), "arguments": read_arguments(arguments)}).id


def found(store: Store, run: int, call: int) -> dict[str, Any] | None:
    """The answer to a call; None while there is none."""
    return next((told for told in store.tool_calls(run) if told["asked"] == call), None)


def answer(runs: Runs, run: int, call: int, patience: float = PATIENCE) -> dict[str, Any] | None:
    """The answer to a call, waited for; None where there is none yet.

    Raises:
        UserError: the run's process has ended; the call is answered when it goes on.
    """
    ends = time.monotonic() + patience
    store = runs.store()
    while (told := found(store, run, call)) is None:
        if time.monotonic() >= ends:
            return None
        status, alive = runs.alive(run)
        if not alive and (told := found(store, run, call)) is None:
            raise UserError(
                f"The process of run {run} has ended ({status}): `resume` goes on, and answers call {call}."
            )
        time.sleep(_LOOK)
    return told
