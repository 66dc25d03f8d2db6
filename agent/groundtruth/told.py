"""Claims for arms that are told what to claim: the exhaustive one, the oracle, the saboteur."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from itertools import zip_longest
from typing import Final

from lakatos.agent.groundtruth.judging import holds
from lakatos.tools.claim import parse_claim
from lakatos.tools.component import Component
from lakatos.tools.model.planted import Truth


def exhaustive(truth: Truth, rng: random.Random) -> list[str]:
    """Necessity and activation patching of every head and MLP, whatever is true of it, in an order drawn at random."""
    places = sorted(truth.components)
    rng.shuffle(places)
    about = truth.behaviour
    return [claim for place in places for claim in (f"{place} necessary for {about}", f"{place} carries {about}")]


def oracle(truth: Truth, rng: random.Random) -> list[str]:
    """Only what is true, the kinds taking turns. Of a null model there is nothing but that nothing has an effect."""
    return [claim for claim in _by_turns(_true(truth), rng) if _judged(claim, truth)]


def saboteur(truth: Truth, rng: random.Random) -> list[str]:
    """Only what is false, the kinds taking turns: near misses of the mechanism among it."""
    return [claim for claim in _by_turns(_false(truth), rng) if _judged(claim, truth) is False]


TOLD: Final[Mapping[str, Callable[[Truth, random.Random], list[str]]]] = {
    "exhaustive": exhaustive,
    "oracle": oracle,
    "saboteur": saboteur,
}


def _judged(text: str, truth: Truth) -> bool | None:
    """Whether a claim is true; None where nobody knows."""
    return holds(parse_claim(text)[0].tested, truth)


def _true(truth: Truth) -> Iterator[list[str]]:
    """True claims, kind by kind."""
    about, inert = truth.behaviour, sorted(truth.inert)
    if not truth.null:
        yield [f"{c} carries {about}" for c in sorted(truth.moves - set(truth.negative))]
        yield [f"{c} opposes {about}" for c in truth.negative]
        yield [f"{c} necessary for {about}" for c in truth.necessary]
        yield [f"{sender} carries {about} through {receiver}" for sender, receiver in truth.edges]
        yield [f"{spare} backs up {of} for {about}" for of, spare in sorted(truth.stand_ins)]
        yield [f"{head} attends from {here} to {there} in {about}" for head, here, there in truth.roles]
        yield [f"{' + '.join(circuit)} sufficient for {about}" for circuit in truth.circuits]
    yield [f"{c} has no effect on {about}" for c in inert]


def _false(truth: Truth) -> Iterator[list[str]]:
    """Claims of which most are false, kind by kind; those that happen to be true are left out by the caller."""
    about, inert, used = truth.behaviour, sorted(truth.inert), sorted(truth.sought)
    yield [f"{c} carries {about}" for c in inert]
    yield [f"{c} necessary for {about}" for c in (*inert, *truth.non_specific)]
    if truth.null:
        return
    yield [f"{c} opposes {about}" for c in (*truth.necessary, *inert)]
    yield [f"{c} has no effect on {about}" for c in truth.necessary]
    yield [
        f"{sender} carries {about} through {other}"
        for sender, _ in truth.edges
        for other in sorted({receiver for _, receiver in (*truth.edges, *truth.silent)})
        if _later(sender, other)
    ]
    yield [f"{other} backs up {c} for {about}" for c in used for other in inert if _later(c, other)]
    yield [f"{head} attends from {here} to {there} in {about}" for head, here, there in _looks_elsewhere(truth)]
    yield [
        f"{' + '.join(sorted({*circuit} - {member} | {other}))} sufficient for {about}"
        for circuit in truth.circuits
        for member in circuit
        for other in inert
        if other[0] == member[0]
    ]


def _looks_elsewhere(truth: Truth) -> Iterator[tuple[str, str, str]]:
    places = sorted({place for _, here, there in truth.roles for place in (here, there)} - {"END"})
    for head, here, there in truth.roles:
        for other in places:
            if other not in (here, there) and here == "END":  # of others it is not known which come before
                yield head, here, other


def _later(one: str, other: str) -> bool:
    """Whether the second can read the first."""
    return other == "logits" or Component.parse(other).layer > Component.parse(one).layer


def _by_turns(kinds: Iterator[list[str]], rng: random.Random) -> list[str]:
    shuffled = [rng.sample(claims, len(claims)) for claims in kinds]
    return list(dict.fromkeys(claim for turn in zip_longest(*shuffled) for claim in turn if claim is not None))
