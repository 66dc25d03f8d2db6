"""The JSON schema that an LLM's proposals must have: as far as a schema can say it, what registering takes.

Each kind of claim says its own forms (`lakatos.tools.claim.schema` has the pieces); here they become one answer. What a
server lets through all the same is checked again when a proposal is registered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from lakatos.tools.behaviour import Behaviour, parse_markup
from lakatos.tools.claim import PLAIN
from lakatos.tools.claim.schema import Offer, Schema, claim_form, closed, fraction, most_together, one_of, ref, shared
from lakatos.tools.component import Shape

PREDICTIONS: Final = tuple(k / 20 for k in range(-20, 41))
RATIONALE: Final = 400  # characters

__all__ = ["Schema", "looks_back", "most_together", "proposal_schema"]


def proposal_schema(
    shape: Shape,
    positions: Sequence[str],
    families: Sequence[str] = (),
    *,
    how_many: int = 16,
    earlier: Mapping[str, Sequence[str]] | None = None,
) -> Schema:
    """The schema of `{"hypotheses": [...]}` for a model of this shape, and a behaviour's positions and families.

    Args:
        how_many: the most hypotheses that are asked for.
        earlier: position -> those that a head can look at from there (see `looks_back`); by default all others.
    """
    offer = Offer(shape, positions, earlier or {p: [q for q in positions if q != p] for p in positions})
    claims = {name: form for kind in PLAIN for name, form in kind.schemas(offer).items()}
    names = list(claims)
    if families:
        parent = {"anyOf": [ref(name) for name in claims]}
        claims["generalisation"] = claim_form("generalisation", parent=parent, family=one_of(*families))
        names.append("generalisation")
    hypothesis = closed(
        claim={"anyOf": [ref(name) for name in names]},
        rationale={"type": "string", "maxLength": RATIONALE},
        predicted=fraction("predicted effect, as a fraction of the gap", PREDICTIONS),
        role=one_of("main", "rival", "null"),
    )
    root = closed(hypotheses={"type": "array", "items": hypothesis, "minItems": 1, "maxItems": how_many})
    return root | {"$defs": shared(offer) | claims}


def looks_back(behaviour: Behaviour) -> dict[str, list[str]]:
    """Of each named position those that come before it on every exploration prompt; END comes last."""
    named = behaviour.named_positions
    orders = [[*parse_markup(text).names, "END"] for text in behaviour.texts("exploration").values()]
    return {
        here: [there for there in named if all(order.index(there) < order.index(here) for order in orders)]
        for here in named
    }
