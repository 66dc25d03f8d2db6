"""What a run searched for before it proposed, and what its confirmed nodes explain together: derived again."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import islice
from typing import Any

from lakatos.experiments_db.log import EXPLAINED, SEARCHED, derive_seed, stream_key
from lakatos.experiments_db.log import tables as m
from lakatos.experiments_db.verify.log import WholeLog
from lakatos.tools.behaviour import Behaviour

SEARCHER = "drill"
_MEASURED = ("clean", "corrupted", "patched", "ablated")


def search_lies(run: m.Run, log: WholeLog) -> Iterator[str]:
    """The proposals of a round are those that its search put forward, within the run's budget; none is left out."""
    proposals = log.of_run("proposals", run.id)
    rounds: dict[int, list[m.Proposal]] = {}
    for proposal in proposals:
        rounds.setdefault(proposal.round, []).append(proposal)
    seen, stages = set[int](), list[str]()
    for event in [e for e in log.of_run("events", run.id) if e.kind == SEARCHED]:
        here, number = f"events row {event.id}", event.payload["round"]
        if run.proposer != SEARCHER or number in seen:
            yield f"{here}: run {run.id} does not search, or had searched in round {number} before"
        seen.add(number)
        stages += [stage["stage"] for stage in event.payload["stages"]]
        told = [proposal for stage in event.payload["stages"] for proposal in stage["proposals"]]
        if told != log.put_forward(run, number, rounds.get(number, [])):
            yield f"{here}: round {number} of run {run.id} did not put forward what was searched for"
    if len(stages) != len(set(stages)):
        yield f"runs row {run.id}: went through a stage of its search twice"
    if run.proposer == SEARCHER and rounds.keys() - seen:
        yield f"runs row {run.id}: proposed in round {min(rounds.keys() - seen)} without having searched"
    if run.proposer == SEARCHER and len(proposals) > run.config["hypotheses"]:
        yield f"runs row {run.id}: has {len(proposals)} proposals, and {run.config['hypotheses']} were configured"


def explained_lies(run: m.Run, log: WholeLog) -> Iterator[str]:
    """What the confirmed nodes explain was measured on the prompts that the secret gives, and that none had bet on."""
    for event in [e for e in log.of_run("events", run.id) if e.kind == EXPLAINED]:
        here, told = f"events row {event.id}", event.payload
        own = {row.id: row for row in log.of_run("hypotheses", run.id)}
        if not told["hypotheses"] or not own.keys() >= set(told["hypotheses"]):
            yield f"{here}: explains by claims that run {run.id} does not have"
            continue
        rows = [own[number] for number in told["hypotheses"]]
        named = [c for row in rows for c in row.prediction().claim.tested.components]
        if told["components"] != list(dict.fromkeys(named)):
            yield f"{here}: its components are not those of its claims"
        n = len(told["uids"])
        if any(not _numbers(told[name], n) for name in _MEASURED):
            yield f"{here}: does not hold a finite number of each run for each of its prompts"
        secret = log.row("studies", run.study_id).secret
        key = stream_key([row.claim_hash for row in rows], EXPLAINED)
        bet = {uid for row in own.values() for uid, _ in log.bet_on(row.id, until=log.place(event))}
        behaviour = Behaviour.model_validate(run.behaviour_definition)
        seed = derive_seed(secret, key, "pairs")
        expected = list(islice(behaviour.stream(seed, "confirmation", without=bet), n))
        if [(pair.uid, pair.template) for pair in expected] != list(zip(told["uids"], told["templates"], strict=True)):
            yield f"{here}: was not measured on the prompts that the seed gives"


def _numbers(column: Any, n: int) -> bool:
    return (
        isinstance(column, list)
        and len(column) == n
        and all(isinstance(x, float) for x in column)
        and all(map(math.isfinite, column))
    )
