"""One investigation: explore, propose, register, test, interpret, conclude.

graph          what comes next
state          what the graph keeps between steps
context        what a run has at hand: log, model, behaviour, limits, Ctrl-C
beginning      what was selected, on which model
investigation  the steps
asking         asking a language model
registering    proposals judged: a slot, or a refusal
testing        registered claims tested, batch by batch
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakatos.tools.lazy import lazily

if TYPE_CHECKING:
    from lakatos.agent.run.graph import investigate, resume

__all__ = ["investigate", "resume"]

__getattr__ = lazily(
    __name__,
    {
        "investigate": "graph",
        "resume": "graph",
    },
)
