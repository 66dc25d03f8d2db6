"""A call of a tool: left in the log for the run's process, and answered from there."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Final

from lakatos.agent.toolbox import CALLS
from lakatos.agent.toolbox.arguments import read_arguments, storable
from lakatos.tools.errors import UserError

if TYPE_CHECKING:
    from lakatos.agent.server.runs import Runs
    from lakatos.experiments_db import Store

PATIENCE: Final = 45.0  # seconds that a call is waited for: clients give up after 60
_LOOK: Final = 0.2
_AT_ONCE: Final = 8  # calls that may wait for a run's process
_LARGEST: Final = 50_000  # characters of a call's arguments


def leave(runs: Runs, run: int, by: str, name: str, arguments: dict[str, Any]) -> int:
    """Leave a call in the log; its number. What is too large, or one too many, is refused and not stored.

    Raises:
        UserError: the run is over or has no process, too many calls wait already, or this one is too large.
    """
    from lakatos.experiments_db.log import CALLED

    if len(json.dumps(arguments)) > _LARGEST:
        raise UserError(f"The arguments have more than {_LARGEST:,} characters: say it in fewer.")
    most = runs.open_to_calls(run).config["llm_turns"] * CALLS
    status, alive = runs.alive(run)
    if status == "finished":
        raise UserError(f"Run {run} has finished: `start` begins another.")
    if not alive:
        raise UserError(f"Run {run} has no process ({runs.why(run)}).")
    with runs.leaving:
        store = runs.store()
        waiting = len(store.calls_left(run))
        if waiting >= _AT_ONCE:
            raise UserError(f"{waiting} calls wait for the run's process already: wait for their answers.")
        if name != "finish" and len(store.events(run, CALLED)) >= most:
            raise UserError(f"Run {run} has had its {most} calls: `finish` it; its user allows more by --llm-turns.")
        return store.event(
            run, CALLED, {"by": by, "name": storable(name[:80]), "arguments": read_arguments(arguments)}
        ).id


def found(store: Store, run: int, call: int) -> dict[str, Any] | None:
    """The answer to a call; None while there is none."""
    return next((told for told in store.tool_calls(run) if told["asked"] == call), None)


def answer(runs: Runs, run: int, call: int, patience: float = PATIENCE) -> dict[str, Any] | None:
    """The answer to a call, waited for; None where there is none yet.

    Raises:
        UserError: there is no such call, or the run's process has ended; the call is answered when it goes on.
    """
    from lakatos.experiments_db.log import CALLED

    ends = time.monotonic() + patience
    runs.open_to_calls(run)
    store = runs.store()
    if call not in {event.id for event in store.events(run, CALLED)}:
        raise UserError(f"Run {run} has no call {call}.")
    while (told := found(store, run, call)) is None:
        if time.monotonic() >= ends:
            return None
        status, alive = runs.alive(run)
        if not alive and (told := found(store, run, call)) is None:
            if status == "finished":
                raise UserError(f"Run {run} has finished; call {call} came too late to be answered.")
            raise UserError(f"Call {call} waits: run {run} has no process ({runs.why(run)}).")
        time.sleep(_LOOK)
    return told
