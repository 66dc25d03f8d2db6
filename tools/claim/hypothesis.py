"""A claim as it is put forward, told apart from every other, and fixed for its test.

A claim is typed and closed (`claims.py` has the kinds): what it says is in its fields and nowhere else. Its hash covers
the model's weights, the behaviour's version, its controls, and the claim in canonical form: components sorted, synonyms
resolved, fields at their defaults left out, and no prose. So rewording a claim does not make a new one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, TypeAdapter

from lakatos.tools.behaviour import Behaviour
from lakatos.tools.claim.base import Frozen
from lakatos.tools.claim.circuits import Mediation, Minimality, Sufficiency
from lakatos.tools.claim.claims import AnyParent, AttentionRole, Generalisation, Necessity, NodeEffect, NoEffect
from lakatos.tools.component import Component
from lakatos.tools.errors import UserError
from lakatos.tools.records import content_hash

Role = Literal["main", "rival", "null"]

AnyClaim = AnyParent | Generalisation
KINDS: tuple[type[AnyClaim], ...] = (
    NodeEffect,
    Necessity,
    Sufficiency,
    Minimality,
    Mediation,
    AttentionRole,
    NoEffect,
    Generalisation,
)
_KIND_SYNONYMS = {
    "activation_patching": "node_effect",
    "attention": "attention_role",
    "patching": "node_effect",
    "ablation": "necessity",
    "circuit": "sufficiency",
    "path": "mediation",
    "path_patching": "mediation",
    "equivalence": "no_effect",
    "generalization": "generalisation",
}


def _kind(claim: Any) -> Any:
    if not isinstance(claim, dict) or not isinstance(claim.get("kind"), str):
        return claim
    kind = claim["kind"].strip().lower().replace(" ", "_").replace("-", "_")
    nested = {"parent": _kind(claim["parent"])} if "parent" in claim else {}
    return {**claim, **nested, "kind": _KIND_SYNONYMS.get(kind, kind)}


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
    fields = {"kind": claim.kind, **claim.model_dump(mode="json", exclude_defaults=True)}
    return fields | {"parent": claim_fields(claim.parent)} if isinstance(claim, Generalisation) else fields


def control_names(claim: AnyClaim, behaviour: Behaviour) -> list[str]:
    """The control behaviours that the claim's battery measures.

    Raises:
        UserError: the kind of claim needs one, and the behaviour names none.
    """
    if not claim.tested.needs_controls:
        return []
    if not behaviour.controls:
        raise UserError(
            f"{behaviour.name} names no control, and necessity is nothing without one: controls: [plain_text]"
        )
    return list(behaviour.controls)


def atoms(claim: AnyClaim, n_heads: int) -> tuple[str, ...]:
    """The heads, MLPs and streams that a claim is about, positions and parts of heads left out: what overlap is of.

    An attention layer counts as its heads; a query, pattern, key or value as the head (or group) it belongs to.
    """
    found: set[str] = set()
    for component in claim.tested.parsed():
        bare = Component(component.layer, component.kind, component.index)
        if bare.kind == "attention":
            found |= {f"a{bare.layer}.h{head}" for head in range(n_heads)}
        else:
            found.add(str(bare).removesuffix(".q").removesuffix(".pattern").removesuffix(".k").removesuffix(".v"))
    return tuple(sorted(found))


def opposes(claim: AnyClaim, other: AnyClaim) -> bool:
    """Whether `other`, if it is confirmed, refutes `claim`: its opposite, or equivalence within its threshold."""
    if isinstance(claim, Generalisation) or isinstance(other, Generalisation):
        families = (getattr(claim, "family", None), getattr(other, "family", None))
        return families[0] == families[1] and opposes(claim.tested, other.tested)
    if claim.components != other.components:
        return False
    if isinstance(claim, NoEffect):
        claim, other = other, claim  # either contradicts the other
    if isinstance(other, NoEffect):
        how = claim.intervention if isinstance(claim, NodeEffect) else getattr(claim, "ablation", None)
        return (
            isinstance(claim, NodeEffect | Necessity)
            and (other.intervention, other.metric) == (how, claim.metric)
            and other.threshold <= claim.threshold
        )
    if isinstance(claim, NodeEffect) and isinstance(other, NodeEffect):
        return (claim.intervention, claim.metric) == (other.intervention, other.metric) and (
            claim.direction != other.direction
        )
    if isinstance(claim, Mediation) and isinstance(other, Mediation):
        return (claim.intervention, claim.metric, claim.receivers) == (
            other.intervention,
            other.metric,
            other.receivers,
        ) and claim.direction != other.direction
    return False
