"""Tests: batches from their draws, e-values from the prompts, evidence and extensions from both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from lakatos.experiments_db.log import Tested, derive_seed, seed_key, texts, to_data
from lakatos.experiments_db.log import tables as m
from lakatos.experiments_db.log.row import Row
from lakatos.experiments_db.verify.comparing import same, spent
from lakatos.experiments_db.verify.log import WholeLog
from lakatos.experiments_db.verify.streams import column_lies
from lakatos.tools.behaviour import Behaviour
from lakatos.tools.evidence import Evidence, Prediction, Reach, common_names, conclude, crashed, e_process
from lakatos.tools.statistics import BATCH, PER_TEMPLATE


def batch_lies(row: m.HypothesisRow, log: WholeLog) -> Iterator[str]:
    """What of a test's batches does not follow from their draws, their numbers and the claim's rule."""
    prediction = row.prediction()
    claim, battery = prediction.claim, prediction.battery
    batches, done = log.batches_of.get(row.id, []), list[Tested]()
    yield from _alone_lies(row, prediction, [b for b in batches if b.draw_id is None], log)
    yield from _order_lies(row, batches, log)
    reach = Reach.of(battery)
    for number, batch in enumerate(batches):
        here = f"batches row {batch.id}"
        if batch.number != number or batch.drawn_at <= row.registered_at:
            yield f"{here}: has another number, or was drawn before registration"
        if not spent(batch) or not batch.engine:
            yield f"{here}: spent {batch.forwards} forwards and {batch.seconds} seconds in {batch.engine!r}"
        if batch.draw_id is not None:
            yield from _shared_lies(row, prediction, batch, log)
        done += [prompt for prompt in log.tested(row.id) if prompt.batch == batch.number]
        e = float(e_process(claim, battery, to_data(done))[-1])
        reach = _reach(row, reach, before=batch, log=log)
        fired = reach.stops(e, len(done), prediction.threshold)
        following = batches[number + 1 :]
        if fired and following and _reach(row, reach, before=following[0], log=log).since != len(done):
            yield f"{here}: the stopping rule fired here ({fired}), and the test went on"
        if not same(e, batch.e_after):
            yield f"{here}: its e-value is not that of its prompts ({batch.e_after} against {e})"


def _reach(row: m.HypothesisRow, reach: Reach, before: Row, log: WholeLog) -> Reach:
    """How far a test might go when a row was appended."""
    extensions = [x for x in log.extensions_of.get(row.id, []) if log.place(x) < log.place(before)]
    return Reach.extended(extensions[-1].begun, extensions[-1].pairs) if extensions else reach


def _order_lies(row: m.HypothesisRow, batches: Sequence[m.Batch], log: WholeLog) -> Iterator[str]:
    """A test takes every draw of its streams from the first on, one stream after another."""
    taken = [(draw.stream_id, draw.number) for b in batches if (draw := log["draws"].get(b.draw_id or 0))]
    streams = list(dict.fromkeys(stream for stream, _ in taken))
    for stream in streams:
        numbers = [number for own, number in taken if own == stream]
        if numbers != list(range(len(numbers))):
            yield f"hypotheses row {row.id}: its test left out draws of streams row {stream}"
    if streams != sorted(streams) or taken != sorted(taken):
        yield f"hypotheses row {row.id}: its test went back to a stream that it had left"
    uids = [uid for uid, _ in log.bet_on(row.id)]
    if len(set(uids)) < len(uids):
        yield f"hypotheses row {row.id}: its test bets on a prompt twice"


def _shared_lies(row: m.HypothesisRow, prediction: Prediction, batch: m.Batch, log: WholeLog) -> Iterator[str]:
    """A batch is what a member of a stream takes from a draw."""
    here = f"batches row {batch.id}"
    draw = log.row("draws", batch.draw_id or 0)
    stream = log.row("streams", draw.stream_id)
    if row.claim_hash not in stream.members or row.study_id != stream.study_id:
        yield f"{here}: its claim does not belong to streams row {stream.id}"
    if (batch.seed, batch.drawn_at) != (stream.seed, draw.drawn_at) or log.entry_of(batch) != log.entry_of(draw):
        yield f"{here}: was not drawn and appended with draws row {draw.id}"
    own = batch.own or {}
    if set(own) != set(prediction.measures) - common_names(prediction.claim, prediction.measures).keys():
        yield f"{here}: lacks a number of its claim's battery, or has another"
    yield from (f"{here}: {why}" for why in column_lies(own))


def _alone_lies(
    row: m.HypothesisRow, prediction: Prediction, batches: Sequence[m.Batch], log: WholeLog
) -> Iterator[str]:
    """Batches of before streams: prompts from the claim's own seed."""
    if not batches:
        return
    if prediction.nonce is None:
        yield f"batches row {batches[0].id}: has prompts of its own, and its claim has no seed for them"
        return
    behaviour = Behaviour.model_validate(log.row("runs", row.run_id).behaviour_definition)
    seed = derive_seed(log.row("studies", row.study_id).secret, seed_key(row.claim_hash, prediction.nonce), "pairs")
    blocks = PER_TEMPLATE if prediction.battery.unit == "template" else None
    expected = behaviour.stream(seed, "confirmation", prediction.claim.family, blocks)
    for batch in batches:
        here, own = f"batches row {batch.id}", log.effects_of.get(batch.id, [])
        if batch.seed != str(seed):
            yield f"{here}: its seed is not that of its claim"
        if [e.place for e in own] != list(range(BATCH)):
            yield f"{here}: has {len(own)} prompts, not {BATCH} in their places"
        for effect, pair in zip(own, islice(expected, len(own)), strict=True):
            if (effect.uid, effect.template, effect.prompt) != (pair.uid, pair.template, texts(pair)):
                yield f"effects row {effect.id}: is not the prompt that the seed gives"
            if effect.claim_hash != row.claim_hash or set(effect.measured) != set(prediction.measures):
                yield f"effects row {effect.id}: is not of its claim, or lacks a number of its battery"
            if log.entry_of(effect) != log.entry_of(batch):
                yield f"effects row {effect.id}: was not appended together with batches row {batch.id}"


def evidence_lies(row: m.HypothesisRow, log: WholeLog) -> Iterator[str]:
    """What of a claim's evidence does not follow from the prompts that its test had used."""
    prediction = row.prediction()
    claim, battery = prediction.claim, prediction.battery
    extensions, batches = log.extensions_of.get(row.id, []), log.batches_of.get(row.id, [])
    for number, stored in enumerate(log.evidence_of.get(row.id, [])):
        here = f"evidence row {stored.id}"
        frozen = Evidence.model_validate(stored.record)
        if (frozen.e, frozen.p, frozen.stop) != (stored.e, stored.p, stored.stop):
            yield f"{here}: its e-value, p-value or stop is not the one in its record"
        if number > sum(log.place(x) < log.place(stored) for x in extensions):
            yield f"{here}: the evidence of hypothesis {row.id} was frozen before, and its test was not extended"
        used = {b.number for b in batches if log.place(b) < log.place(stored)}
        done = [prompt for prompt in log.tested(row.id) if prompt.batch in used]
        if frozen.stop == "crashed":
            if frozen != crashed(frozen.error or "", n=len(done)) or not frozen.error:
                yield f"{here} (hypothesis {row.id}): claims a crash and something else too"
            continue
        reach = _reach(row, Reach.of(battery), before=stored, log=log)
        again = conclude(claim, battery, prediction.threshold, to_data(done), row.claim_hash, reach)
        names = [k for k, v in again.model_dump().items() if not same(v, frozen.model_dump()[k])]
        if names:
            yield f"{here} (hypothesis {row.id}): {', '.join(names)} do not follow from its prompts"
        if again.stop == "interrupted":
            yield f"{here}: was frozen although its stopping rule had not fired"
    newest = log.evidence_of.get(row.id, [])[-1:]
    if newest and len(log.evidence_of[row.id]) > len(extensions):
        late = [b for b in batches if log.place(b) > log.place(newest[0])]
        yield from (f"evidence row {newest[0].id}: was frozen before the last batch of its test" for _ in late[:1])


def extension_lies(row: m.HypothesisRow, log: WholeLog) -> Iterator[str]:
    """What is extended had ended without a confirmation, and says how many prompts it had used."""
    for number, extension in enumerate(log.extensions_of.get(row.id, [])):
        here, own = f"extensions row {extension.id}", log.place(extension)
        before = [e for e in log.evidence_of.get(row.id, []) if log.place(e) < own]
        if len(before) != number + 1 or before[-1].stop not in ("exhausted", "futility"):
            yield f"{here}: the test of hypothesis {row.id} had not ended for want of pairs or for futility"
        used = sum(log.place(b) < own for b in log.batches_of.get(row.id, []))
        if extension.begun != BATCH * used or extension.pairs < BATCH or extension.pairs % BATCH:
            yield f"{here}: speaks of {extension.begun} prompts and {extension.pairs} more; {BATCH * used} were used"
