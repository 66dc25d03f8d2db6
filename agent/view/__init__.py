"""A run as proposers and tools see it: settings, exploration, verdicts. No seed of confirmation prompts is among it.

run        all that they see
searching  exploration, and measuring on its prompts
asking     asking a language model
calling    calls of tools, and what the run has spent
"""

from __future__ import annotations

from lakatos.agent.view.asking import Ended, Purpose, Requests, Turn
from lakatos.agent.view.calling import Asked, Called, Spent
from lakatos.agent.view.run import View
from lakatos.agent.view.searching import Explored, Probed, Proposal, Searched, Searching, WantedPairs

__all__ = [
    "Asked",
    "Called",
    "Ended",
    "Explored",
    "Probed",
    "Proposal",
    "Purpose",
    "Requests",
    "Searched",
    "Searching",
    "Spent",
    "Turn",
    "View",
    "WantedPairs",
]
