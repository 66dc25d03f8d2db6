"""Whole studies of honest and cheating agents, in worlds whose truth is known.

studies     studies simulated and summed up
agents      what agents of each kind do
laboratory  the protocol as they meet it;  freehand: without it
world       where effects come from
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakatos.tools.lazy import lazily

if TYPE_CHECKING:
    from lakatos.agent.simulation.studies import Design, simulation_document

__all__ = ["Design", "simulation_document"]

__getattr__ = lazily(
    __name__,
    {
        "Design": "studies",
        "simulation_document": "studies",
    },
)
