"""One investigation: explore, propose, register, test, interpret, conclude.

graph          what comes next
state          what the graph keeps between steps
investigation  the steps, and what they share
asking         asking a language model
registering    proposals judged: a slot, or a refusal
testing        registered claims tested, batch by batch
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lakatos.agent.run.graph import investigate, resume

__all__ = ["investigate", "resume"]

_HOME = {
    "investigate": "graph",
    "resume": "graph",
}


def __getattr__(name: str) -> Any:
    """A public name, loaded when it is first asked for."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
