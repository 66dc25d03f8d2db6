"""An agent of somebody else's, which calls tools from another process by way of the log (see `lakatos mcp`).

Its calls stand in the log before they are answered, so neither process loses what the other did when it is killed.
"""

from __future__ import annotations

from typing import Final

from lakatos.agent.proposers.protocol import Proposed
from lakatos.agent.toolbox import CALLS, answered
from lakatos.agent.view import View

_MOST: Final = "this run has had its {} calls: `--llm-turns` allows more in the next one; call `finish`"
_OVER: Final = "you have finished this investigation; `start` begins another"
_AFTER: Final = ("wait", "result")  # what is answered when an investigation is finished and tests are still under way
_QUEUED: Final = "claims that you registered wait for the tests under way; `wait` tells when they are over"


def outside(view: View) -> Proposed:
    """Answer calls until one of them registers claims, or ends the investigation.

    Raises:
        Stop: a limit of the run is reached, the user interrupted, or nobody calls any more.
    """
    while True:
        put = [c for c in view.calls if c.round == view.round and c.proposals]
        if put:
            return Proposed(list(put[0].proposals))
        if any(c.over for c in view.calls):
            answer_waiting(view)
            return Proposed([])
        if not answer_waiting(view, most=1):
            view.pause()


def answer_waiting(view: View, most: int | None = None) -> int:
    """Answer calls that wait, all or so many; returns how many there were.

    What registers is for the round of the view; a second registration of one round waits for its turn. After the end
    only verdicts are told, while tests are still under way.
    """
    waiting = view.waiting[:most]
    for asked in waiting:
        calls = view.calls
        refuse = ""
        if any(c.over for c in calls) and asked.name not in _AFTER:
            refuse = _OVER
        elif len(calls) >= view.config.llm_turns * CALLS and asked.name != "finish":
            refuse = _MOST.format(len(calls))
        elif asked.name == "register" and any(c.round == view.round and c.proposals for c in calls):
            refuse = _QUEUED
        answered(view, asked.name, asked.arguments, by=asked.by, asked=asked.id, refuse=refuse)
    return len(waiting)
