"""Narrow questions: what is asked, what is taken for an answer, what comes of it, and that the log shows all of it."""

from __future__ import annotations

import json
import re

import pytest
from misbehaving import Mode, Server, say
from tampering import copied, tell

from lakatos.agent import RunConfig, investigate, resume
from lakatos.agent.llm import LLMFailure, ScriptedLLM
from lakatos.agent.proposers import ATTEMPTS
from lakatos.experiments_db import open_store
from lakatos.experiments_db.documents.transcript import as_markdown, transcript_document
from lakatos.experiments_db.log import tables as m
from lakatos.tools.errors import CheckFailed, Stop

pytestmark = pytest.mark.heavy

PROSE = "Prose."


def answer(**choices):
    return json.dumps({"rationale": "because it is large", **choices})


def way(position="END", way="enough", direction="supports", predicted=0.3):
    return answer(position=position, way=way, direction=direction, predicted=predicted)


FIRST = [answer(component="m2"), way(), answer(component="m1", predicted=0.1), answer(component="a0.h2@END")]
TEXTS = [
    "m2@END carries toy (denoising, logit_diff, >= 10% of gap)",
    "m1@END carries toy (denoising, logit_diff, >= 10% of gap)",
    "a0.h2@END has no effect on toy (denoising, logit_diff, < 10% of gap)",
]
NO_MORE = answer(more=False, component="none")


@pytest.fixture
def begin(toy, tmp_path):
    behaviour, model = toy
    db = str(tmp_path / "form.db")

    def run(answers, **config):
        llm = answers if not isinstance(answers, list) else ScriptedLLM(answers)
        common = {"model": model, "proposer": "llm", "llm_style": "form", "seed": 1, "attribution_pairs": 2}
        investigate(behaviour, RunConfig(**{**common, "hypotheses": 3, "max_pairs": 16, **config}), db=db, llm=llm)
        return llm

    return db, run


def texts(db):
    store = open_store(db)
    assert store.verify() == []
    return [entry.text for entry in store.hypotheses()]


def test_four_answers_are_a_claim_a_rival_and_a_null(begin):
    db, run = begin
    llm = run([*FIRST, PROSE])
    assert texts(db) == TEXTS
    store = open_store(db)
    assert [e.prediction.role for e in store.hypotheses()] == ["main", "rival", "null"]
    assert [e.prediction.predicted for e in store.hypotheses()] == [0.3, 0.1, 0.0]
    assert store.hypotheses()[1].rationale == "because it is large"
    calls = store.all(m.LLMCall)
    assert [c.purpose for c in calls] == ["question"] * 4 + ["interpret"]
    assert {p.llm_call_id for p in store.proposals(1)} == {calls[3].id}
    assert [list(c.request["schema"]["properties"]) for c in calls[:4]] == [
        ["rationale", "component"],
        ["rationale", "position", "way", "direction", "predicted"],
        ["rationale", "component", "predicted"],
        ["rationale", "component"],
    ]
    first, second, third, fourth = (c.request["schema"]["properties"] for c in calls[:4])
    assert len(first["component"]["enum"]) == 12
    assert second["position"]["enum"][-2:] == ["END", "anywhere"]
    assert "m2" not in third["component"]["enum"]
    assert all(re.fullmatch(r"a\d\.h\d@END|none", name) for name in fourth["component"]["enum"])
    asked = [messages[0]["content"] for messages in llm.asked]
    assert "You chose m2." in asked[1]
    assert f"- {TEXTS[0]}" in asked[2]
    assert all(len(text) < 5000 for text in asked[:4])
    assert "question@1" in as_markdown(transcript_document(store, 1))


def test_questions_go_on_until_the_model_has_no_more(begin):
    db, run = begin
    no_rival, no_null = answer(component="none", predicted=0.05), answer(component="none")
    anywhere = [answer(more=True, component="m1"), way("anywhere", "needed"), no_rival, no_null]
    opposes = [answer(more=True, component="a1.h3"), way("S2", "needed", "opposes"), no_rival, no_null]
    llm = run([*FIRST, *anywhere, *opposes, NO_MORE, PROSE], hypotheses=9)
    assert len(llm.asked) == 14
    assert texts(db) == [
        *TEXTS,
        "m1 necessary for toy (resample, logit_diff, >= 10% of gap)",
        "a1.h3@S2 opposes toy (noising, logit_diff, >= 10% of gap)",
    ]
    again = open_store(db).all(m.LLMCall)[4].request["schema"]["properties"]
    assert "m2" not in again["component"]["enum"], "what is drafted is not offered again"
    assert again["more"] == {"type": "boolean", "enum": [True, False]}


def test_no_more_is_proposed_than_was_asked_for(begin):
    db, run = begin
    llm = run([*FIRST[:2], PROSE], hypotheses=1)
    assert texts(db) == TEXTS[:1]
    assert len(llm.asked) == 3


def test_an_answer_that_was_not_offered_is_asked_again_with_the_reason(begin):
    db, run = begin
    odd = [answer(component="a9.h9"), "It is head 3.", answer(component=" M2 ")]
    llm = run([*odd, *FIRST[1:], PROSE])
    assert texts(db) == TEXTS
    assert "must be one of" in llm.asked[1][-1]["content"]
    assert "a9.h9" in llm.asked[1][-1]["content"]
    assert "not JSON" in llm.asked[2][-1]["content"]
    assert len(llm.asked[2]) == 5


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "null",
        "[1]",
        "{",
        "[" * 10**5,
        '{"rationale": "x"}',
        answer(component=3),
        answer(component=["m2"]),
        answer(component=None),
        answer(component="m2\0"),
        '{"rationale": "\\ud800", "component": "m2"}',
        '{"rationale": NaN, "component": "m2"}',
        answer(component="m2" * 50_000),
    ],
)
def test_nonsense_is_asked_again_and_stored_as_it_came(begin, bad):
    db, run = begin
    llm = run([bad, *FIRST, PROSE])
    assert texts(db) == TEXTS
    assert open_store(db).all(m.LLMCall)[0].response == bad
    assert len(llm.asked[1][-1]["content"]) < 1000


def test_a_question_without_an_answer_is_skipped(begin):
    db, run = begin
    nonsense = ["Head 3."] * ATTEMPTS
    run([*FIRST[:2], *nonsense, FIRST[3], answer(more=True, component="m1"), *nonsense, *nonsense, PROSE])
    assert texts(db) == [TEXTS[0], TEXTS[2]], "the rival is missing, and the drafts of which nothing came"


def test_a_server_that_falls_silent_does_not_take_what_is_drafted(begin):
    db, run = begin
    llm = run([*FIRST[:3], *[LLMFailure("down")] * ATTEMPTS, PROSE])
    assert texts(db) == TEXTS[:2]
    assert len(llm.asked) == 7
    assert {p.llm_call_id for p in open_store(db).proposals(1)} == {3}


def test_without_any_answer_the_run_fails_and_asks_anew_when_it_is_resumed(begin):
    db, run = begin
    with pytest.raises(CheckFailed, match="no usable answer in 6 attempts: the answer is not JSON"):
        run(["Head 3."] * 2 * ATTEMPTS)
    assert open_store(db).counts().proposed == 0
    with pytest.raises(CheckFailed, match="no usable answer in 1 attempt: no such model"):
        resume(1, db=db, llm=ScriptedLLM([LLMFailure("no such model", permanent=True)]))
    assert open_store(db).verify() == []
    again = ScriptedLLM([*FIRST, PROSE])
    resume(1, db=db, llm=again)
    assert len(again.asked) == 5
    assert texts(db) == TEXTS


def test_what_was_answered_is_not_asked_again(begin):
    db, run = begin

    class Killed(BaseException):
        pass

    class Dying(ScriptedLLM):
        def complete(self, messages, schema=None, tools=None):
            if not self._answers:
                raise Killed
            return super().complete(messages, schema, tools)

    with pytest.raises(Killed):
        run(Dying(["Head 3.", *FIRST[:3]]))
    again = ScriptedLLM([FIRST[3], PROSE])
    resume(1, db=db, llm=again)
    assert len(again.asked) == 2
    assert texts(db) == TEXTS
    assert [c.attempt for c in open_store(db).all(m.LLMCall)] == [1, 2, 3, 4, 5, 1]


def test_a_limit_stops_between_two_questions(begin):
    db, run = begin
    llm = ScriptedLLM([*FIRST, PROSE])
    with pytest.raises(Stop, match="max-tokens"):
        run(llm, max_tokens=1400)
    before = len(llm.asked)
    assert 0 < before < 4
    resume(1, db=db, llm=llm, limits={"max_tokens": 10**6})
    assert len(llm.asked) == 5
    assert texts(db) == TEXTS


def test_the_second_round_knows_the_verdicts(begin):
    db, run = begin
    second = [answer(component="m2"), way("anywhere", "needed"), FIRST[2], answer(component="a0.h3@END")]
    llm = run([*FIRST, PROSE, *second, PROSE], rounds=2)
    said = llm.asked[5][0]["content"]
    assert re.search(r"- m2@END carries toy .*: (inconclusive|confirmed).*, n = 16", said)
    assert texts(db)[3:5] == [
        f"{name} necessary for toy (resample, logit_diff, >= 10% of gap)" for name in ("m2", "m1")
    ]
    assert open_store(db).counts().refused == 0
    offered = open_store(db).all(m.LLMCall)[8].request["schema"]["properties"]["component"]["enum"]
    assert "a0.h2@END" not in offered, "it was tested"


def test_over_http_a_small_model_that_talks_around_its_answers(toy, tmp_path):
    behaviour, model = toy
    db = str(tmp_path / "http.db")
    steps = tuple(say(f"<think>Hm.</think>Well: ```json\n{text}\n```") for text in FIRST)
    with Server(Mode("small", "talks", (*steps, say(PROSE)))) as server:
        config = RunConfig(
            model=model,
            proposer="llm",
            llm_style="form",
            llm_model="small",
            llm_base_url=server.url,
            seed=1,
            attribution_pairs=2,
            hypotheses=3,
            max_pairs=16,
        )
        investigate(behaviour, config, db=db)
    assert texts(db) == TEXTS


LIES = {
    "UPDATE llm_calls SET response = replace(response, 'm2', 'm0') WHERE id = 1": "is not what its questions were",
    "UPDATE llm_calls SET response = '{}' WHERE id = 3": "is not what its questions were",
    "UPDATE proposals SET llm_call_id = 1": "does not come from the last answer",
    "UPDATE proposals SET proposal = json_set(proposal, '$.predicted', 0.5) WHERE id = 1": "is not what its questions",
    "UPDATE llm_calls SET purpose = 'propose' WHERE id = 1": "is not one to propose",
}


def test_lies_about_questions_are_found(begin, tmp_path):
    db, run = begin
    run([*FIRST, PROSE])
    for number, (lie, found) in enumerate(LIES.items()):
        copy = copied(db, tmp_path / f"{number}.db")
        tell(copy, lie)
        problems = open_store(str(copy)).verify()
        assert any(found in problem for problem in problems), (lie, problems)
