"""On the clean run a head attends from one role to another, more than to any other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from lakatos.tools.claim.base import BaseClaim, Gauge, Matched, Part, Values
from lakatos.tools.claim.measures import Look, of_role
from lakatos.tools.claim.schema import Offer, Schema, claim_form, one_of, ref
from lakatos.tools.claim.vocabulary import DEFAULT_THRESHOLD, DIGITS
from lakatos.tools.claim.words import Phrase, fraction, percent
from lakatos.tools.errors import UserError


class AttentionRole(BaseClaim):
    """On the clean run a head attends from one role to another, more than to any other named position or the rest."""

    synonyms = ("attention",)
    example = "a9.h6 attends from END to IO in ioi (>= 10% of attention)"
    phrases = (Phrase("attends from <attends_from> to <attends_to> in"),)
    options = (fraction("threshold", ">=", "attention"),)
    most = 1  # a mean over heads would let idle ones ride along

    kind: Literal["attention_role"] = "attention_role"
    attends_from: str = Field(min_length=1, description="the named position that looks, e.g. END")
    attends_to: str = Field(min_length=1, description="the named position that is looked at, e.g. IO")
    threshold: float = Field(
        DEFAULT_THRESHOLD, ge=10.0**-DIGITS, lt=1, description="by how much of its attention, at least"
    )

    @model_validator(mode="after")
    def _heads(self) -> AttentionRole:
        if self.attends_from == self.attends_to:
            raise ValueError("a position that attends to itself is no role")
        if any(c.kind != "head" or c.position is not None for c in self.parsed()):
            raise ValueError("an attention role is of heads without a position, e.g. a9.h6")
        return self

    def measured(self, matched: Matched) -> Look:
        return Look(self.attends_from, (self.attends_to, *matched["positions"]))

    def parts(self, gauge: Gauge, values: Values) -> list[Part]:
        looked_at = values[of_role(self.attends_to)]
        return [
            Part(f"more than to {role}", looked_at - values[of_role(role)], self.threshold, "share of attention")
            for role in gauge.matched["positions"]
        ]

    def shown(self, matched: Matched) -> list[str]:
        return self.measured(matched).names()

    def match_positions(self, positions: Mapping[str, np.ndarray]) -> dict[str, tuple[str, ...]]:
        return {"positions": roles_to_compare(self, positions)}

    def in_words(self, behaviour: str) -> str:  # noqa: ARG002
        where = f"{self.where} attends from {self.attends_from} to {self.attends_to}"
        amount = f"by at least {percent(self.threshold)} of its attention"
        return f"{where}, {amount} more than to any other named position or the tokens between."

    @classmethod
    def schemas(cls, offer: Offer) -> dict[str, Schema]:
        """One form for each position that looks, with those that come before it."""
        return {
            f"{cls.name()}_{here}": claim_form(
                cls.name(),
                components=ref("head"),
                attends_from=one_of(here),
                attends_to=one_of(*offer.earlier[here]),
                threshold=ref("margin"),
            )
            for here in offer.positions
            if offer.earlier[here]
        }


def roles_to_compare(claim: AttentionRole, positions: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    """The other named positions that can be attended to, and "elsewhere"; none that ever falls on the claim's token.

    Args:
        positions: name -> [n] token index on exploration prompts.

    Raises:
        UserError: a role of the claim is no named position or comes after the token that looks.
    """
    for role in (claim.attends_from, claim.attends_to):
        if role not in positions:
            raise UserError(f"the behaviour has no position {role!r}; it has {', '.join(positions)}.")
    target = positions[claim.attends_to]
    if (target > positions[claim.attends_from]).any():
        raise UserError(f"{claim.attends_from} cannot attend to {claim.attends_to}, which comes after it.")
    looking = positions[claim.attends_from]
    others = [name for name, at in positions.items() if not (at == target).any() and not (at > looking).any()]
    return (*sorted(others), "elsewhere")
