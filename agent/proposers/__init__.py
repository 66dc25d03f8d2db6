"""Where hypotheses come from. What a proposer says is data and decides nothing.

protocol        what a proposer is, and what it may see of a run
drill           stage after stage: where, how, who steps in, is it enough, how far
attribution     the strongest rows of the attribution table, with rivals and nulls among them
chance          any components at all: the control arm
file            a person's own claims
replication     what the study has confirmed, on other prompt families
language_model  a language model;  schema: the form of its proposals;  briefing: what it is told
form            a language model, asked narrow questions one at a time
"""

from __future__ import annotations

from collections.abc import Mapping

from lakatos.agent.proposers.attribution import attribution, from_attribution
from lakatos.agent.proposers.briefing import proposal_prompt, shortened, verdict
from lakatos.agent.proposers.chance import at_random, chance
from lakatos.agent.proposers.drill import STAGES, drill
from lakatos.agent.proposers.file import file, from_file
from lakatos.agent.proposers.form import form
from lakatos.agent.proposers.language_model import ATTEMPTS, language_model
from lakatos.agent.proposers.protocol import (
    Ended,
    Explored,
    Proposal,
    Proposed,
    Proposer,
    Purpose,
    Requests,
    Searched,
    View,
)
from lakatos.agent.proposers.replication import replication, to_replicate
from lakatos.agent.proposers.schema import looks_back, proposal_schema

PROPOSERS: Mapping[str, Proposer] = {
    "drill": drill,
    "attribution": attribution,
    "llm": language_model,
    "file": file,
    "replication": replication,
    "random": chance,
}
STYLES: Mapping[str, Proposer] = {  # how a language model is asked
    "tools": language_model,
    "form": form,
    "prompt": language_model,
}
ROUNDS: Mapping[str, int] = {"drill": len(STAGES)}  # that a proposer needs; others need one

__all__ = [
    "ATTEMPTS",
    "PROPOSERS",
    "ROUNDS",
    "STYLES",
    "Ended",
    "Explored",
    "Proposal",
    "Proposed",
    "Proposer",
    "Purpose",
    "Requests",
    "Searched",
    "View",
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
