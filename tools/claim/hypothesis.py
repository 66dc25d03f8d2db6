"""A claim as it is put forward, told apart from every other, and fixed for its test.

A claim is typed and closed (`kinds` has the kinds): what it says is in its fields and nowhere else. Its hash covers
the model's weights, the behaviour's version, its controls, and the claim in canonical form: components sorted, synonyms
resolved, fields at their defaults left out, and no prose. So rewording a claim does not make a new one.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, TypeAdapter

from lakatos.tools.behaviour import Behaviour
from lakatos.tools.claim.base import BaseClaim, Frozen
from lakatos.tools.claim.generalisation import Generalisation
from lakatos.tools.claim.kinds import PLAIN, AnyParent
from lakatos.tools.claim.vocabulary import plain
from lakatos.tools.component import Component, Shape
from lakatos.tools.errors import UserError
from lakatos.tools.records import content_hash

Role = Literal["main", "rival", "null"]

AnyClaim = AnyParent | Generalisation
KINDS: tuple[type[BaseClaim] | type[Generalisation], ...] = (*PLAIN, Generalisation)
_SYNONYMS = {synonym: kind.name() for kind in KINDS for synonym in kind.synonyms}


def _kind(claim: Any) -> Any:
    if not isinstance(claim, dict) or not isinstance(claim.get("kind"), str):
        return claim
    kind = plain(claim["kind"])
    nested = {"parent": _kind(claim["parent"])} if "parent" in claim else {}
    return {**claim, **nested, "kind": _SYNONYMS.get(kind, kind)}


Claim = Annotated[Annotated[AnyClaim, Field(discriminator="kind")], BeforeValidator(_kind)]
CLAIM: TypeAdapter[AnyClaim] = TypeAdapter(Claim)


class Hypothesis(Frozen):
    """A claim as its proposer put it: the prose beside it is shown as prose and decides nothing."""

    claim: Claim
    rationale: str = Field("", max_length=4000, description="why this should hold, in words")
    predicted: float | None = Field(None, description="predicted effect, as a fraction of the clean-corrupted gap")
    role: Role = Field("main", description="main, a rival explanation, or a null: expected not to be confirmed")


def claim_hash(
    claim: AnyClaim, *, weights: str, behaviour: str, controls: Mapping[str, str], study: str = "main"
) -> str:
    """The identity of a claim: what is claimed, of which weights, on which behaviour, against which controls.

    Args:
        controls: name -> hash of each control behaviour of the claim's battery.
        study: the family that it is registered in; elsewhere the same claim is another registration.
    """
    facts = {"weights": weights, "behaviour": behaviour, "controls": dict(controls), "claim": claim_fields(claim)}
    return content_hash(facts if study == "main" else {**facts, "study": study})


def claim_fields(claim: AnyClaim) -> dict[str, Any]:
    """The canonical form, JSON-ready: the kind, and every field that is not at its default."""
    return claim.canonical_fields()


def control_names(claim: AnyClaim, behaviour: Behaviour) -> list[str]:
    """The control behaviours that the claim's battery measures.

    Raises:
        UserError: the kind of claim needs one, and the behaviour names none.
    """
    if not claim.tested.needs_controls:
        return []
    if not behaviour.controls:
        raise UserError(
            f"{behaviour.name} names no control, and {claim.tested.kind} is nothing without one: controls: [plain_text]"
        )
    return list(behaviour.controls)


def atoms(claim: AnyClaim, n_heads: int) -> tuple[str, ...]:
    """The heads, MLPs and streams that a claim is about, positions and parts of heads left out: what overlap is of.

    An attention layer counts as its heads; a query, pattern, key or value as the head (or group) it belongs to.
    """
    found: set[str] = set()
    for component in claim.tested.parsed():
        if component.kind == "attention":
            found |= {Component(component.layer, "head", head).atom() for head in range(n_heads)}
        else:
            found.add(component.atom())
    return tuple(sorted(found))


def opposes(claim: AnyClaim, other: AnyClaim) -> bool:
    """Whether `other`, if it is confirmed, refutes `claim`: its opposite, or equivalence within its threshold."""
    if claim.family != other.family or claim.tested.components != other.tested.components:
        return False
    return claim.tested.refutes(other.tested) or other.tested.refutes(claim.tested)


def draw_matched(claim: BaseClaim, shape: Shape, seed: str) -> dict[str, tuple[str, ...]]:
    """Whatever of the battery's opponents follows from the shape of the model: role -> components joined by "+".

    Raises:
        UserError: the model has not enough others to compare with.
    """
    return claim.draw(random.Random(f"matched:{seed}"), shape)
