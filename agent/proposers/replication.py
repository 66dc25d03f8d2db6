"""What the study has confirmed, on prompt families that took no part in it."""

from __future__ import annotations

from collections.abc import Sequence

from lakatos.agent.proposers.protocol import Proposed
from lakatos.agent.view import Proposal, View
from lakatos.tools.claim import AnyClaim, claim_fields
from lakatos.tools.errors import UserError


def replication(view: View) -> Proposed:
    """Each confirmed claim on each prompt family of the behaviour."""
    return Proposed(to_replicate(view.confirmed, list(view.behaviour.families), view.how_many))


def to_replicate(confirmed: Sequence[tuple[str, AnyClaim]], families: Sequence[str], how_many: int) -> list[Proposal]:
    """Each confirmed claim on each prompt family.

    Args:
        confirmed: text and claim.

    Raises:
        UserError: there is nothing to replicate, or nowhere.
    """
    if not families:
        raise UserError("The behaviour has no prompt families to replicate on: give it families: in its file.")
    if not confirmed:
        raise UserError(
            "Nothing is confirmed yet of this behaviour and model in this study: run another proposer first."
        )
    proposals = []
    for text, claim in confirmed:
        for family in families:
            fields = {"kind": "generalisation", "parent": claim_fields(claim), "family": family}
            proposals.append({"claim": fields, "rationale": f"Replicates on {family}: {text}.", "role": "main"})
    return proposals[:how_many]
