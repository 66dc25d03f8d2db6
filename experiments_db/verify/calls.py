"""Requests to language models: numbered, announced, paid for; and conversations, in which nothing was made up."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from lakatos.experiments_db.log import read_turn
from lakatos.experiments_db.log import tables as m
from lakatos.experiments_db.log.runs import TOOL
from lakatos.experiments_db.verify.log import WholeLog
from lakatos.prompts import load_prompt, version_of
from lakatos.tools.records import content_hash

_CONVERSING: Final = ("investigate", "criticise")
_PURPOSES: Final = ("propose", "question", "interpret", *_CONVERSING)
_BY_SCHEMA: Final = ("propose", "question")
_ANNOUNCED: Final = {"propose": 3, "interpret": 2}  # versions of the prompts since which a request is logged before it


def call_lies(run: m.Run, log: WholeLog) -> Iterator[str]:
    """Requests are numbered, were answered or failed, and were made by a run that asks a language model."""
    attempts: dict[tuple[int, str], int] = defaultdict(int)
    asking = [event for event in log.of_run("events", run.id) if event.kind == "asking"]
    for event in asking:
        if event.payload["messages_hash"] != content_hash(event.payload["messages"]):
            yield f"events row {event.id}: what was asked does not have its hash"
    for call in log.of_run("llm_calls", run.id):
        here = f"llm_calls row {call.id}"
        attempts[call.round, call.purpose] += 1
        if call.purpose not in _PURPOSES or call.attempt != attempts[call.round, call.purpose]:
            yield f"{here}: attempt {call.attempt} to {call.purpose} is not the next one of round {call.round}"
        if run.proposer != "llm":
            yield f"{here}: run {run.id} asks no language model"
        if (call.response is None) == (call.error is None):
            yield f"{here}: a request has an answer or an error"
        if min(call.tokens_in, call.tokens_out) < 0 or not (math.isfinite(call.seconds) and call.seconds >= 0):
            yield f"{here}: cost {call.tokens_in} and {call.tokens_out} tokens, {call.seconds} seconds"
        counted = version_of(call.prompt) >= _ANNOUNCED.get(call.purpose, 0)  # what a failure cost
        if call.error is not None and (call.tokens_in or call.tokens_out) and not counted:
            yield f"{here}: failed, and has tokens of an answer"
        if not call.request["messages"] or bool(call.request["schema"]) != (call.purpose in _BY_SCHEMA):
            yield f"{here}: its request is not one to {call.purpose}"
        if ("after" in call.request) != (call.purpose in _CONVERSING):
            yield f"{here}: is part of a conversation, or is none, unlike a request to {call.purpose}"
        yield from _announced(call, asking, log)
        name, _, version = call.prompt.partition("@")
        shipped = load_prompt(name) if name in _PURPOSES else None
        if name != call.purpose or shipped is None:
            yield f"{here}: the prompt {call.prompt} is not one to {call.purpose}"
        elif version == str(shipped.version):
            if call.prompt_hash != shipped.hash:
                yield f"{here}: the prompt {call.prompt} has another hash"
            begins = call.request.get("after") is None
            if begins and run.behaviour_definition["question"] not in call.request["messages"][0]["content"]:
                yield f"{here}: does not ask the question of its behaviour"


def _announced(call: m.LLMCall, asking: list[m.Event], log: WholeLog) -> Iterator[str]:
    """A request was logged before it was sent: the newest such event before its end says the same of it."""
    here, own = f"llm_calls row {call.id}", log.place(call)
    before = [event for event in asking if log.place(event) < own]
    between = [c for c in log.of_run("llm_calls", call.run_id) if before and log.place(before[-1]) < log.place(c) < own]
    if not before or between:
        if version_of(call.prompt) >= _ANNOUNCED.get(call.purpose, 0):
            yield f"{here}: was not logged before it was sent"
        return
    told, said = before[-1].payload, call.request["messages"]
    columns = ("round", "purpose", "attempt", "model", "prompt", "prompt_hash")
    differ = [name for name in columns if told[name] != getattr(call, name)]
    differ += ["messages"] if told["messages_hash"] != content_hash(said) else []
    if differ:
        yield f"{here}: events row {before[-1].id} says otherwise of what was asked ({', '.join(differ)})"


def conversation_lies(run: m.Run, log: WholeLog) -> Iterator[str]:
    """A conversation begins with an overview, goes on from answers of its own, and shows what calls were answered.

    The tools that it offers are in the log.
    """
    calls = {call.id: call for call in log.of_run("llm_calls", run.id) if "after" in call.request}
    events = log.of_run("events", run.id)
    tools = [e for e in events if e.kind == TOOL]
    answers = {(e.payload["request"], e.payload["place"]): e.payload["answer"] for e in tools}
    overviews = [e for e in tools if e.payload["name"] == "overview" and e.payload["request"] is None]
    offered = {e.payload["hash"]: e.payload["tools"] for e in events if e.kind == "offered"}
    for told, forms in offered.items():
        if content_hash(forms) != told:
            yield f"runs row {run.id}: the tools that it offered do not have the hash {told[:20]}"
    for call in calls.values():
        here, after = f"llm_calls row {call.id}", call.request["after"]
        if call.request["tools"] not in offered:
            yield f"{here}: offers tools that the log does not hold"
        if after is None:
            mine = [e for e in overviews if e.payload["by"] == call.request["by"]]
            told_then = [e.payload["answer"] for e in mine if log.place(e) < log.place(call)]
            if not told_then or told_then[-1] not in call.request["messages"][0]["content"]:
                yield f"{here}: begins a conversation with another overview than that in the log"
            continue
        before = calls.get(after)
        if before is None or before.response is None or before.request["by"] != call.request["by"]:
            yield f"{here}: goes on from request {after}, which is no answered one of this investigator"
            continue
        _, made = read_turn(before.response)
        shown = [message["content"] for message in call.request["messages"] if message["role"] == "tool"]
        told_of = [answers.get((after, place)) for place in range(len(shown))]
        if shown != told_of or len(shown) > len(made):
            yield f"{here}: shows other results of tools than those in the log"
