"""Kept answers: an exact request is asked once, and a file that is none of ours says how to mend it."""

from __future__ import annotations

import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from misbehaving import MESSAGES, SCHEMA, TOOLS, Mode, Server, say

from lakatos.agent import RunConfig, investigate, resume
from lakatos.agent.llm import CachedLLM, LLMFailure, OpenAILLM, Reply, ScriptedLLM, ToolCall
from lakatos.experiments_db import open_store
from lakatos.experiments_db.log import tables as m
from lakatos.tools.errors import CheckFailed, UserError

CLAIM = "m2 necessary for toy (resample, logit_diff, >= 10% of gap)"
ANSWER = json.dumps({"hypotheses": [{"claim": CLAIM, "rationale": "", "predicted": 0.2, "role": "main"}]})


def test_an_exact_request_is_asked_once_and_costs_nothing_the_second_time(tmp_path):
    path = tmp_path / "answers"
    call = ToolCall("c", "look", "{}")
    whole = Reply("a", 10, 5, estimated=True, finish="stop", form="tools", raw="b", calls=(call,))
    first = CachedLLM(ScriptedLLM([whole, "b", "c", "d"]), path)
    assert first.complete(MESSAGES, tools=TOOLS) == whole
    told = [first.complete(MESSAGES, SCHEMA).text, first.complete(MESSAGES).text, first.complete([]).text]
    assert told == ["b", "c", "d"]
    again = CachedLLM(ScriptedLLM([]), path)
    kept = Reply("a", 0, 0, finish="stop", form="tools", raw="b", calls=(call,), cached=True)
    assert again.complete(MESSAGES, tools=TOOLS) == kept
    assert again.complete(MESSAGES, SCHEMA).text == "b"
    assert again.complete(MESSAGES, tools=[]).text == "c"
    with pytest.raises(LLMFailure):
        CachedLLM(ScriptedLLM([], name="another"), path).complete(MESSAGES)


def test_settings_are_part_of_a_request_and_the_address_is_not(tmp_path):
    path = tmp_path / "answers"
    with Server() as one, Server() as two:
        for server, options in (
            (one, {}),
            (two, {}),
            (one, {"seed": 1}),
            (one, {"max_output": 99}),
            (two, {"seed": 1}),
        ):
            CachedLLM(OpenAILLM("m", base_url=server.url, **options), path).complete(MESSAGES, SCHEMA)
    assert (len(one.requests), len(two.requests)) == (3, 0)


def test_a_failure_is_not_kept_and_an_answer_can_be_asked_for_anew(tmp_path):
    path = tmp_path / "answers"
    llm = CachedLLM(ScriptedLLM([LLMFailure("down"), "first"]), path)
    with pytest.raises(LLMFailure, match="down"):
        llm.complete(MESSAGES)
    assert llm.complete(MESSAGES).text == "first"
    assert CachedLLM(ScriptedLLM(["second"]), path, anew=True).complete(MESSAGES).text == "second"
    assert llm.complete(MESSAGES).text == "second"


def test_many_may_use_one_file(tmp_path):
    path = tmp_path / "answers"

    def work(number):
        llm = CachedLLM(ScriptedLLM(["answer"] * 20), path)
        return [llm.complete([{"role": "user", "content": f"{number % 2} {i % 7}"}]).text for i in range(20)]

    with ThreadPoolExecutor(4) as workers:
        assert list(workers.map(work, range(8))) == [["answer"] * 20] * 8


def other_program(path):
    with closing(sqlite3.connect(path)) as file:
        file.execute("CREATE TABLE answers (a, b)")


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda path: path.write_bytes(b"Dear diary, " * 1000), "not a database"),
        (other_program, "another program's"),
        (lambda path: path.mkdir(), "unable to open"),
    ],
)
def test_a_file_that_is_none_of_ours_is_left_alone(tmp_path, spoil, why):
    path = tmp_path / "answers"
    spoil(path)
    with pytest.raises(UserError, match=f"{why}.*Delete that file.*--llm-cache"):
        CachedLLM(ScriptedLLM([]), path)


@pytest.mark.parametrize("reply", ["", "{", "[1, 2]", '["a", "many", 2]', "null"])
def test_an_answer_that_was_tampered_with_is_refused(tmp_path, reply):
    path = tmp_path / "answers"
    llm = CachedLLM(ScriptedLLM(["yes"]), path)
    llm.complete(MESSAGES)
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        file.execute("UPDATE answers SET reply = ?", (reply,))
    with pytest.raises(UserError, match=r"cannot be read\. Delete that file"):
        llm.complete(MESSAGES)


def test_a_file_that_is_damaged_meanwhile_is_named(tmp_path):
    path = tmp_path / "answers"
    llm = CachedLLM(ScriptedLLM(["yes"]), path)
    path.write_bytes(path.read_bytes()[:100] + b"\xff" * 8000)
    with pytest.raises(UserError, match="Delete that file"):
        llm.complete(MESSAGES)


def configured(server, model, **more):
    common = {
        "model": model,
        "proposer": "llm",
        "llm_style": "prompt",
        "llm_model": "m",
        "llm_base_url": server.url,
        "llm_cache": True,
    }
    return RunConfig(**common, seed=1, attribution_pairs=2, **more)


def forget(tmp_path):
    for path in tmp_path.glob("c.db*"):
        if path.suffix != ".answers":
            path.unlink()


def test_a_second_run_with_the_same_seed_asks_nothing_and_confirms_the_same(toy, tmp_path):
    behaviour, model = toy
    db = str(tmp_path / "c.db")
    found = []
    with Server(Mode("own", "", (say(ANSWER), say("Prose.")))) as server:
        for _ in range(2):
            forget(tmp_path)
            run = investigate(behaviour, configured(server, model), db=db).run
            store = open_store(db)
            assert store.verify() == []
            found.append([(e.text, e.state, e.judgement) for e in store.hypotheses()])
        assert len(server.requests) == 2
    assert found[0] == found[1]
    assert [state for _, state, _ in found[0]] == ["confirmed"]
    assert run.tokens == 0
    answered = [e.payload for e in store.all(m.Event, m.Event.kind == "answered")]
    assert [a.get("cached") for a in answered] == [True, True]
    assert [c.response for c in store.all(m.LLMCall)] == [ANSWER, "Prose."]


def test_a_run_that_failed_is_not_given_its_unusable_answers_again(toy, tmp_path):
    behaviour, model = toy
    db = str(tmp_path / "c.db")
    nonsense = [say(f"Head {i}.") for i in range(3)]
    with Server(Mode("own", "", (*nonsense, say(ANSWER), say("Prose.")))) as server:
        with pytest.raises(CheckFailed):
            investigate(behaviour, configured(server, model), db=db)
        resume(1, db=db)
        assert len(server.requests) == 5
        forget(tmp_path)
        investigate(behaviour, configured(server, model), db=db)
        assert len(server.requests) == 5, "what mended it is what is kept"
    assert [e.text for e in open_store(db).hypotheses()] == [CLAIM]
