"""Where hypotheses come from. What a proposer says is data and decides nothing.

proposer  from attributions, at random, from a file, replications
schema    the JSON schema of a language model's proposals
briefing  what a language model is told before it proposes
"""

from __future__ import annotations

from lakatos.agent.proposers.briefing import proposal_prompt, shortened, verdict
from lakatos.agent.proposers.proposer import Explored, Proposal, at_random, from_attribution, from_file, to_replicate
from lakatos.agent.proposers.schema import looks_back, proposal_schema

__all__ = [
    "Explored",
    "Proposal",
    "at_random",
    "from_attribution",
    "from_file",
    "looks_back",
    "proposal_prompt",
    "proposal_schema",
    "shortened",
    "to_replicate",
    "verdict",
]
