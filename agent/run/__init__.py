"""One investigation: explore, propose, register, test, interpret, conclude.

graph          what comes next
state          what the graph keeps between steps
context        what a run has at hand: log, model, behaviour, settings
interruptions  what ends a run or makes it wait: Ctrl-C, wishes from elsewhere, limits
beginning      what was selected, on which model
exploring      whether the model shows the behaviour, and where to look
investigation  what a run came to: its mechanism
proposing      the proposer, and what it sees of the run;  asking: its requests to a language model
searching      exploration prompts, open to a proposer that searches
attending      calls of an agent outside, answered between draws
approving      a person between proposing and registering
registering    proposals judged: a slot, or a refusal
testing        registered claims tested, draw by draw;  extending: tests that ended, gone on with
explaining     how much of the behaviour the confirmed nodes make up together
concluding     what the verdicts come to
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakatos.tools.lazy import lazily

if TYPE_CHECKING:
    from lakatos.agent.run.extending import extend
    from lakatos.agent.run.graph import investigate, resume

__all__ = ["extend", "investigate", "resume"]

__getattr__ = lazily(
    __name__,
    {
        "extend": "extending",
        "investigate": "graph",
        "resume": "graph",
    },
)
