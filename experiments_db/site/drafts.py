"""Drafts that wait for a person: what is shown of them, and what a form says of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lakatos.experiments_db.log import waiting_drafts
from lakatos.experiments_db.store import Store
from lakatos.tools.claim import claim_of, read_hypothesis
from lakatos.tools.errors import ProposalError, UserError


def drafts_of(store: Store, run_id: int) -> list[dict[str, Any]]:
    """The drafts of a run that wait for a person, with their claims as sentences."""
    waiting, behaviour = waiting_drafts(store, run_id), store.run_row(run_id).behaviour
    return [{**draft, "claim": claim_of(draft, behaviour)} for draft in (waiting[1] if waiting else [])]


def decided(store: Store, run_id: int, keep: Sequence[int], added: str) -> tuple[int, list[dict[str, Any]]]:
    """The round of a run that waits for a person, and what they keep of it and add.

    Args:
        keep: places of its drafts.
        added: a claim on each line.

    Raises:
        UserError: nothing waits, there is no such draft, or a claim cannot be read.
    """
    run, waiting = store.own_run(run_id), waiting_drafts(store, run_id)
    if waiting is None:
        raise UserError(f"Run {run_id} waits for nobody: somebody has decided already.")
    number, drafts = waiting
    if not all(0 <= place < len(drafts) for place in keep):
        raise UserError("There is no such draft: reload the page.")
    claims = [line.strip() for line in added.splitlines() if line.strip()]
    try:
        for claim in claims:
            read_hypothesis({"claim": claim}, run.behaviour)
    except ProposalError as error:
        raise UserError(str(error)) from error
    return number, [*(drafts[place] for place in sorted(set(keep))), *({"claim": claim} for claim in claims)]
