"""Judging proposals: a slot and a frozen record, or a refusal with its reason. Either is a row."""

from __future__ import annotations

import time
from collections.abc import Collection
from contextlib import suppress

from lakatos.agent.proposers import from_file
from lakatos.agent.run.context import Context
from lakatos.experiments_db.log import Burned, Duplicate, Proposal, Registration, register
from lakatos.tools.behaviour import most_pairs, plain
from lakatos.tools.claim import AnyClaim, claim_hash, control_names, describe, read_hypothesis
from lakatos.tools.component import Shape
from lakatos.tools.errors import ProposalError, UserError
from lakatos.tools.evidence import Data
from lakatos.tools.experiment import CLAIM_FAILURES, Sample, calibrate, needs_donors


def register_proposals(run: Context, round_: int) -> None:
    """Judge every proposal of a round: a slot and a frozen record for it, or a refusal with its reason."""
    proposals = run.store.proposals(run.run_id, round_)
    ids = [row.id for row in proposals]
    settled = run.store.refusals(ids).keys() | run.store.of_proposals(ids).keys()
    if any(row.id not in settled for row in proposals):
        run.load()
    for number, row in enumerate(proposals):
        run.going("registering", number, len(proposals))
        if row.id not in settled:
            _register(run, row)


def may_need_donors(run: Context) -> bool:
    """Whether a claim of this run may replace activations by those of other prompts: only a file says beforehand."""
    if run.config.proposer != "file":
        return True
    for proposal in from_file(run.config.claims):
        with suppress(ProposalError):  # such a claim is refused when it is registered
            if needs_donors(read_hypothesis(proposal, run.behaviour.name).claim):
                return True
    return False


def _register(run: Context, proposal: Proposal) -> None:
    try:
        hypothesis = read_hypothesis(proposal.proposal, run.behaviour.name)
    except ProposalError as error:
        _refuse(run, proposal, "malformed", str(error))
        return
    claim = hypothesis.claim
    try:
        wanted = control_names(claim, run.behaviour)
    except UserError as error:
        _refuse(run, proposal, "untestable", str(error))
        return
    controls = {c.name: c.hash for c in run.controls if c.name in wanted}
    facts = {"weights": run.row.weights, "behaviour": run.row.behaviour_hash}
    identity = claim_hash(claim, **facts, controls=controls, study=run.store.study.name)
    twins = run.store.with_hash(identity.removeprefix("sha256:"))
    if twins:
        text = describe(claim, run.behaviour.name)
        _refuse(run, proposal, "duplicate", _twin(run, twins[0], text), twins[0])
        return
    began = time.monotonic()
    try:
        for component in claim.tested.places():
            component.check(run.model.cfg, set(run.behaviour.named_positions))
        templates = run.behaviour.frames(claim.family)
        sample = run.exploration(donors=needs_donors(claim))
        used = Sample(sample.runs, {name: sample.controls[name] for name in controls})
        chooser = str(run.store.seed(identity, "matched"))
        cap = _cap(run, claim, controls)
        battery, measured = calibrate(claim, run.model.bridge, used, chooser, cap, templates)
    except CLAIM_FAILURES as error:  # anything else is not its fault, and ends the run
        _refuse(run, proposal, "untestable", str(error))
        return
    given = run.behaviour.pairs
    asked = Registration(
        run=run.row,
        proposal_id=proposal.id,
        hypothesis=hypothesis,
        claim_hash=identity,
        battery=battery,
        explored=Data(measured.values, used.templates),
        shape=Shape.of(run.model.cfg),
        cap=cap,
        templates=templates,
        controls=controls,
        unigram=measured.unigram,
        listed=None if given is None else tuple(plain(pair.clean) for pair in given.confirmation),
        forwards=measured.forwards,
        seconds=time.monotonic() - began,
    )
    try:
        register(run.store, asked)
    except Burned as error:
        _refuse(run, proposal, "untestable", str(error))
    except Duplicate as error:  # another process was faster
        if run.store.of_proposals([proposal.id]):
            return
        _refuse(run, proposal, "duplicate", str(error), error.duplicate_of)


def _twin(run: Context, hypothesis_id: int, text: str) -> str:
    """That a claim is in the log already, and how its test goes on where it lacked pairs."""
    stop = run.store.stop_of(hypothesis_id)
    more = f"; `lakatos extend {hypothesis_id}` goes on with its test" if stop in ("exhausted", "futility") else ""
    return f"registered already as hypothesis {hypothesis_id} ({text}){more}"


def _cap(run: Context, claim: AnyClaim, controls: Collection[str]) -> int:
    """The most pairs that a test may use: whole batches of the run's limit, or of what its prompts come from."""
    limit = run.config.max_pairs
    caps = [most_pairs(control, limit) for control in run.controls if control.name in controls]
    return min(most_pairs(run.behaviour, limit, claim.family), *caps, limit)


def _refuse(run: Context, proposal: Proposal, kind: str, reason: str, duplicate_of: int | None = None) -> None:
    run.store.refuse(proposal.id, kind, reason, duplicate_of)
    run.watcher.say(f"refused ({kind}): {reason}")
