"""A person's own claims, from YAML."""

from __future__ import annotations

from pathlib import Path

import yaml

from lakatos.agent.proposers.protocol import Proposed
from lakatos.agent.view import Proposal, View
from lakatos.tools.errors import UserError
from lakatos.tools.records import canonical_json


def file(view: View) -> Proposed:
    """One round: all that is in the file."""
    return Proposed(from_file(view.claims) if view.round == 1 else [])


def from_file(path: str | None) -> list[Proposal]:
    """A YAML file: a list of hypotheses, or a mapping with `hypotheses`. Each is judged when it is registered.

    Raises:
        UserError: no such file, or not such a list.
    """
    if path is None:
        raise UserError("--proposer file needs --claims FILE.yaml, a list of hypotheses.")
    try:
        content = yaml.safe_load(Path(path).read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"Cannot read the claims in {path}: {error}") from error
    listed = content.get("hypotheses") if isinstance(content, dict) else content
    if not isinstance(listed, list) or not listed:
        raise UserError(
            f"{path} must hold a list of hypotheses, for example:\n"
            "- claim: a9.h6@END carries ioi (denoising, logit_diff, >= 10% of gap)\n  rationale: why it should hold"
        )
    proposals = [item if isinstance(item, dict) else {"claim": str(item)} for item in listed]
    try:
        canonical_json(proposals).encode()
    except (TypeError, ValueError) as error:
        raise UserError(
            f"{path} holds a value that JSON cannot ({error}): put dates and the like in quotes."
        ) from error
    return proposals
