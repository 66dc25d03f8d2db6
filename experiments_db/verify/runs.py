"""Studies, runs and their events: what can be derived of each without a model."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Final

import numpy as np

from lakatos.experiments_db.log import APPROVED, CALLED, DRAFTED, EXPLAINED, GENESIS, SEARCHED, TOOL, WISHES
from lakatos.experiments_db.log import tables as m
from lakatos.experiments_db.verify.comparing import spent
from lakatos.experiments_db.verify.log import WholeLog, explores, names
from lakatos.tools.behaviour import Behaviour
from lakatos.tools.claim import MeasuredClaim

SIMULATED: Final = "simulated"  # the proposer of laboratory logs, which have no events and no configuration
_KINDS: Final = (
    "started", "resumed", "checked", "explored", "searching", SEARCHED, TOOL, CALLED, "offered", "asking", DRAFTED,
    APPROVED, EXPLAINED, "stopped", "failed", "finished",
)  # fmt: skip
_ONCE: Final = ("started", "checked", "explored", "finished")
_AT_MOST_ONCE: Final = (*_ONCE, EXPLAINED)
_WISHES: Final = tuple(f"asked to {wish}" for wish in WISHES)
_OF_OTHERS: Final = (*_WISHES, CALLED, APPROVED)  # what other processes may append to a run at any time
_NEAR: Final = 1e-3  # relative: two passes over the same pairs, in other batches


def study_lies(study: m.Study) -> Iterator[str]:
    """A study has an error rate, and a secret whose origin it tells."""
    here = f"studies row {study.id}"
    if not 0 < study.alpha <= 0.5:
        yield f"{here}: alpha is {study.alpha}, which no study begins with"
    if not re.fullmatch(r"[0-9a-f]{64}", study.secret):
        yield f"{here}: its secret is not of 64 hex digits"
    if study.planned is not None and study.planned < 1:
        yield f"{here}: plans for {study.planned} hypotheses"
    if study.secret_source not in ("random", "seed"):
        yield f"{here}: its secret comes from {study.secret_source!r}; there are random and seed"


def run_lies(run: m.Run) -> Iterator[str]:
    """The columns of a run agree with one another."""
    here = f"runs row {run.id}"
    behaviour = Behaviour.model_validate(run.behaviour_definition)
    if behaviour.hash != run.behaviour_hash:
        yield f"{here}: the behaviour's definition does not have its hash"
    if behaviour.name != run.behaviour:
        yield f"{here}: names the behaviour {run.behaviour!r}; its definition is that of {behaviour.name!r}"
    controls = {name: Behaviour.model_validate(definition) for name, definition in run.controls.items()}
    if run.proposer == SIMULATED:
        return
    if set(controls) != set(behaviour.controls):
        yield f"{here}: its controls are not those that its behaviour names"
    for name, control in controls.items():
        if control.name != name or control.kind != "text":
            yield f"{here}: its control {name!r} is {control.name!r} of kind {control.kind!r}"
    if not run.config:
        return
    if run.config["proposer"] != run.proposer:
        yield f"{here}: its proposer is {run.proposer!r}, and {run.config['proposer']!r} was configured"
    seed = run.config["seed"]
    if run.seed != str(seed) if seed is not None else not re.fullmatch(r"[0-9a-f]{32}", run.seed):
        yield f"{here}: its seed is {run.seed!r}, and {seed!r} was configured"
    if not {"python", "device", "packages"} <= run.environment.keys():
        yield f"{here}: does not say what it ran on"
    elif not str(run.config["device"]).startswith("cuda") and run.environment["device"] != run.config["device"]:
        yield f"{here}: ran on {run.environment['device']!r}, and {run.config['device']!r} was configured"


def event_lies(run: m.Run, log: WholeLog) -> Iterator[str]:
    """The events of a run follow one another as a run goes; each names what it found."""
    events = [e for e in log.of_run("events", run.id) if e.kind in _KINDS or e.kind in _WISHES]
    for event in log.of_run("events", run.id):
        if not spent(event) or (event.kind in ("checked", "explored") and not event.forwards):
            yield f"events row {event.id}: spent {event.forwards} forwards and {event.seconds} seconds"
    for kind in _AT_MOST_ONCE:
        for twice in [e for e in events if e.kind == kind][1:]:
            yield f"events row {twice.id}: run {run.id} had {kind} before"
    if events and events[0].kind != "started":
        yield f"events row {events[0].id}: run {run.id} has {events[0].kind}, and never started"
    known: dict[str, m.Event] = {}
    for event in events:
        if "finished" in known and event.kind not in _OF_OTHERS:
            yield f"events row {event.id}: {event.kind} of run {run.id}, which had finished"
        known[event.kind] = event
    if "explored" in known and ("checked" not in known or log.place(known["checked"]) > log.place(known["explored"])):
        yield f"events row {known['explored'].id}: run {run.id} explored what it had not checked"
    if "checked" in known:
        yield from _checked(run, known["checked"], log)
    if "explored" in known and run.config:
        yield from _explored(run, known["explored"], log)
    if "finished" in known:
        yield from _finished(run, known["finished"], log)
        lacks = [kind for kind in _ONCE if kind not in known]
        if lacks:
            yield f"events row {known['finished'].id}: run {run.id} finished without having {' and '.join(lacks)}"
        failed = known.get("failed")
        if failed is not None and not any(e.kind == "resumed" and e.id > failed.id for e in events):
            yield f"events row {known['finished'].id}: run {run.id} had failed, and was not resumed"


def _checked(run: m.Run, event: m.Event, log: WholeLog) -> Iterator[str]:
    """What a run found of its behaviour follows from the same exploration pairs that calibrated its claims."""
    here, told = f"events row {event.id}", event.payload
    present = told["accuracy"] >= 0.7 and told["gap"] > 0 and told["clean"] > 0
    if told["present"] != present:
        yield f"{here}: says present {told['present']}, which its own figures do not"
    if run.config and not present and log.of_run("proposals", run.id) and not run.config["allow_absent"]:
        yield f"{here}: run {run.id} went on without the behaviour, and was not told to"
    for row in log.of_run("hypotheses", run.id):
        values = row.calibration["values"]
        claim = row.prediction().claim.tested
        if not isinstance(claim, MeasuredClaim) or claim.metric != "logit_diff" or len(values["clean"]) != told["n"]:
            continue
        clean, corrupted = np.array(values["clean"]), np.array(values["corrupted"])
        derived = {"clean": clean.mean(), "corrupted": corrupted.mean(), "gap": (clean - corrupted).mean()}
        differ = any(not math.isclose(told[k], v, rel_tol=_NEAR, abs_tol=_NEAR) for k, v in derived.items())
        if differ or not math.isclose(told["accuracy"], (clean > 0).mean(), abs_tol=_NEAR):
            yield f"{here}: its figures are not those of the exploration values of hypothesis {row.id}"
        return


def _explored(run: m.Run, event: m.Event, log: WholeLog) -> Iterator[str]:
    """Exploration looked at as many pairs as it was told to; those that it shows are its own."""
    if event.payload["pairs"] != run.config["attribution_pairs"]:
        yield f"events row {event.id}: explored other pairs than run {run.id} was configured to"
    shown = [row for row in event.payload["exemplars"] if row["choice"] == "random"]
    for row, pair in zip(shown, log.explored_by(run, len(shown)), strict=True):
        if any(row[name] != getattr(pair, name) for name in ("clean", "corrupted", "answer", "wrong")):
            yield f"events row {event.id}: shows a pair that the seed of run {run.id} does not give"


def _finished(run: m.Run, event: m.Event, log: WholeLog) -> Iterator[str]:
    """A finished run names the head that it ended on; everything that it proposed is settled, and tested."""
    here, head = f"events row {event.id}", event.payload.get("ledger_head")
    if head is None:
        yield f"{here}: names no ledger head"
    else:
        own = log.appended.get(("events", event.id), (0, 0))[0]
        at = {entry.entry_hash: entry.id for entry in log.entries} | {GENESIS: 0}
        if head not in at or at[head] >= own:
            yield f"{here}: the head that it names is not in the ledger before it: {head}"
        else:
            between = [name for e in log.entries if at[head] < e.id < own for name in names(e)]
            mine = [name for name in between if _run_of(log, *name) == run.id]
            if mine:
                yield f"{here}: run {run.id} had appended {mine[0][0]} row {mine[0][1]} after the head that it names"
    for proposal in log.of_run("proposals", run.id):
        if proposal.id not in log.hypothesis_of and proposal.id not in log.refusal_of:
            yield f"proposals row {proposal.id}: was neither registered nor refused, and run {run.id} has finished"
    for row in log.of_run("hypotheses", run.id):
        if row.id not in log.evidence_of:
            yield f"hypotheses row {row.id}: has no evidence, and run {run.id} has finished"
    asked = {call.round for call in log.of_run("llm_calls", run.id) if call.purpose == "interpret"}
    tested = {log.row("proposals", h.proposal_id).round for h in log.of_run("hypotheses", run.id)}
    if run.proposer == "llm" and not explores(run) and tested - asked:
        yield f"{here}: run {run.id} never asked what the verdicts of round {min(tested - asked)} mean"
    last = log.place(event)
    for table in ("proposals", "llm_calls", "hypotheses"):
        for row in log.of_run(table, run.id):
            if log.place(row) > last:
                yield f"{table} row {row.id}: was appended after run {run.id} had finished"


def _run_of(log: WholeLog, table: str, key: int) -> int | None:
    """The run whose own work a row is; None for what others may append at any time."""
    row = log[table].get(key) if table in log.tables else None
    if isinstance(row, m.Event):
        return None if row.kind in _OF_OTHERS else row.run_id
    if isinstance(row, m.Proposal | m.HypothesisRow | m.LLMCall):
        return row.run_id
    if isinstance(row, m.Draw | m.Prompt):
        row = log["streams"].get(row.stream_id)
    if isinstance(row, m.Stream):
        claims = [h for h in log["hypotheses"].values() if (h.study_id, h.claim_hash) == (row.study_id, row.members[0])]
        return claims[0].run_id if claims else None
    if isinstance(row, m.Batch | m.EvidenceRow):
        claim = log["hypotheses"].get(row.hypothesis_id)
        return claim.run_id if claim else None
    return None
