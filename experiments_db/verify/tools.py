"""Calls of tools: each is what somebody called, and what it put forward is what was proposed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from lakatos.experiments_db.log import CALLED, TOOL, read_turn
from lakatos.experiments_db.log import tables as m
from lakatos.experiments_db.verify.log import WholeLog, explores
from lakatos.tools.claim import claim_fields, read_hypothesis
from lakatos.tools.errors import ProposalError


def tool_lies(run: m.Run, log: WholeLog) -> Iterator[str]:
    """Calls are numbered, come from answers of the language model, and what they register is a round's proposals."""
    events = [e for e in log.of_run("events", run.id) if e.kind == TOOL]
    if events and not explores(run):
        yield f"events row {events[0].id}: run {run.id} does not explore with tools"
    calls = {call.id: call for call in log.of_run("llm_calls", run.id)}
    left = {e.id: e for e in log.of_run("events", run.id) if e.kind == CALLED}
    seen, over = set[tuple[int, int]](), set[str]()
    registered: dict[int, m.Event] = {}
    for number, event in enumerate(events, 1):
        here, told = f"events row {event.id}", event.payload
        if told["number"] != number:
            yield f"{here}: call {told['number']} of run {run.id} is not the next one"
        if told["asked"] is not None:
            yield from _asked(event, left.pop(told["asked"], None))
        if told["request"] is not None:
            if (told["request"], told["place"]) in seen:
                yield f"{here}: call {told['place']} of request {told['request']} was made before"
            seen.add((told["request"], told["place"]))
            yield from _called(event, calls.get(told["request"]))
        if told["over"] and (told["name"] != "finish" or told["refused"]):
            yield f"{here}: ends an investigation without finishing"
        if told["request"] is not None and told["by"] in over and not told["refused"]:
            yield f"{here}: was made after its investigator had finished"
        over |= {told["by"]} if told["over"] else set()
        if told["proposals"] and (told["name"] != "register" or told["refused"]):
            yield f"{here}: puts claims forward without registering"
        elif told["proposals"]:
            if told["round"] in registered:
                yield f"{here}: round {told['round']} of run {run.id} had registered before"
            registered[told["round"]] = event
            yield from _put(event, run)
    if explores(run):
        yield from _proposed(run, registered, log)


def _asked(event: m.Event, left: m.Event | None) -> Iterator[str]:
    """Somebody left this call in the log before it was answered, and it was answered once."""
    here, told = f"events row {event.id}", event.payload
    if left is None or left.id > event.id:
        yield f"{here}: answers call {told['asked']}, which nobody had left, or which was answered before"
    elif (left.payload["name"][:80], left.payload["by"]) != (told["name"], told["by"]):
        yield f"{here}: is not the call of events row {left.id}"
    elif told["proposals"]:
        claims = [put["claim"] for put in told["arguments"]["claims"]]
        if claims != _claims(left.payload["arguments"]):
            yield f"{here}: events row {left.id} registers other claims"


def _called(event: m.Event, call: m.LLMCall | None) -> Iterator[str]:
    """The language model's answer has this call."""
    here, told = f"events row {event.id}", event.payload
    if call is None or call.response is None or call.request.get("by") != told["by"]:
        yield f"{here}: comes from request {told['request']}, which is no answered one of this investigator"
        return
    made = read_turn(call.response)[1]
    if told["place"] >= len(made) or made[told["place"]][1][:80] != told["name"]:
        yield f"{here}: llm_calls row {call.id} does not call {told['name']}"
    elif told["name"] == "register" and told["proposals"]:
        claims = _claims(made[told["place"]][2])
        if claims != [put["claim"] for put in told["arguments"]["claims"]]:
            yield f"{here}: llm_calls row {call.id} registers other claims"


def _put(event: m.Event, run: m.Run) -> Iterator[str]:
    """What is put forward is what the arguments say."""
    told = event.payload
    for put, proposal in zip(told["arguments"]["claims"], told["proposals"], strict=True):
        try:
            claim = read_hypothesis({"claim": put["claim"]}, run.behaviour).claim
        except ProposalError as error:
            yield f"events row {event.id}: registers what cannot be read ({error})"
            continue
        said = {"claim": claim_fields(claim), "rationale": put["rationale"], "role": put["role"]}
        said |= {} if put["predicted"] is None else {"predicted": put["predicted"]}
        if said != proposal:
            yield f"events row {event.id}: puts forward another claim than it was asked to register"


def _proposed(run: m.Run, registered: dict[int, m.Event], log: WholeLog) -> Iterator[str]:
    """The proposals of a round are what one call registered, all of them."""
    rounds: dict[int, list[m.Proposal]] = {}
    for proposal in log.of_run("proposals", run.id):
        rounds.setdefault(proposal.round, []).append(proposal)
    for number, own in rounds.items():
        event = registered.get(number)
        if event is None or event.payload["proposals"] != log.put_forward(run, number, own):
            yield f"proposals row {own[0].id}: round {number} of run {run.id} is not what a call registered"
        elif {p.llm_call_id for p in own} != {event.payload["request"]}:
            yield f"proposals row {own[0].id}: does not come from the request that registered it"
    over = any(e.kind == "finished" for e in log.of_run("events", run.id))
    lacking = {number for number in registered.keys() - rounds.keys() if not log.dropped_whole(run, number)}
    if over and lacking:
        lost = registered[min(lacking)]
        yield f"events row {lost.id}: what it registered was never proposed, and run {run.id} has finished"
    total = sum(map(len, rounds.values()))
    if total > run.config["hypotheses"]:
        yield f"runs row {run.id}: has {total} proposals, and {run.config['hypotheses']} were configured"


def _claims(arguments: Any) -> list[Any]:
    """The claims in the arguments of a call, as they came."""
    try:
        read = json.loads(arguments) if isinstance(arguments, str) else arguments
        return [put["claim"] for put in read["claims"]]
    except (ValueError, TypeError, KeyError, RecursionError):
        return []
