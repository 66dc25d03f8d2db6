"""What may be said of a behaviour: the closed kinds of claim, and how a claim is read, written and told apart.

kinds           one module for each kind of claim, and their one list
generalisation  a claim of another kind on a family of prompts
base            what all kinds have, and what each says for itself
vocabulary      the closed words of claims;  words: how claims are written
measures        what a battery measures, and the names of the numbers
opponents       what a claim is compared with
schema          what a language model may propose
hypothesis      a claim put forward: its kinds, its hash, its atoms, its opposite
text            claims as sentences
proposals       what proposers put forward, read
drafts          claims made of the answers to narrow questions
"""

from __future__ import annotations

from lakatos.tools.claim.base import BaseClaim, Floats, Matched, MeasuredClaim, Part, SearchedClaim
from lakatos.tools.claim.generalisation import Generalisation
from lakatos.tools.claim.hypothesis import (
    CLAIM,
    KINDS,
    AnyClaim,
    Claim,
    Hypothesis,
    Role,
    atoms,
    claim_fields,
    claim_hash,
    control_names,
    draw_matched,
    opposes,
)
from lakatos.tools.claim.kinds import (
    PLAIN,
    AnyParent,
    AttentionRole,
    Backup,
    Mediation,
    Minimality,
    Necessity,
    NodeEffect,
    NoEffect,
    Sufficiency,
)
from lakatos.tools.claim.kinds.attention_role import roles_to_compare
from lakatos.tools.claim.kinds.sufficiency import shuffled_circuits
from lakatos.tools.claim.measures import Arm, Arms, Look
from lakatos.tools.claim.opponents import most_in_layers, most_matched
from lakatos.tools.claim.proposals import claim_of, read_hypothesis, read_proposals
from lakatos.tools.claim.text import describe, in_words, parse_claim
from lakatos.tools.claim.vocabulary import DEFAULT_THRESHOLD

__all__ = [
    "CLAIM",
    "DEFAULT_THRESHOLD",
    "KINDS",
    "PLAIN",
    "AnyClaim",
    "AnyParent",
    "Arm",
    "Arms",
    "AttentionRole",
    "Backup",
    "BaseClaim",
    "Claim",
    "Floats",
    "Generalisation",
    "Hypothesis",
    "Look",
    "Matched",
    "MeasuredClaim",
    "Mediation",
    "Minimality",
    "Necessity",
    "NoEffect",
    "NodeEffect",
    "Part",
    "Role",
    "SearchedClaim",
    "Sufficiency",
    "atoms",
    "claim_fields",
    "claim_hash",
    "claim_of",
    "control_names",
    "describe",
    "draw_matched",
    "in_words",
    "most_in_layers",
    "most_matched",
    "opposes",
    "parse_claim",
    "read_hypothesis",
    "read_proposals",
    "roles_to_compare",
    "shuffled_circuits",
]
