"""Registrations: slot, hash, record, constants and seed of a claim follow from its run, study and exploration."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from lakatos.experiments_db.log import derive_seed, explored_data, filed, seed_key, seeded_nonce
from lakatos.experiments_db.log import tables as m
from lakatos.experiments_db.verify.comparing import same, spent
from lakatos.experiments_db.verify.log import WholeLog
from lakatos.experiments_db.verify.proposals import registered_lies
from lakatos.tools.behaviour import Behaviour, most_pairs
from lakatos.tools.claim import Hypothesis, Look, claim_hash, control_names, draw_matched
from lakatos.tools.evidence import Data, Prediction, fixed, gaps

_OTHERWISE = {  # field of a record -> what is wrong where it is not the derived one
    "controls": "was not tested against the controls of its behaviour",
    "measures": "its battery is not the one that was calibrated",
    "seed_commitment": "its seed commitment is not that of its seed",
    "slot": "its record has another slot than its row",
    "templates": "its behaviour has another number of templates",
    "threshold": "its success threshold is not 1 / (alpha x weight)",
    "weight": "its record has another weight than its slot gives",
}


def slot_lies(hypotheses: Sequence[m.HypothesisRow]) -> Iterator[str]:
    """Slots of a study are given in order."""
    for number, row in enumerate(sorted(hypotheses, key=lambda h: h.id), 1):
        if row.slot != number:
            yield f"hypotheses row {row.id}: has slot {row.slot}, but is registered claim number {number}"


def hypothesis_lies(row: m.HypothesisRow, log: WholeLog) -> Iterator[str]:
    """What of a registration does not follow from its proposal, run, study and exploration values."""
    here = f"hypotheses row {row.id}"
    run, study = log.row("runs", row.run_id), log.row("studies", row.study_id)
    prediction, explored = row.prediction(), explored_data(row.calibration)
    behaviour = Behaviour.model_validate(run.behaviour_definition)
    yield from registered_lies(row, prediction, log.row("proposals", row.proposal_id), run)
    yield from _record_lies(row, prediction, explored, behaviour, run, study)
    yield from _identity_lies(row, prediction, run, study)
    yield from _constant_lies(row, prediction, explored, study)
    if not spent(row):
        yield f"{here}: spent {row.forwards} forwards and {row.seconds} seconds"
    fellow = log.of_run("hypotheses", row.run_id)[0]
    if row.record["shape"] != fellow.record["shape"]:
        yield f"{here}: its model has another shape than that of hypotheses row {fellow.id}"
    drawn = [pair.template for pair in log.explored_by(run, len(explored))] if run.config else []
    if run.config and list(explored.templates) != drawn:
        yield f"{here}: was calibrated on other prompts than the seed of run {run.id} gives"
    resumed = {e.payload["limits"].get("max_pairs") for e in log.of_run("events", run.id) if e.kind == "resumed"}
    limits = {run.config.get("max_pairs"), *resumed} - {None}
    if limits and not _may_use(prediction, limits, behaviour, run):
        yield f"{here}: its test may use {prediction.cap} prompts, and run {run.id} was configured otherwise"


def _may_use(prediction: Prediction, limits: set[int], behaviour: Behaviour, run: m.Run) -> bool:
    """Whether a test's most prompts are what one of the run's limits gives: the limit, or what there is to draw."""
    cap, listed = prediction.cap, len(behaviour.pairs.confirmation) if behaviour.pairs else None
    if cap in {limit if listed is None else min(limit, listed) for limit in limits}:
        return True  # with plenty to draw; and in logs of before prompts were counted
    sources = [(behaviour, prediction.claim.family)]
    sources += [(Behaviour.model_validate(run.controls[name]), None) for name in prediction.controls]
    return any(cap == min(most_pairs(source, limit, family) for source, family in sources) for limit in limits)


def _record_lies(
    row: m.HypothesisRow, told: Prediction, explored: Data, behaviour: Behaviour, run: m.Run, study: m.Study
) -> Iterator[str]:
    """The record is derived again from claim and battery, run and study."""
    here = f"hypotheses row {row.id}"
    known = {name: Behaviour.model_validate(definition).hash for name, definition in run.controls.items()}
    derived = Prediction.of(
        Hypothesis(claim=told.claim, role=told.role, predicted=told.predicted),
        told.battery,
        behaviour=run.behaviour,
        behaviour_hash=run.behaviour_hash,
        model=run.model,
        weights=run.weights,
        shape=told.shape,
        measures=tuple(explored.values),
        controls={name: known[name] for name in control_names(told.claim, behaviour)},
        cap=told.cap,
        templates=behaviour.frames(told.claim.family),
        listed=len(behaviour.pairs.confirmation) if behaviour.pairs else None,
        family=study.name,
        alpha=study.alpha,
        slot=row.slot,
        planned=study.planned,
        nonce=told.nonce,
        seed=None if told.nonce is None else derive_seed(study.secret, seed_key(row.claim_hash, told.nonce), "pairs"),
    ).record()
    differ = [name for name in derived if not same(derived[name], row.record.get(name))]
    yield from (f"{here}: {_OTHERWISE[name]}" for name in differ if name in _OTHERWISE)
    others = [name for name in differ if name not in _OTHERWISE]
    if others:
        yield f"{here}: its record says otherwise than its run and study ({', '.join(others)})"
    if told.battery.control_gaps.keys() != derived["controls"].keys() and "controls" not in differ:
        yield f"{here}: {_OTHERWISE['controls']}"
    if told.nonce is None:
        return
    if study.secret_source == "seed" and told.nonce != seeded_nonce(study.secret, f"slot {row.slot}"):
        yield f"{here}: its nonce is not the one that a seeded study gives slot {row.slot}"
    if study.secret_source == "random" and not re.fullmatch(r"[0-9a-f]{32}", told.nonce):
        yield f"{here}: its nonce was not drawn: it has not 32 hex digits"


def _identity_lies(row: m.HypothesisRow, told: Prediction, run: m.Run, study: m.Study) -> Iterator[str]:
    here, facts = f"hypotheses row {row.id}", {"weights": told.weights, "behaviour": told.behaviour_hash}
    if claim_hash(told.claim, **facts, controls=told.controls, study=study.name) != row.claim_hash:
        yield f"{here}: its hash is not that of its claim, weights and behaviour"
    elsewhere = [name for name, value in filed(told).items() if getattr(row, name) != value]
    if elsewhere or run.study_id != row.study_id:
        yield f"{here}: is filed under another {' and '.join(elsewhere) or 'study'} than its record's"


def _constant_lies(row: m.HypothesisRow, told: Prediction, explored: Data, study: m.Study) -> Iterator[str]:
    here, battery = f"hypotheses row {row.id}", told.battery
    drawn = draw_matched(told.claim.tested, told.shape, str(derive_seed(study.secret, row.claim_hash, "matched")))
    if any(battery.matched.get(role) != components for role, components in drawn.items()):
        yield f"{here}: what it is compared with is not what its seed draws"
    gap, control_gaps = gaps(explored.values, row.calibration["unigram"])
    draft = battery.model_copy(update={"gap": gap, "control_gaps": control_gaps})
    again = fixed(told.claim, draft, explored, told.cap, told.templates)
    if not same(again.model_dump(), battery.model_dump()):
        yield f"{here}: its constants do not follow from its exploration values"
    measured = told.claim.tested.measured(battery.matched)
    if isinstance(measured, Look) and set(measured.names()) != set(told.measures):
        yield f"{here}: was not compared with every role that was measured"
