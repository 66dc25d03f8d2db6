"""Whole studies of honest and cheating agents, in worlds whose truth is known.

studies     studies simulated and summed up
agents      what agents of each kind do
laboratory  the protocol as they meet it;  freehand: without it
world       where effects come from
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lakatos.agent.simulation.studies import Design, simulation_document

__all__ = ["Design", "simulation_document"]

_HOME = {
    "Design": "studies",
    "simulation_document": "studies",
}


def __getattr__(name: str) -> Any:
    """A public name, loaded when it is first asked for."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
