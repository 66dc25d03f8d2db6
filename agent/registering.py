"""Judging proposals: a slot and a frozen record, or a refusal with its reason. Either is a row."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from lakatos.agent.testing import TEST_FAILURES
from lakatos.experiments_db import models as m
from lakatos.experiments_db.store import Duplicate, seed_commitment
from lakatos.tools.errors import UserError
from lakatos.tools.experiment import Sample, calibrate, needs_donors
from lakatos.tools.hypothesis import Hypothesis, claim_fields, claim_hash, control_names, describe
from lakatos.tools.multiplicity import slot_weights, success_threshold

if TYPE_CHECKING:
    from lakatos.agent.investigation import Investigation


def register_proposals(run: Investigation, round_: int) -> None:
    """Judge every proposal of a round: a slot and a frozen record for it, or a refusal with its reason."""
    proposals = run.store.all(m.Proposal, m.Proposal.run_id == run.run_id, m.Proposal.round == round_)
    ids = [row.id for row in proposals]
    settled = {r.proposal_id for r in run.store.all(m.Refusal, m.Refusal.proposal_id.in_(ids))}
    settled |= {h.proposal_id for h in run.store.all(m.HypothesisRow, m.HypothesisRow.proposal_id.in_(ids))}
    if any(row.id not in settled for row in proposals):
        run.load()
    for number, row in enumerate(proposals):
        run.going("registering", number, len(proposals))
        if row.id not in settled:
            _register(run, row)


def _register(run: Investigation, proposal: m.Proposal) -> None:
    try:
        hypothesis = Hypothesis.model_validate(proposal.proposal)
    except ValidationError as error:
        _refuse(run, proposal, "malformed", _readable(error))
        return
    claim = hypothesis.claim
    try:
        wanted = control_names(claim, run.behaviour)
    except UserError as error:
        _refuse(run, proposal, "untestable", str(error))
        return
    controls = {c.name: c.hash for c in run.controls if c.name in wanted}
    identity = claim_hash(claim, weights=run.row.weights, behaviour=run.row.behaviour_hash, controls=controls)
    twins = run.store.all(m.HypothesisRow, m.HypothesisRow.claim_hash == identity)
    if twins:
        text = describe(claim, run.behaviour.name)
        _refuse(run, proposal, "duplicate", f"registered already as hypothesis {twins[0].id} ({text})", twins[0].id)
        return
    began = time.monotonic()
    try:
        for component in claim.parsed():
            component.check(run.model.cfg, set(run.behaviour.named_positions))
        sample = run.exploration(donors=needs_donors(claim))
        used = Sample(sample.runs, {name: sample.controls[name] for name in controls})
        chooser = str(run.store.seed(identity, "matched"))
        battery, measured = calibrate(claim, run.model.bridge, used, chooser, _cap(run))
    except TEST_FAILURES as error:
        _refuse(run, proposal, "untestable", str(error))
        return
    alpha = run.store.study.alpha

    def record(slot: int, nonce: str) -> dict[str, Any]:
        weight = float(slot_weights(slot)[-1])
        return {
            "claim": claim_fields(claim),
            "behaviour": run.behaviour.name,
            "behaviour_hash": run.row.behaviour_hash,
            "model": run.row.model,
            "weights": run.row.weights,
            "role": hypothesis.role,
            "predicted": hypothesis.predicted,
            "battery": battery.model_dump(mode="json"),
            "controls": controls,
            "cap": _cap(run),
            "unit": "prompt",
            "finite": run.behaviour.finite,
            "nonce": nonce,
            "family": "study",
            "alpha": alpha,
            "slot": slot,
            "weight": weight,
            "threshold": success_threshold(weight, alpha),
            "seed_commitment": seed_commitment(run.store.seed(f"{identity}|{nonce}", "pairs")),
        }

    row = m.HypothesisRow(
        study_id=run.store.study.id,
        run_id=run.run_id,
        proposal_id=proposal.id,
        claim_hash=identity,
        rationale=hypothesis.rationale,
        calibration={
            "values": {name: column.tolist() for name, column in measured.values.items()},
            "unigram": measured.unigram,
        },
        forwards=measured.forwards,
        seconds=time.monotonic() - began,
    )
    try:
        run.store.register(row, record)
    except Duplicate as error:  # another process was faster
        if run.store.all(m.HypothesisRow, m.HypothesisRow.proposal_id == proposal.id):
            return
        _refuse(run, proposal, "duplicate", str(error), error.duplicate_of)


def _cap(run: Investigation) -> int:
    """The most pairs that a test may use: the run's limit, or whole batches of a finite confirmation list."""
    listed = run.behaviour.pairs
    return run.config.max_pairs if listed is None else min(run.config.max_pairs, len(listed.confirmation))


def _refuse(run: Investigation, proposal: m.Proposal, kind: str, reason: str, duplicate_of: int | None = None) -> None:
    run.store.add(m.Refusal(proposal_id=proposal.id, kind=kind, reason=reason, duplicate_of=duplicate_of))
    run.watcher.say(f"refused ({kind}): {reason}")


def _readable(error: ValidationError) -> str:
    return "; ".join(f"{'.'.join(str(p) for p in e['loc'])}: {e['msg']}" for e in error.errors())
