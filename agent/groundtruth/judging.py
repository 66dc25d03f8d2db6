"""Whether a claim about a model whose mechanism is known is true.

Components are judged as heads and MLPs: an effect at a position counts as one of the component. A claim about several
is true of an effect as soon as one of them has it; of a minimal circuit only if no member is superfluous. What is
neither true nor false by construction (a residual stream, where a decoy looks, that a component of the mechanism has no
effect at one position) is not judged.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import singledispatch

from lakatos.tools.claim import (
    AttentionRole,
    Backup,
    BaseClaim,
    Mediation,
    Minimality,
    Necessity,
    NodeEffect,
    NoEffect,
    Sufficiency,
    parse_claim,
)
from lakatos.tools.component import Component
from lakatos.tools.model.planted import Truth


@singledispatch
def holds(claim: BaseClaim, truth: Truth) -> bool | None:  # noqa: ARG001 - of a kind that nothing is known of
    """Whether the claim is true of the model; None where the truth does not say.

    Args:
        claim: of a generalisation, its parent: a planted mechanism does not depend on prompt families.
        truth: of the model.
    """
    return None


def why(text: str, truth: Truth) -> str:
    """What makes the instrument confirm a false claim of a kind that is known to do so; "-" of others."""
    claim = parse_claim(text)[0].tested
    if isinstance(claim, Backup) and (parts(claim.components, truth) or frozenset()) & set(truth.negative):
        return (
            "A negative head opposes less once what it opposes is missing: more is lost together than apart, which is "
            "what second-order ablation shows of a backup too."
        )
    if truth.null:
        return "The twin does not answer the question; its parts may still move the two answers apart."
    return "-"


def parts(components: Iterable[str], truth: Truth) -> frozenset[str] | None:
    """The heads and MLPs of components; None where one is something else, or its part unclear."""
    found: set[str] = set()
    for text in components:
        place = Component.parse(text)
        if place.kind == "attention":
            found |= {name for name in truth.components if name.startswith(f"a{place.layer}.")}
        elif place.atom() in truth.components:
            found.add(place.atom())
        else:
            return None
    return None if found & set(truth.unclear) else frozenset(found)


@holds.register
def _(claim: NodeEffect, truth: Truth) -> bool | None:
    named = parts(claim.components, truth)
    if named is None:
        return None
    against = set(truth.negative)
    return bool(named & (against if claim.direction == "opposes" else truth.moves - against))


@holds.register
def _(claim: Necessity, truth: Truth) -> bool | None:
    named = parts(claim.components, truth)
    if named is None or (needed := truth.needs(named)) is None:
        return None
    return needed and not named & set(truth.non_specific)


@holds.register
def _(claim: NoEffect, truth: Truth) -> bool | None:
    named = parts(claim.components, truth)
    if named is None:
        return None
    if named & truth.used and any("@" in component for component in claim.components):
        return None
    if claim.intervention in ("denoising", "noising"):
        return not named & truth.moves
    if len(truth.circuits) == 1 and named & set(truth.redundant):
        return None  # it does a little, and how much the margin allows is another question
    return not truth.needs(named) and not named & {*truth.negative, *(of for of, _ in truth.backed_up)}


@holds.register
def _(claim: Backup, truth: Truth) -> bool | None:
    spares, missing = parts(claim.components, truth), parts(claim.backed_up, truth)
    if spares is None or missing is None:
        return None
    return any(of in missing and spare in spares for of, spare in truth.stand_ins)


@holds.register
def _(claim: Mediation, truth: Truth) -> bool | None:
    senders = parts(claim.components, truth)
    if senders is None:
        return None
    receivers = {receiver.partition("@")[0] for receiver in claim.receivers}
    return any(s in senders and r in receivers for s, r in (*truth.edges, *truth.silent))


@holds.register
def _(claim: AttentionRole, truth: Truth) -> bool | None:
    (head,) = claim.components
    looks = {to for name, here, to in truth.roles if (name, here) == (head, claim.attends_from)}
    return claim.attends_to in looks if looks else None


@holds.register
def _(claim: Sufficiency, truth: Truth) -> bool | None:
    named = parts(claim.components, truth)
    return None if named is None else any(named >= set(circuit) for circuit in truth.circuits)


@holds.register
def _(claim: Minimality, truth: Truth) -> bool | None:
    named = parts(claim.components, truth)
    if named is None:
        return None
    members = named - {spare for spares in claim.backups.values() for spare in spares}
    return any(members == set(circuit) for circuit in truth.circuits)
