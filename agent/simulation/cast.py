"""Every agent, by name."""

from __future__ import annotations

from lakatos.agent.simulation.agents import Agent, Honest, Leaker, Padder, Peeker, Retrier, Reworder
from lakatos.agent.simulation.streamers import Extender, Joiner, Splitter

AGENTS: dict[str, type[Agent]] = {
    "honest": Honest,
    "peeker": Peeker,
    "reworder": Reworder,
    "padder": Padder,
    "retrier": Retrier,
    "leaker": Leaker,
    "joiner": Joiner,
    "splitter": Splitter,
    "extender": Extender,
}
