"""From a clue to a claim: what it would cost and whether it would hold, and putting it forward for a slot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from lakatos.agent.toolbox.desk import Answer, Desk, Refusal
from lakatos.agent.view import Proposal
from lakatos.agent.words import verdict
from lakatos.tools.claim import AnyClaim, Role, claim_fields, opposes, read_hypothesis
from lakatos.tools.errors import ProposalError, UserError

_TOGETHER: Final = 16  # claims at once
_PAIRS: Final = 16  # exploration pairs behind a draft
_HOPELESS: Final = 0.05  # standardised excess from which on no number of pairs is worth naming

Claim = Annotated[str, Field(min_length=3, max_length=2000, description="a claim as tables write it")]


class Put(BaseModel):
    """A claim that asks for a slot."""

    model_config = ConfigDict(extra="forbid")

    claim: Claim
    rationale: str = Field(max_length=400, description="why it should hold")
    predicted: float | None = Field(None, ge=-2, le=2, description="the effect you expect, as a fraction of the gap")
    role: Role = Field("main", description="main; rival: another explanation; null: expected to show nothing")


def draft(desk: Desk, claims: Annotated[list[Claim], Field(min_length=1, max_length=8)]) -> str:
    """Try claims on exploration prompts before they cost a slot: canonical text, cost, bar, whether each would hold.

    The forms: `a9.h6@END carries ioi (denoising, >= 10% of gap)`, `... opposes ioi (noising, ...)`,
    `a9.h6 necessary for ioi (resample, >= 10% of gap)`, `a5.h5 carries ioi through a9.h6.q (denoising, ...)`,
    `a9.h6 attends from END to IO in ioi`, `a3.h2 has no effect on ioi (denoising, < 10% of gap)`,
    `a9.h6 + m5 sufficient for ioi (...)`, `... minimal for ioi`, `... backs up a9.h6 in ioi`, and for a family
    `a9.h6@END carries ioi/distant (...)`.
    """
    read = [_read(desk, text) for text in claims]
    slot, bar = desk.view.next_slot
    shown = desk.view.searching.probe(read)
    lines = [
        f"Slot {slot} is next; a claim there is confirmed at e >= {bar:.3g}. Tried on {_PAIRS} exploration pairs, "
        "beside random components of the draft's own; a test draws others:"
    ]
    for claim, found in zip(read, shown, strict=True):
        lines += ["", f"- {desk.sentence(claim)}"]
        lines += [f"  {known}" for known in _known(desk, claim)]
        if found is None:
            lines.append("  It cannot be measured on this model and behaviour: it would be refused as untestable.")
            continue
        lines.append(
            f"  Main effect {found.effect:+.3g} (logits, or share of attention); {_expected(found.promise, bar)}"
        )
        lines.append(
            f"  Cost: about {found.forwards / _PAIRS:,.1f} forward passes a pair beside the two plain ones, which "
            "claims tested together share; 16 pairs at a time."
        )
    return "\n".join(lines)


def register(desk: Desk, claims: Annotated[list[Put], Field(min_length=1, max_length=_TOGETHER)]) -> Answer:
    """Register claims: each gets a slot of the study's error budget and is tested on prompts that nobody has seen.

    Register those together that belong together, with at least one rival or null among them: their tests share prompts
    and cost less. A slot is spent whatever comes of it. `wait` then tells the verdicts.
    """
    left = desk.left
    if len(claims) > left:
        most = f"{left} more" if left else "none: call `finish`"
        raise Refusal(f"{len(claims)} claims, and the run may register {most}. Nothing was registered")
    proposals: list[Proposal] = []
    read: list[AnyClaim] = []
    for number, put in enumerate(claims, 1):
        try:
            claim = _read(desk, put.claim)
        except Refusal as refusal:
            raise Refusal(f"claim {number}: {refusal}. Nothing was registered") from refusal
        twins = [e for e in desk.view.known if e.claim == claim]
        if twins or claim in read:
            where = f"hypothesis {twins[0].id} ({twins[0].state})" if twins else "another claim of this call"
            raise Refusal(f"claim {number} is the same as {where}: leave it out. Nothing was registered")
        read.append(claim)
        predicted = {} if put.predicted is None else {"predicted": put.predicted}
        told: Proposal = {"rationale": put.rationale, "role": put.role}
        proposals.append({"claim": claim_fields(claim), **told, **predicted})
    lines = [f"Put forward, {len(read)} together: each gets a slot, or is refused with a reason, and is tested."]
    lines += [f"- {desk.sentence(claim)}" for claim in read]
    if len(read) > 1 and all(put.role == "main" for put in claims):
        lines.append("None of them is a rival or a null: without one, their agreement shows less than it seems.")
    lines.append("Next: `wait` tells the verdicts.")
    return Answer("\n".join(lines), tuple(proposals))


def challenge(
    desk: Desk,
    hypothesis: Annotated[int, Field(ge=1, description="a confirmed hypothesis of this run")],
    test: Claim,
    why: Annotated[str, Field(min_length=1, max_length=500, description="what its failing would show")],
) -> str:
    """Name the cheapest test that could break a confirmed claim: what should fail, or hold, if that claim is true."""
    found = [e for e in desk.view.entries if e.id == hypothesis and e.state == "confirmed"]
    if not found:
        known = ", ".join(str(e.id) for e in desk.view.entries if e.state == "confirmed") or "none"
        raise Refusal(f"hypothesis {hypothesis} is not confirmed in this run; confirmed are {known}")
    claim = _read(desk, test)
    told = f"Against hypothesis {hypothesis} ({found[0].text}): {desk.sentence(claim)}. {why}"
    return f"{told} Register it if it is worth a slot."


def _read(desk: Desk, text: str) -> AnyClaim:
    """The claim of a text. Raises Refusal: it is none, or names a component that the model has not."""
    behaviour = desk.view.behaviour
    try:
        claim = read_hypothesis({"claim": text}, behaviour.name).claim
        for place in claim.tested.places():
            place.check(desk.view.shape, set(behaviour.named_positions))
    except (ProposalError, UserError) as error:
        raise Refusal(str(error).rstrip(".")) from error
    if claim.family is not None and claim.family not in behaviour.families:
        has = ", ".join(behaviour.families) or "none"
        raise Refusal(f"the behaviour has no family {claim.family!r}; it has {has}")
    return claim


def _known(desk: Desk, claim: AnyClaim) -> Sequence[str]:
    """Whether it is registered already, and what it would contradict."""
    found = []
    for entry in desk.view.known:
        if entry.claim == claim:
            found.append(f"A duplicate: registering it is refused. {verdict(entry)}")
        elif opposes(claim, entry.claim):
            found.append(f"It contradicts hypothesis {entry.id}: {verdict(entry)}")
    return found


def _expected(promise: float, bar: float) -> str:
    """Whether a claim would be confirmed at this rate, in words: a bet's growth is about half its squared excess."""
    if promise <= 0 or math.isnan(promise):
        return f"its weakest line is {promise:+.2f} sd from its threshold: it would not be confirmed."
    if promise < _HOPELESS:
        return f"its weakest line is only {promise:+.2f} sd beyond its threshold: no affordable test would confirm it."
    pairs = 2 * math.log(bar) / promise**2
    whole = math.ceil(pairs / 16) * 16
    return f"its weakest line is {promise:+.2f} sd beyond its threshold: about {whole:,} pairs at this rate."
