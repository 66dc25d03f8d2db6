"""Tests: prompts from the seed, e-values from the prompts, evidence from both, re-runs from their own prompts."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from lakatos.experiments_db.log import derive_seed, seed_key, to_data
from lakatos.experiments_db.log import tables as m
from lakatos.experiments_db.verify.comparing import same, spent
from lakatos.experiments_db.verify.log import Log
from lakatos.tools.behaviour import Behaviour
from lakatos.tools.evidence import Evidence, conclude, crashed, e_process
from lakatos.tools.statistics import BATCH, PER_TEMPLATE, stop_reason


def batch_lies(row: m.HypothesisRow, log: Log) -> Iterator[str]:
    """What of a test's batches does not follow from its claim's seed, its numbers and its rule."""
    prediction = row.prediction()
    claim, battery = prediction.claim, prediction.battery
    behaviour = Behaviour.model_validate(log.row("runs", row.run_id).behaviour_definition)
    seed = derive_seed(log.row("studies", row.study_id).secret, seed_key(row.claim_hash, prediction.nonce), "pairs")
    blocks = PER_TEMPLATE if battery.unit == "template" else None
    expected = behaviour.stream(seed, "confirmation", claim.family, blocks)
    threshold, measures = prediction.threshold, set(prediction.measures)
    batches, effects = log.batches_of.get(row.id, []), list[m.Effect]()
    for number, batch in enumerate(batches):
        here, own = f"batches row {batch.id}", log.effects_of.get(batch.id, [])
        if batch.number != number or batch.seed != str(seed) or batch.drawn_at <= row.registered_at:
            yield f"{here}: wrong number or seed, or drawn before registration"
        if not spent(batch) or not batch.engine:
            yield f"{here}: spent {batch.forwards} forwards and {batch.seconds} seconds in {batch.engine!r}"
        if [e.place for e in own] != list(range(BATCH)):
            yield f"{here}: has {len(own)} prompts, not {BATCH} in their places"
        entry = log.appended.get(("batches", batch.id), (0, 0))[0]
        for effect, pair in zip(own, islice(expected, len(own)), strict=True):
            texts = {name: getattr(pair, name) for name in ("clean", "corrupted", "answer", "wrong")}
            if effect.uid != pair.uid or effect.prompt != texts or effect.template != pair.template:
                yield f"effects row {effect.id}: is not the prompt that the seed gives"
            if effect.claim_hash != row.claim_hash or set(effect.measured) != measures:
                yield f"effects row {effect.id}: is not of its claim, or lacks a number of its battery"
            if log.appended.get(("effects", effect.id), (0, 0))[0] != entry:
                yield f"effects row {effect.id}: was not appended together with batches row {batch.id}"
        effects += own
        e = float(e_process(claim, battery, to_data(effects))[-1])
        fired = stop_reason(e, len(effects), battery.n_max, threshold)
        if fired and number < len(batches) - 1:
            yield f"{here}: the stopping rule fired here ({fired}), and the test went on"
        if not same(e, batch.e_after):
            yield f"{here}: its e-value is not that of its prompts ({batch.e_after} against {e})"


def evidence_lies(row: m.HypothesisRow, log: Log) -> Iterator[str]:
    """What of a claim's evidence does not follow from its prompts."""
    prediction = row.prediction()
    claim, battery = prediction.claim, prediction.battery
    effects = log.prompts_of(row.id)
    for stored in log.evidence_of.get(row.id, []):
        here = f"evidence row {stored.id}"
        frozen = Evidence.model_validate(stored.record)
        if (frozen.e, frozen.p, frozen.stop) != (stored.e, stored.p, stored.stop):
            yield f"{here}: its e-value, p-value or stop is not the one in its record"
        if frozen.stop == "crashed":
            if frozen != crashed(frozen.error or "", n=len(effects)) or not frozen.error:
                yield f"{here} (hypothesis {row.id}): claims a crash and something else too"
            continue
        again = conclude(claim, battery, prediction.threshold, to_data(effects), row.claim_hash)
        names = [k for k, v in again.model_dump().items() if not same(v, frozen.model_dump()[k])]
        if names:
            yield f"{here} (hypothesis {row.id}): {', '.join(names)} do not follow from its prompts"
        if again.stop == "interrupted":
            yield f"{here}: was frozen although its stopping rule had not fired"
        if any(log.place(batch) > log.place(stored) for batch in log.batches_of.get(row.id, [])):
            yield f"{here}: was frozen before the last batch of its test"
