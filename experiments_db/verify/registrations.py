"""Registrations: slot, hash, record, constants and seed of a claim follow from its run, study and exploration."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np

from lakatos.experiments_db import models as m
from lakatos.experiments_db.store import derive_seed, seed_commitment, seeded_nonce
from lakatos.experiments_db.verify.comparing import same, spent
from lakatos.experiments_db.verify.log import Log
from lakatos.experiments_db.verify.proposals import registered_lies
from lakatos.tools.behaviour import Behaviour, most_pairs
from lakatos.tools.claim import CLAIM, AnyClaim, Look, atoms, claim_hash, control_names, draw_matched
from lakatos.tools.component import Shape
from lakatos.tools.evidence import Battery, Data, fixed, gaps
from lakatos.tools.multiplicity import slot_weights, success_threshold


def slot_lies(hypotheses: Sequence[m.HypothesisRow]) -> Iterator[str]:
    """Slots of a study are given in order, each with its weight."""
    ordered = sorted(hypotheses, key=lambda h: h.id)
    for number, row in enumerate(ordered, 1):
        if row.slot != number:
            yield f"hypotheses row {row.id}: has slot {row.slot}, but is registered claim number {number}"
    weights = slot_weights(len(ordered))
    for row, weight in zip(ordered, weights, strict=True):
        if not same(row.record.get("weight"), float(weight)) or row.record.get("slot") != row.slot:
            yield f"hypotheses row {row.id}: its record has another weight or slot than its place gives"


def hypothesis_lies(row: m.HypothesisRow, log: Log) -> Iterator[str]:
    """What of a registration does not follow from its proposal, run, study and exploration values."""
    here = f"hypotheses row {row.id}"
    record = row.record
    run, study = log.row("runs", row.run_id), log.row("studies", row.study_id)
    claim = CLAIM.validate_python(record["claim"])
    battery = Battery.model_validate(record["battery"])
    behaviour = Behaviour.model_validate(run.behaviour_definition)
    yield from registered_lies(row, log.row("proposals", row.proposal_id), run)
    yield from _identity_lies(row, claim, battery, behaviour, run, study)
    yield from _record_lies(row, claim, battery, behaviour, run, study)
    yield from _constant_lies(row, claim, battery, study)
    if not spent(row):
        yield f"{here}: spent {row.forwards} forwards and {row.seconds} seconds"
    fellows = log.of_run("hypotheses", row.run_id)
    if record["shape"] != fellows[0].record["shape"]:
        yield f"{here}: its model has another shape than that of hypotheses row {fellows[0].id}"
    templates = row.calibration["templates"]
    if run.config and templates != [pair.template for pair in log.explored_by(run, len(templates))]:
        yield f"{here}: was calibrated on other prompts than the seed of run {run.id} gives"
    resumed = {e.payload["limits"].get("max_pairs") for e in log.of_run("events", run.id) if e.kind == "resumed"}
    limits = {run.config.get("max_pairs"), *resumed} - {None}
    if limits and not _may_use(record["cap"], limits, claim, behaviour, run, record["controls"]):
        yield f"{here}: its test may use {record['cap']} prompts, and run {run.id} was configured otherwise"


def _may_use(
    cap: int, limits: set[int], claim: AnyClaim, behaviour: Behaviour, run: m.Run, controls: Collection[str]
) -> bool:
    """Whether a test's most prompts are what one of the run's limits gives: the limit, or what there is to draw."""
    listed = len(behaviour.pairs.confirmation) if behaviour.pairs else None
    if cap in {limit if listed is None else min(limit, listed) for limit in limits}:
        return True  # with plenty to draw; and in logs of before prompts were counted
    sources = [(behaviour, claim.family)]
    sources += [(Behaviour.model_validate(run.controls[name]), None) for name in controls]
    return any(cap == min(most_pairs(source, limit, family) for source, family in sources) for limit in limits)


def _identity_lies(
    row: m.HypothesisRow, claim: AnyClaim, battery: Battery, behaviour: Behaviour, run: m.Run, study: m.Study
) -> Iterator[str]:
    here, record = f"hypotheses row {row.id}", row.record
    known = {name: Behaviour.model_validate(definition).hash for name, definition in run.controls.items()}
    controls = {name: known[name] for name in control_names(claim, behaviour)}
    identity = claim_hash(
        claim,
        weights=record["weights"],
        behaviour=record["behaviour_hash"],
        controls=record["controls"],
        study=study.name,
    )
    if record["controls"] != controls or set(battery.control_gaps) != set(controls):
        yield f"{here}: was not tested against the controls of its behaviour"
    if identity != row.claim_hash or run.weights != record["weights"] or run.behaviour_hash != record["behaviour_hash"]:
        yield f"{here}: its hash is not that of its claim, weights and behaviour"
    columns = (row.kind, row.behaviour_hash, row.weights, row.subject, list(row.atoms))
    derived = (claim.kind, run.behaviour_hash, run.weights, "+".join(claim.tested.components))
    shape = Shape(**record["shape"])
    if columns != (*derived, list(atoms(claim, shape.n_heads))) or run.study_id != row.study_id:
        yield f"{here}: is filed under another kind, subject, behaviour, model or study than its claim's"


def _record_lies(
    row: m.HypothesisRow, claim: AnyClaim, battery: Battery, behaviour: Behaviour, run: m.Run, study: m.Study
) -> Iterator[str]:
    here, record = f"hypotheses row {row.id}", row.record
    given = behaviour.pairs and len(behaviour.pairs.confirmation)
    told: dict[str, Any] = {
        "behaviour": run.behaviour,
        "model": run.model,
        "family": study.name,
        "alpha": study.alpha,
        "corpus": given and {"pairs": given, "whole": 2 * battery.n_max > given},
    }
    differ = [name for name, value in told.items() if not same(value, record[name])]
    if differ or row.behaviour != run.behaviour:
        yield f"{here}: its record says otherwise than its run and study ({', '.join(differ) or 'behaviour'})"
    if not same(record["threshold"], success_threshold(record["weight"], study.alpha)):
        yield f"{here}: its success threshold is not 1 / (alpha x weight)"
    if record["templates"] != behaviour.frames(claim.family):
        yield f"{here}: its behaviour has another number of templates"
    nonce = record["nonce"]
    if study.secret_source == "seed" and nonce != seeded_nonce(study.secret, row.slot):
        yield f"{here}: its nonce is not the one that a seeded study gives slot {row.slot}"
    if study.secret_source == "random" and not re.fullmatch(r"[0-9a-f]{32}", nonce):
        yield f"{here}: its nonce was not drawn: it has not 32 hex digits"
    seed = derive_seed(study.secret, f"{row.claim_hash}|{nonce}", "pairs")
    if seed_commitment(seed) != record["seed_commitment"]:
        yield f"{here}: its seed commitment is not that of its seed"


def _constant_lies(row: m.HypothesisRow, claim: AnyClaim, battery: Battery, study: m.Study) -> Iterator[str]:
    here, record = f"hypotheses row {row.id}", row.record
    drawn = draw_matched(
        claim.tested, Shape(**record["shape"]), str(derive_seed(study.secret, row.claim_hash, "matched"))
    )
    if any(battery.matched.get(role) != components for role, components in drawn.items()):
        yield f"{here}: what it is compared with is not what its seed draws"
    values = {name: np.array(column, dtype=float) for name, column in row.calibration["values"].items()}
    explored = Data(values, tuple(row.calibration["templates"]))
    gap, control_gaps = gaps(values, row.calibration["unigram"])
    draft = battery.model_copy(update={"gap": gap, "control_gaps": control_gaps})
    again = fixed(claim, draft, explored, record["cap"], record["templates"])
    if not same(again.model_dump(), battery.model_dump()):
        yield f"{here}: its constants do not follow from its exploration values"
    measured = claim.tested.measured(battery.matched)
    if isinstance(measured, Look) and set(measured.names()) != set(record["measures"]):
        yield f"{here}: was not compared with every role that was measured"
    if set(record["measures"]) != set(explored.values):
        yield f"{here}: its battery is not the one that was calibrated"
