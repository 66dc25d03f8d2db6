"""Judging proposals: a slot and a frozen record, or a refusal with its reason. Either is a row."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass

from lakatos.agent.proposers import from_file
from lakatos.agent.run.context import Context
from lakatos.experiments_db.log import Burned, Duplicate, Proposal, Registration, register
from lakatos.tools.behaviour import most_pairs, plain
from lakatos.tools.claim import AnyClaim, Hypothesis, claim_hash, control_names, describe, read_hypothesis
from lakatos.tools.component import Shape
from lakatos.tools.errors import ProposalError, UserError
from lakatos.tools.evidence import Battery, Data
from lakatos.tools.experiment import CLAIM_FAILURES, Measurement, Sample, Uncalibrated, calibrate_all, needs_donors

_AT_ONCE = 8  # claims whose constants are measured together: between them a run can be stopped


@dataclass(frozen=True)
class _Asked:
    """A proposal that can be read."""

    hypothesis: Hypothesis
    identity: str  # hash of the claim
    controls: dict[str, str]  # name -> hash of the control behaviours of its battery

    @property
    def claim(self) -> AnyClaim:
        return self.hypothesis.claim


@dataclass(frozen=True)
class _Refused:
    """A proposal that gets no slot."""

    kind: str
    reason: str


@dataclass(frozen=True)
class _Calibrated:
    """The constants of a claim's test, and what they come from."""

    battery: Battery
    measured: Measurement
    explored: Data
    cap: int
    seconds: float


def register_proposals(run: Context, round_: int) -> None:
    """Judge every proposal of a round: a slot and a frozen record for it, or a refusal with its reason.

    The constants of all claims come from the same exploration pairs, and are measured together.
    """
    proposals = run.store.proposals(run.run_id, round_)
    ids = [row.id for row in proposals]
    settled = run.store.refusals(ids).keys() | run.store.of_proposals(ids).keys()
    waiting = [row for row in proposals if row.id not in settled]
    if not waiting:
        return
    run.load()
    asked = {row.id: _read(run, row) for row in waiting}
    constants = _calibrate(run, [own for own in asked.values() if isinstance(own, _Asked)])
    for number, row in enumerate(waiting, len(settled)):
        run.going("registering", number, len(proposals))
        own = asked[row.id]
        if isinstance(own, _Asked):
            _register(run, row, own, constants)
        else:
            _refuse(run, row, own.kind, own.reason)


def may_need_donors(run: Context) -> bool:
    """Whether a claim of this run may replace activations by those of other prompts: only a file says beforehand."""
    if run.config.proposer != "file":
        return True
    for proposal in from_file(run.config.claims):
        with suppress(ProposalError):  # such a claim is refused when it is registered
            if needs_donors(read_hypothesis(proposal, run.behaviour.name).claim):
                return True
    return False


def _read(run: Context, proposal: Proposal) -> _Asked | _Refused:
    try:
        hypothesis = read_hypothesis(proposal.proposal, run.behaviour.name)
    except ProposalError as error:
        return _Refused("malformed", str(error))
    try:
        wanted = control_names(hypothesis.claim, run.behaviour)
    except UserError as error:
        return _Refused("untestable", str(error))
    controls = {c.name: c.hash for c in run.controls if c.name in wanted}
    facts = {"weights": run.row.weights, "behaviour": run.row.behaviour_hash}
    identity = claim_hash(hypothesis.claim, **facts, controls=controls, study=run.store.study.name)
    return _Asked(hypothesis, identity, controls)


def _calibrate(run: Context, asked: Sequence[_Asked]) -> dict[str, _Calibrated | _Refused]:
    """The constants of each claim that is not registered yet, by its hash, or why it cannot be tested."""
    found: dict[str, _Calibrated | _Refused] = {}
    for donors in (False, True):
        distinct = {own.identity: own for own in asked if needs_donors(own.claim) is donors}
        fresh = [own for own in distinct.values() if not _twins(run, own)]
        for first in range(0, len(fresh), _AT_ONCE):
            run.going("calibrating", first, len(fresh))
            found |= _calibrated(run, fresh[first : first + _AT_ONCE], donors=donors)
    return found


def _calibrated(run: Context, asked: Sequence[_Asked], *, donors: bool) -> dict[str, _Calibrated | _Refused]:
    began, found = time.monotonic(), dict[str, _Calibrated | _Refused]()
    ready: dict[str, Uncalibrated] = {}
    for own in asked:
        try:
            for component in own.claim.tested.places():
                component.check(run.model.cfg, set(run.behaviour.named_positions))
            sample = run.exploration(donors=donors)
            chooser, cap = str(run.store.seed(own.identity, "matched")), _cap(run, own.claim, own.controls)
            ready[own.identity] = Uncalibrated(own.claim, chooser, cap, run.behaviour.frames(own.claim.family))
        except CLAIM_FAILURES as error:  # anything else is not its fault, and ends the run
            found[own.identity] = _Refused("untestable", str(error))
    if not ready:
        return found
    names = {name for own in asked for name in own.controls}
    used = Sample(sample.runs, {name: sample.controls[name] for name in names})
    measured = calibrate_all(list(ready.values()), run.model.bridge, used)
    seconds = (time.monotonic() - began) / len(ready)
    for (identity, wanted), result in zip(ready.items(), measured, strict=True):
        if isinstance(result, Exception):
            found[identity] = _Refused("untestable", str(result))
        else:
            battery, shown = result
            found[identity] = _Calibrated(battery, shown, Data(shown.values, used.templates), wanted.cap, seconds)
    return found


def _register(run: Context, proposal: Proposal, asked: _Asked, constants: dict[str, _Calibrated | _Refused]) -> None:
    twins = _twins(run, asked)
    if twins:
        text = describe(asked.claim, run.behaviour.name)
        _refuse(run, proposal, "duplicate", f"registered already as hypothesis {twins[0]} ({text})", twins[0])
        if run.store.stop_of(twins[0]) in ("exhausted", "futility"):
            run.watcher.say(f"`lakatos extend {twins[0]} --pairs N` goes on with its test")
        return
    found = constants[asked.identity]
    if isinstance(found, _Refused):
        _refuse(run, proposal, found.kind, found.reason)
        return
    given = run.behaviour.pairs
    registration = Registration(
        run=run.row,
        proposal_id=proposal.id,
        hypothesis=asked.hypothesis,
        claim_hash=asked.identity,
        battery=found.battery,
        explored=found.explored,
        shape=Shape.of(run.model.cfg),
        cap=found.cap,
        templates=run.behaviour.frames(asked.claim.family),
        controls=asked.controls,
        unigram=found.measured.unigram,
        listed=None if given is None else tuple(plain(pair.clean) for pair in given.confirmation),
        forwards=found.measured.forwards,
        seconds=found.seconds,
    )
    try:
        register(run.store, registration)
    except Burned as error:
        _refuse(run, proposal, "untestable", str(error))
    except Duplicate as error:  # another process was faster
        if run.store.of_proposals([proposal.id]):
            return
        _refuse(run, proposal, "duplicate", str(error), error.duplicate_of)


def _twins(run: Context, asked: _Asked) -> list[int]:
    """The hypotheses that are the same claim."""
    return run.store.with_hash(asked.identity.removeprefix("sha256:"))


def _cap(run: Context, claim: AnyClaim, controls: Collection[str]) -> int:
    """The most pairs that a test may use: whole batches of the run's limit, or of what its prompts come from."""
    limit = run.config.max_pairs
    caps = [most_pairs(control, limit) for control in run.controls if control.name in controls]
    return min(most_pairs(run.behaviour, limit, claim.family), *caps, limit)


def _refuse(run: Context, proposal: Proposal, kind: str, reason: str, duplicate_of: int | None = None) -> None:
    run.store.refuse(proposal.id, kind, reason, duplicate_of)
    run.watcher.say(f"refused ({kind}): {reason}")
