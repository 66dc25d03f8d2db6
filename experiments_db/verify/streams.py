"""Streams: who may share one, its nonce and seed, the prompts of its draws, and what was measured for all of them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from lakatos.experiments_db.log import derive_seed, passed_over, seeded_nonce, stream_key, texts
from lakatos.experiments_db.log import tables as m
from lakatos.experiments_db.verify.log import WholeLog
from lakatos.tools.behaviour import Behaviour, PromptPair
from lakatos.tools.evidence import Prediction, common_names
from lakatos.tools.statistics import BATCH, PER_TEMPLATE


def stream_lies(stream: m.Stream, log: WholeLog) -> Iterator[str]:
    """What of a stream does not follow from its claims, its nonce and the study's secret."""
    here = f"streams row {stream.id}"
    study = log.row("studies", stream.study_id)
    members = [log.claim_of(study.id, claim_hash) for claim_hash in stream.members]
    if not members or [row.slot for row in members] != sorted({row.slot for row in members}):
        yield f"{here}: its claims do not stand in the order of their slots, once each"
    for row in members:
        if log.place(row) > log.place(stream):
            yield f"{here}: was opened before hypothesis {row.id} was registered"
    yield from _turns(stream, members, log)
    predictions = [row.prediction() for row in members]
    if len({_asks(p) for p in predictions}) > 1:
        yield f"{here}: its claims do not ask about the same prompts"
    ordinal = sorted(s.id for s in log["streams"].values() if s.study_id == study.id).index(stream.id) + 1
    if study.secret_source == "seed" and stream.nonce != seeded_nonce(study.secret, f"stream {ordinal}"):
        yield f"{here}: its nonce is not the one that a seeded study gives stream {ordinal}"
    if study.secret_source == "random" and not re.fullmatch(r"[0-9a-f]{32}", stream.nonce):
        yield f"{here}: its nonce was not drawn: it has not 32 hex digits"
    if stream.seed != str(derive_seed(study.secret, stream_key(stream.members, stream.nonce), "pairs")):
        yield f"{here}: its seed is not that of its claims and its nonce"
    yield from _draw_lies(stream, members, predictions, log)


def _asks(prediction: Prediction) -> tuple[str, str, str | None, str]:
    """What claims that share a stream have in common."""
    unit = prediction.battery.unit
    return prediction.behaviour_hash, prediction.weights, prediction.claim.family, unit


def _turns(stream: m.Stream, members: Sequence[m.HypothesisRow], log: WholeLog) -> Iterator[str]:
    """A claim has one stream, and another for each extension; none while its evidence is frozen."""
    own = log.place(stream)
    for row in members:
        extensions = sum(log.place(x) < own for x in log.extensions_of.get(row.id, []))
        earlier = sum(s.id < stream.id and row.claim_hash in s.members for s in log.streams_of(row.study_id))
        frozen = sum(log.place(e) < own for e in log.evidence_of.get(row.id, []))
        if max(earlier, frozen) > extensions:
            yield f"streams row {stream.id}: hypothesis {row.id} had prompts before, and its test was not extended"


def _draw_lies(
    stream: m.Stream, members: Sequence[m.HypothesisRow], predictions: Sequence[Prediction], log: WholeLog
) -> Iterator[str]:
    behaviour = Behaviour.model_validate(log.row("runs", members[0].run_id).behaviour_definition)
    unit, family = predictions[0].battery.unit, predictions[0].claim.family
    bet = [prompt for row in members for prompt in log.bet_on(row.id, before=stream.id)]
    blocks = PER_TEMPLATE if unit == "template" else None
    expected = behaviour.stream(int(stream.seed), "confirmation", family, blocks, passed_over(unit, bet))
    told = {row.id: prediction for row, prediction in zip(members, predictions, strict=True)}
    for number, draw in enumerate(log.draws_of.get(stream.id, [])):
        here = f"draws row {draw.id}"
        if draw.number != number or draw.drawn_at <= stream.at:
            yield f"{here}: has another number, or was drawn before its stream was opened"
        yield from _prompt_lies(draw, list(islice(expected, BATCH)), log)
        batches = log.batches_of_draw.get(draw.id, [])
        if not batches:
            yield f"{here}: was measured for no claim"
        wanted = {name for b in batches if b.hypothesis_id in told for name in _in_common(told[b.hypothesis_id])}
        if set(draw.common) != wanted:
            yield f"{here}: does not hold what its claims have in common"
        yield from (f"{here}: {why}" for why in column_lies(draw.common))


def _in_common(prediction: Prediction) -> Iterable[str]:
    return common_names(prediction.claim, prediction.measures).values()


def _prompt_lies(draw: m.Draw, expected: Sequence[PromptPair], log: WholeLog) -> Iterator[str]:
    own = log.prompts_of.get(draw.id, [])
    if [p.place for p in own] != list(range(BATCH)):
        yield f"draws row {draw.id}: has {len(own)} prompts, not {BATCH} in their places"
        return
    entry = log.entry_of(draw)
    for prompt, pair in zip(own, expected, strict=True):
        if (prompt.uid, prompt.template, prompt.prompt) != (pair.uid, pair.template, texts(pair)):
            yield f"prompts row {prompt.id}: is not the prompt that the seed gives"
        if prompt.stream_id != draw.stream_id or log.entry_of(prompt) != entry:
            yield f"prompts row {prompt.id}: was not appended together with draws row {draw.id}"


def column_lies(columns: dict[str, list[float]]) -> Iterator[str]:
    """Measured columns that are not a finite number for each prompt."""
    for name, column in columns.items():
        numbers = isinstance(column, list) and all(isinstance(x, float) and math.isfinite(x) for x in column)
        if not numbers or len(column) != BATCH:
            yield f"{name} is not a number for each of {BATCH} prompts"
