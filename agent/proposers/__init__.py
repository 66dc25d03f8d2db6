"""Where hypotheses come from. What a proposer says is data and decides nothing.

protocol        what a proposer is, and what it may see of a run
drill           stage after stage: where, how, who steps in, is it enough, how far
attribution     the strongest rows of the attribution table, with rivals and nulls among them
chance          any components at all: the control arm
file            a person's own claims
replication     what the study has confirmed, on other prompt families
investigator    a language model that explores with tools
outside         somebody else's agent, by way of the log
form            a language model, asked narrow questions one at a time
language_model  a language model, asked once a round;  schema: the form of its proposals;  briefing: what it is told
"""

from __future__ import annotations

from collections.abc import Mapping

from lakatos.agent.config import RunConfig
from lakatos.agent.proposers.attribution import attribution, from_attribution
from lakatos.agent.proposers.briefing import proposal_prompt
from lakatos.agent.proposers.chance import at_random, chance
from lakatos.agent.proposers.drill import STAGES, drill
from lakatos.agent.proposers.file import file, from_file
from lakatos.agent.proposers.form import form
from lakatos.agent.proposers.investigator import investigator
from lakatos.agent.proposers.language_model import ATTEMPTS, language_model
from lakatos.agent.proposers.outside import answer_waiting, outside
from lakatos.agent.proposers.protocol import Proposed, Proposer
from lakatos.agent.proposers.replication import replication, to_replicate
from lakatos.agent.proposers.schema import looks_back, proposal_schema

PROPOSERS: Mapping[str, Proposer] = {
    "drill": drill,
    "attribution": attribution,
    "file": file,
    "mcp": outside,
    "replication": replication,
    "random": chance,
}
STYLES: Mapping[str, Proposer] = {  # of asking a language model
    "tools": investigator,
    "form": form,
    "prompt": language_model,
}
ROUNDS: Mapping[str, int] = {
    "drill": len(STAGES),
    "tools": 16,
    "mcp": 50,
}  # that a proposer or style needs; others need one


def chosen(config: RunConfig) -> Proposer:
    """The proposer that a run's settings name."""
    return STYLES[config.llm_style] if config.proposer == "llm" else PROPOSERS[config.proposer]


def rounds(config: RunConfig) -> int:
    """How often a run may propose."""
    return config.rounds or ROUNDS.get(config.llm_style if config.proposer == "llm" else config.proposer, 1)


__all__ = [
    "ATTEMPTS",
    "PROPOSERS",
    "Proposed",
    "Proposer",
    "answer_waiting",
    "at_random",
    "chosen",
    "from_attribution",
    "from_file",
    "looks_back",
    "proposal_prompt",
    "proposal_schema",
    "rounds",
    "to_replicate",
]
