"""Whole studies of honest and cheating agents, in worlds whose truth is known.

studies     studies simulated and summed up
cast        every agent, by name
agents      what agents of each kind do;  streamers: those that cheat with streams
laboratory  the protocol as they meet it;  freehand: without it
registered  a registered claim and its numbers
world       where effects come from
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakatos.tools.lazy import lazily

if TYPE_CHECKING:
    from lakatos.agent.simulation.cast import AGENTS
    from lakatos.agent.simulation.studies import Design, simulation_document
    from lakatos.agent.simulation.world import CORRELATIONS

__all__ = ["AGENTS", "CORRELATIONS", "Design", "simulation_document"]

__getattr__ = lazily(
    __name__,
    {
        "AGENTS": "cast",
        "CORRELATIONS": "world",
        "Design": "studies",
        "simulation_document": "studies",
    },
)
