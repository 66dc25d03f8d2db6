"""Does the log tell the truth about itself? Everything that can be derived is derived again and compared.

    the chain     every entry follows the one before, names rows that are there, and every row has its digest
    the guards    the triggers that make the tables append-only are there
    hypotheses    claim hash, slot, record, constants from the stored exploration values, what it is compared with,
                  seed commitment
    batches       seed, order, drawn after registration; the prompts themselves, generated again
    evidence      e-value, p-value, interval, stopping reason from the stored per-prompt numbers
    re-runs       tolerances from the confirmation, prompts from the seed, the outcome from the stored numbers
    verdicts      no confirmation that a run reported has been undone

It cannot notice a log that was cut short, put back to an earlier copy, or rewritten whole with every hash computed
anew: keep the ledger's head elsewhere, and ask whether the chain still holds it (`lakatos verify --head`).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.orm import Session

from lakatos.experiments_db import models as m
from lakatos.experiments_db.migrations import guards
from lakatos.experiments_db.reading import GENESIS, to_data
from lakatos.experiments_db.reruns import rerun_lies
from lakatos.experiments_db.store import Store, derive_seed, seed_commitment
from lakatos.tools.battery import PER_TEMPLATE, Data, conclude, e_process, fixed, gaps
from lakatos.tools.behaviour import Behaviour
from lakatos.tools.claims import AttentionRole
from lakatos.tools.errors import UserError
from lakatos.tools.evidence import Evidence, crashed
from lakatos.tools.hypothesis import CLAIM, AnyClaim, Battery, atoms, claim_hash, control_names
from lakatos.tools.matched import Shape, draw_matched
from lakatos.tools.multiplicity import slot_weights, success_threshold
from lakatos.tools.pairs import PromptPair
from lakatos.tools.statistics import BATCH, stop_reason

Rows = dict[str, dict[int, Any]]  # table -> id -> row

_SHOWN = 50
_UNREADABLE = (ArithmeticError, LookupError, TypeError, ValueError, UserError, StopIteration)


def verify(store: Store, progress: Callable[[int, int], None]) -> list[str]:
    """The lies found, each naming its row; [] where there are none."""
    lies: list[str] = []
    for lie in _lies(store, progress):
        lies.append(lie)
        if len(lies) == _SHOWN:
            lies.append("... and perhaps more: stopped here")
            break
    return lies


def same(derived: Any, stored: Any) -> bool:
    """Equal, but for the last digits in which two processors' arithmetic may differ (1e-9 relative)."""
    if isinstance(derived, dict) and isinstance(stored, dict):
        return derived.keys() == stored.keys() and all(same(v, stored[k]) for k, v in derived.items())
    if isinstance(derived, list | tuple) and isinstance(stored, list | tuple):
        return len(derived) == len(stored) and all(map(same, derived, stored))
    if isinstance(derived, float) and isinstance(stored, float):
        return math.isclose(derived, stored, rel_tol=1e-9, abs_tol=1e-12)
    return bool(derived == stored)


def _lies(store: Store, progress: Callable[[int, int], None]) -> Iterator[str]:
    with Session(store.engine) as session:
        for name in guards.missing(session.connection()):
            yield f"trigger {name} is missing: rows could have been changed without a word"
        rows: Rows = {t.__tablename__: {r.id: r for r in session.scalars(sa.select(t))} for t in m.CHAINED}
        yield from _chain(session, rows)
        hypotheses = rows["hypotheses"]
        try:
            for study in rows["studies"]:
                yield from _slots([h for h in hypotheses.values() if h.study_id == study])
        except _UNREADABLE as error:
            yield f"hypotheses: a record cannot be read ({type(error).__name__}: {error})"
        for done, row in enumerate(hypotheses.values()):
            progress(done, len(hypotheses))
            try:
                yield from _hypothesis(row, rows)
            except _UNREADABLE as error:
                yield f"hypotheses row {row.id}: cannot be derived again ({type(error).__name__}: {error})"
        for again in rows["reruns"].values():
            try:
                yield from _rerun(again, rows)
            except _UNREADABLE as error:
                yield f"reruns row {again.id}: cannot be derived again ({type(error).__name__}: {error})"
        progress(len(hypotheses), len(hypotheses))
    try:
        for study in rows["studies"].values():
            yield from _verdicts(Store(store.engine, study.name))
    except _UNREADABLE as error:
        yield f"evidence: a record cannot be read, so there are no verdicts ({type(error).__name__})"


def _chain(session: Session, rows: Rows) -> Iterator[str]:
    chained: dict[str, set[int]] = defaultdict(set)
    previous = GENESIS
    for number, entry in enumerate(session.scalars(sa.select(m.LedgerEntry).order_by(m.LedgerEntry.id)), 1):
        if entry.id != number or entry.previous != previous or entry.compute_hash() != entry.entry_hash:
            yield f"ledger row {entry.id}: does not follow from the entry before it"
        previous = entry.entry_hash
        for table, row_id, digest in entry.rows:
            row = rows.get(table, {}).get(row_id)
            if row is None:
                yield f"{table} row {row_id}: is in the ledger and not in the table"
                continue
            chained[table].add(row_id)
            if row.compute_digest() != digest:
                yield f"{table} row {row_id}: is not what was appended{_where(row)}"
    for table, present in rows.items():
        for row_id in sorted(set(present) - chained[table]):
            yield f"{table} row {row_id}: was not appended through the ledger"


def _where(row: m.Row) -> str:
    if isinstance(row, m.Effect):
        return f" (batch {row.batch_id}, prompt {row.uid})"
    return f" (hypothesis {row.hypothesis_id})" if isinstance(row, m.Batch | m.EvidenceRow) else ""


def _slots(hypotheses: list[Any]) -> Iterator[str]:
    ordered = sorted(hypotheses, key=lambda h: h.id)
    for number, row in enumerate(ordered, 1):
        if row.slot != number:
            yield f"hypotheses row {row.id}: has slot {row.slot}, but is registered claim number {number}"
    weights = slot_weights(len(ordered))
    for row, weight in zip(ordered, weights, strict=True):
        if not same(row.record["weight"], float(weight)) or row.record["slot"] != row.slot:
            yield f"hypotheses row {row.id}: its record has another weight or slot than its place gives"


def _hypothesis(row: m.HypothesisRow, rows: Rows) -> Iterator[str]:
    here = f"hypotheses row {row.id}"
    record = row.record
    run, study = rows["runs"][row.run_id], rows["studies"][row.study_id]
    claim = CLAIM.validate_python(record["claim"])
    battery = Battery.model_validate(record["battery"])
    behaviour = Behaviour.model_validate(run.behaviour_definition)
    known = {name: Behaviour.model_validate(definition).hash for name, definition in run.controls.items()}
    controls = {name: known[name] for name in control_names(claim, behaviour)}
    shape = Shape(**record["shape"])
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
    if columns != (*derived, list(atoms(claim, shape.n_heads))) or run.study_id != row.study_id:
        yield f"{here}: is filed under another kind, subject, behaviour, model or study than its claim's"
    proposal = rows["proposals"][row.proposal_id].proposal
    given = behaviour.pairs and len(behaviour.pairs.confirmation)
    told = {
        "behaviour": run.behaviour,
        "model": run.model,
        "family": study.name,
        "alpha": study.alpha,
        "role": proposal.get("role", "main"),
        "predicted": proposal.get("predicted"),
        "corpus": given and {"pairs": given, "whole": 2 * battery.n_max > given},
    }
    differ = [name for name, value in told.items() if not same(value, record[name])]
    if differ or row.behaviour != run.behaviour or row.rationale != proposal.get("rationale", ""):
        yield f"{here}: its record says otherwise than its run, study and proposal ({', '.join(differ) or 'prose'})"
    threshold = success_threshold(record["weight"], study.alpha)
    if not same(record["threshold"], threshold):
        yield f"{here}: its success threshold is not 1 / (alpha x weight)"
    drawn = draw_matched(claim.tested, shape, str(derive_seed(study.secret, row.claim_hash, "matched")))
    if any(battery.matched.get(role) != components for role, components in drawn.items()):
        yield f"{here}: what it is compared with is not what its seed draws"
    values = {name: np.array(column) for name, column in row.calibration["values"].items()}
    explored = Data(values, tuple(row.calibration["templates"]))
    gap, control_gaps = gaps(values, row.calibration["unigram"])
    draft = battery.model_copy(update={"gap": gap, "control_gaps": control_gaps})
    again = fixed(claim, draft, explored, record["cap"], record["templates"])
    if not same(again.model_dump(), battery.model_dump()):
        yield f"{here}: its constants do not follow from its exploration values"
    if record["templates"] != behaviour.frames(claim.family):
        yield f"{here}: its behaviour has another number of templates"
    if isinstance(claim.tested, AttentionRole):
        expected_roles = {*battery.matched["positions"], claim.tested.attends_to}
        if {f"attention.{role}" for role in expected_roles} != set(record["measures"]):
            yield f"{here}: was not compared with every role that was measured"
    if set(record["measures"]) != set(explored.values):
        yield f"{here}: its battery is not the one that was calibrated"
    seed = derive_seed(study.secret, f"{row.claim_hash}|{record['nonce']}", "pairs")
    if seed_commitment(seed) != record["seed_commitment"]:
        yield f"{here}: its seed commitment is not that of its seed"
    if behaviour.hash != run.behaviour_hash:
        yield f"runs row {run.id}: the behaviour's definition does not have its hash"
    blocks = PER_TEMPLATE if battery.unit == "template" else None
    expected = behaviour.stream(seed, "confirmation", claim.family, blocks)
    effects: list[m.Effect] = []
    yield from _batches(row, claim, battery, threshold, str(seed), expected, effects, rows)
    yield from _evidence(row, claim, battery, threshold, effects, rows)


def _batches(
    row: m.HypothesisRow,
    claim: AnyClaim,
    battery: Battery,
    threshold: float,
    seed: str,
    expected: Iterator[PromptPair],
    effects: list[m.Effect],
    rows: Rows,
) -> Iterator[str]:
    """The lies of a test's batches; its effects are gathered on the way."""
    batches = sorted((b for b in rows["batches"].values() if b.hypothesis_id == row.id), key=lambda b: b.number)
    by_batch = defaultdict(list)
    for effect in rows["effects"].values():
        by_batch[effect.batch_id].append(effect)
    for number, batch in enumerate(batches):
        own = sorted(by_batch[batch.id], key=lambda e: e.place)
        if batch.number != number or batch.seed != seed or batch.drawn_at <= row.registered_at:
            yield f"batches row {batch.id}: wrong number or seed, or drawn before registration"
        if len(own) != BATCH:
            yield f"batches row {batch.id}: has {len(own)} prompts, not {BATCH}"
        for effect in own:
            pair = next(expected)
            texts = {name: getattr(pair, name) for name in ("clean", "corrupted", "answer", "wrong")}
            if effect.uid != pair.uid or effect.prompt != texts or effect.template != pair.template:
                yield f"effects row {effect.id}: is not the prompt that the seed gives"
        effects += own
        e = float(e_process(claim, battery, to_data(effects))[-1])
        fired = stop_reason(e, len(effects), battery.n_max, threshold)
        if fired and number < len(batches) - 1:
            yield f"batches row {batch.id}: the stopping rule fired here ({fired}), and the test went on"
        if not same(e, batch.e_after):
            yield f"batches row {batch.id}: its e-value is not that of its prompts ({batch.e_after} against {e})"


def _evidence(
    row: m.HypothesisRow,
    claim: AnyClaim,
    battery: Battery,
    threshold: float,
    effects: list[m.Effect],
    rows: Rows,
) -> Iterator[str]:
    for stored in rows["evidence"].values():
        if stored.hypothesis_id != row.id:
            continue
        frozen = Evidence.model_validate(stored.record)
        if (frozen.e, frozen.p, frozen.stop) != (stored.e, stored.p, stored.stop):
            yield f"evidence row {stored.id}: its e-value, p-value or stop is not the one in its record"
        if frozen.stop == "crashed":
            if frozen != crashed(frozen.error or "", n=len(effects)) or not frozen.error:
                yield f"evidence row {stored.id} (hypothesis {row.id}): claims a crash and something else too"
            continue
        again = conclude(claim, battery, threshold, to_data(effects), row.claim_hash)
        names = [k for k, v in again.model_dump().items() if not same(v, frozen.model_dump()[k])]
        if names:
            yield f"evidence row {stored.id} (hypothesis {row.id}): {', '.join(names)} do not follow from its prompts"
        if again.stop == "interrupted":
            yield f"evidence row {stored.id}: was frozen although its stopping rule had not fired"


def _rerun(again: m.Rerun, rows: Rows) -> Iterator[str]:
    row = rows["hypotheses"][again.hypothesis_id]
    batches = {b.id: b.number for b in rows["batches"].values() if b.hypothesis_id == row.id}
    effects = [e for e in rows["effects"].values() if e.batch_id in batches]
    effects.sort(key=lambda e: (batches[e.batch_id], e.place))
    yield from rerun_lies(again, row, rows["runs"][row.run_id], effects)


def _verdicts(store: Store) -> Iterator[str]:
    judged = store.judgements()
    runs = sa.select(m.Run.id).where(m.Run.study_id == store.study.id)
    for event in store.all(m.Event, m.Event.kind == "finished", m.Event.run_id.in_(runs)):
        for hypothesis_id in event.payload.get("confirmed", []):
            if hypothesis_id not in judged or judged[hypothesis_id].state != "confirmed":
                yield f"events row {event.id}: reported hypothesis {hypothesis_id} as confirmed; its rows do not say so"
