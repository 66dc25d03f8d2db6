"""What may be said of a behaviour: the closed kinds of claim, and how a claim is read, written and told apart.

base        what all kinds have: arms, parts, canonical fields
claims      node effects, necessity, attention roles, no effect, generalisation
circuits    sufficiency, minimality, mediation
hypothesis  a claim put forward: its kinds, its hash, its atoms, its opposite
text        claims as sentences
proposals   what proposers put forward, read
opponents   what a claim is compared with
"""

from __future__ import annotations

from lakatos.tools.claim.base import DEFAULT_THRESHOLD, Arm, Floats, Frozen, Matched, Part
from lakatos.tools.claim.circuits import Mediation, Minimality, Sufficiency
from lakatos.tools.claim.claims import AnyParent, AttentionRole, Generalisation, Necessity, NodeEffect, NoEffect
from lakatos.tools.claim.hypothesis import (
    CLAIM,
    AnyClaim,
    Claim,
    Hypothesis,
    Role,
    atoms,
    claim_fields,
    claim_hash,
    control_names,
    opposes,
)
from lakatos.tools.claim.opponents import (
    draw_matched,
    most_in_layers,
    most_matched,
    roles_to_compare,
    shuffled_circuits,
)
from lakatos.tools.claim.proposals import claim_of, read_hypothesis, read_proposals
from lakatos.tools.claim.text import describe, in_words, parse_claim

__all__ = [
    "CLAIM",
    "DEFAULT_THRESHOLD",
    "AnyClaim",
    "AnyParent",
    "Arm",
    "AttentionRole",
    "Claim",
    "Floats",
    "Frozen",
    "Generalisation",
    "Hypothesis",
    "Matched",
    "Mediation",
    "Minimality",
    "Necessity",
    "NoEffect",
    "NodeEffect",
    "Part",
    "Role",
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
