"""Requests: what they say, that they are logged before they are sent, what a run does without a usable answer."""

from __future__ import annotations

import json
import shlex

import pytest
from commands import lakatos_here
from tampering import tell

from lakatos.agent import RunConfig, investigate, resume
from lakatos.agent.cli import main
from lakatos.agent.llm import LLMFailure, Reply, ScriptedLLM
from lakatos.agent.proposers import ATTEMPTS
from lakatos.experiments_db import open_store
from lakatos.experiments_db.log import tables as m
from lakatos.tools.errors import CheckFailed, Stop, UserError
from lakatos.tools.records import content_hash

pytestmark = pytest.mark.heavy

CLAIM = {"kind": "node_effect", "components": ["m2@END"], "intervention": "denoising", "direction": "supports"}
OTHER = CLAIM | {"components": ["m1@END"]}
GOOD = json.dumps({"hypotheses": [{"claim": CLAIM}, {"claim": OTHER | {"components": ["a1.h99"]}}]})
SECOND = json.dumps({"hypotheses": [{"claim": OTHER}]})


@pytest.fixture
def begin(toy, tmp_path):
    behaviour, model = toy
    db = str(tmp_path / "asked.db")

    def run(llm, **config):
        common = {
            "model": model,
            "proposer": "llm",
            "llm_style": "prompt",
            "seed": 1,
            "attribution_pairs": 2,
            "max_pairs": 16,
        }
        investigate(behaviour, RunConfig(**common | config), db=db, llm=llm)

    return db, run


class Killed(BaseException):
    """What a process dies of in the midst of a request."""


def test_a_request_is_an_event_before_it_is_sent_and_a_row_when_it_has_ended(begin):
    db, run = begin

    class Looking(ScriptedLLM):
        seen: list = []  # noqa: RUF012

        def complete(self, messages, schema=None):
            store = open_store(db)
            self.seen.append((store.all(m.Event)[-1], len(store.all(m.LLMCall))))
            return super().complete(messages, schema)

    llm = Looking(["What?", GOOD, "Prose."])
    run(llm)
    store = open_store(db)
    calls = store.all(m.LLMCall)
    assert [(event.kind, ended) for event, ended in llm.seen] == [("asking", 0), ("asking", 1), ("asking", 2)]
    for (event, _), call, said in zip(llm.seen, calls, llm.asked, strict=True):
        assert event.payload["messages"] == said == call.request["messages"]
        assert event.payload["messages_hash"] == content_hash(said)
        columns = ("round", "purpose", "attempt", "model", "prompt", "prompt_hash")
        assert all(event.payload[name] == getattr(call, name) for name in columns)
    assert store.verify() == []


def test_after_a_kill_in_a_request_the_log_says_what_was_asked_and_the_run_asks_again(begin):
    db, run = begin

    class Dying(ScriptedLLM):
        def complete(self, messages, schema=None) -> Reply:
            if len(self.asked) == 1:
                raise Killed
            return super().complete(messages, schema)

    with pytest.raises(Killed):
        run(Dying(["Not yet."]))
    events = open_store(db).all(m.Event, m.Event.kind == "asking")
    assert [e.payload["attempt"] for e in events] == [1, 2]
    assert len(open_store(db).all(m.LLMCall)) == 1
    llm = ScriptedLLM([GOOD, "Prose."])
    resume(1, db=db, llm=llm)
    store = open_store(db)
    assert [e.payload["attempt"] for e in store.all(m.Event, m.Event.kind == "asking")] == [1, 2, 2, 1]
    assert llm.asked[0] == events[1].payload["messages"], "the first attempt was answered, and is not paid for again"
    assert store.counts().registered == 1
    assert store.verify() == []


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        (["I think it is head 3.", "Sorry, head 3 it is.", "No."], "not JSON"),
        (['{"hypotheses": []}'] * 3, "the list of hypotheses is empty"),
        ([LLMFailure("down")] * 3, "down"),
    ],
)
def test_without_a_usable_answer_the_run_has_failed_and_can_be_resumed(begin, answers, why):
    db, run = begin
    llm = ScriptedLLM(answers)
    with pytest.raises(CheckFailed, match=f"no usable answer in 3 attempts: .*{why}"):
        run(llm)
    store = open_store(db)
    assert len(llm.asked) == ATTEMPTS == len(store.all(m.LLMCall))
    assert store.counts().proposed == 0
    assert store.run(1).status == "failed"
    assert why in store.all(m.Event)[-1].payload["reason"]
    assert store.verify() == []
    again = ScriptedLLM([GOOD, "Prose."])
    resume(1, db=db, llm=again)
    assert len(again.asked) == 2, "what was answered unusably is asked anew"
    assert open_store(db).run(1).status == "finished"
    assert open_store(db).verify() == []


def test_a_failure_that_would_come_again_is_asked_for_once_and_what_it_cost_is_counted(begin):
    db, run = begin
    llm = ScriptedLLM([LLMFailure("no such model", tokens_in=100, tokens_out=7, permanent=True)])
    with pytest.raises(CheckFailed, match="no usable answer in 1 attempt: no such model"):
        run(llm)
    assert len(llm.asked) == 1
    assert open_store(db).run(1).tokens == 107
    assert open_store(db).verify() == []


def test_a_run_without_a_usable_answer_has_exit_status_1(begin, monkeypatch, capsys):
    db, run = begin
    with pytest.raises(CheckFailed):
        run(ScriptedLLM([]), llm_model="scripted")
    monkeypatch.setattr("lakatos.agent.run.graph.language_model", lambda *_: ScriptedLLM([]))
    monkeypatch.setattr("lakatos.agent.run.context.language_model", lambda *_: ScriptedLLM([]))
    monkeypatch.setattr("sys.argv", ["lakatos", "run", "--resume", "--run", "1", "--db", db, "--quiet"])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 1
    assert "no usable answer" in capsys.readouterr().err
    assert open_store(db).run(1).status == "failed"


@pytest.mark.parametrize("given", [[], ["--run", 1]])
def test_a_run_without_an_answer_says_which_command_asks_again_and_it_does(begin, monkeypatch, given):
    db, run = begin
    with pytest.raises(CheckFailed):
        run(ScriptedLLM([]), llm_model="scripted")
    scripts = [ScriptedLLM([]), ScriptedLLM([GOOD, "Prose."])]
    monkeypatch.setattr("lakatos.agent.run.context.language_model", lambda *_: scripts.pop(0))
    status, _, err = lakatos_here("run", "--resume", *given, "--db", db, "--quiet")
    command = " ".join(map(str, ["lakatos", "run", "--resume", *given, "--db", db]))
    assert status == 1
    assert f"no more answers. Nothing is lost: `{command}` asks again." in err
    assert lakatos_here(*shlex.split(command)[1:])[0] == 0
    assert open_store(db).run(1).status == "finished"


def test_resuming_takes_the_newest_run_that_can_go_on(begin, toy, monkeypatch):
    db, run = begin
    _, model = toy
    monkeypatch.setattr("lakatos.agent.run.context.language_model", lambda *_: ScriptedLLM([GOOD, "Prose."]))
    with pytest.raises(Stop):
        run(ScriptedLLM([]), max_tokens=1)
    with pytest.raises(CheckFailed):
        run(ScriptedLLM([]))
    with pytest.raises(UserError, match="does not show toy"):
        run(ScriptedLLM([]), model=f"null:{model}")
    assert [r.status for r in open_store(db).runs()] == ["stopped", "failed", "failed"]
    for finished in (2, 1):
        status, _, err = lakatos_here("run", "--resume", "--db", db, "--quiet", "--max-tokens", 100_000)
        assert status == 0, err
        assert open_store(db).run(finished).status == "finished"
    status, _, err = lakatos_here("run", "--resume", "--db", db, "--quiet")
    assert status == 2
    assert "no run in this database that can go on" in err, "what is not there will not be there the next time"
    assert open_store(db).verify() == []


def test_what_a_failure_may_have_cost_is_marked_as_estimated(begin):
    db, run = begin
    guessed = LLMFailure("timed out", tokens_in=100, estimated=True)
    with pytest.raises(CheckFailed):
        run(ScriptedLLM([guessed, LLMFailure("busy"), guessed]))
    store = open_store(db)
    marked = store.all(m.Event, m.Event.kind == "unanswered")
    assert [e.payload for e in marked] == [{"call": 1, "estimated": True}, {"call": 3, "estimated": True}]
    assert store.verify() == []


def test_the_form_of_an_answer_counts_before_a_request_is_sent(begin):
    """The schema is sent too: servers that take none have it in the message."""
    db, run = begin
    llm = ScriptedLLM([LLMFailure("down")] * 3)
    with pytest.raises(CheckFailed):
        run(llm)
    (call, *_) = open_store(db).all(m.LLMCall)
    said, form = call.request["messages"][0]["content"], json.dumps(call.request["schema"])
    assert len(form) > 1000
    needed = -(-len((said + form).encode()) // 3)
    with pytest.raises(Stop, match=f"of about {needed:,} tokens"):
        run(ScriptedLLM([GOOD]), max_tokens=needed - 1)


def test_a_run_whose_language_model_cannot_be_had_has_failed_too(begin, monkeypatch):
    db, run = begin
    with pytest.raises(CheckFailed):
        run(ScriptedLLM([]))

    def refuse(*_):
        raise UserError("nothing answers at that address")

    monkeypatch.setattr("lakatos.agent.run.context.language_model", refuse)
    with pytest.raises(UserError, match="nothing answers"):
        resume(1, db=db)
    store = open_store(db)
    assert store.run(1).status == "failed"
    assert store.all(m.Event)[-1].payload["reason"] == "nothing answers at that address"
    assert store.verify() == []


def test_a_bad_answer_goes_back_in_short_with_the_reason(begin):
    db, run = begin
    llm = ScriptedLLM(["{ never ending " * 10_000, "```json\n" + GOOD + "\n```", "Prose."])
    run(llm)
    first, second = llm.asked[:2]
    assert second[0] == first[0]
    assert len(second[1]["content"]) < 500
    assert "not JSON" in second[2]["content"]
    assert "line 1 column" in second[2]["content"]
    assert open_store(db).counts().registered == 1
    assert open_store(db).verify() == []


def test_the_second_round_is_told_figures_refusals_and_its_own_words(begin):
    _, run = begin
    llm = ScriptedLLM([GOOD, "Test m1@END next. {{ 7 * 7 }}", SECOND, "More."])
    run(llm, rounds=2)
    first, interpret, second = (asked[0]["content"] for asked in llm.asked[:3])
    assert "nothing yet" in first
    assert "What you said" not in first
    for told in (interpret, second):
        line = next(line for line in told.splitlines() if line.startswith("- m2@END carries toy"))
        assert " of the gap, e = " in line
        assert ", n = 16" in line
    assert "- a1.h99 carries toy (denoising, logit_diff, >= 10% of gap): untestable, a1.h99: layer 1 has" in second
    assert "Test m1@END next. {{ 7 * 7 }}" in second
    assert "decisive test" in second


def test_a_limit_holds_before_a_request_is_sent(begin):
    db, run = begin
    llm = ScriptedLLM([GOOD])
    with pytest.raises(Stop, match=r"--max-tokens 500 leaves too little for the next request, of about [0-9,]+ tokens"):
        run(llm, max_tokens=500)
    assert llm.asked == []
    assert open_store(db).all(m.LLMCall) == []
    assert open_store(db).run(1).status == "stopped"


LIES = {
    "DELETE FROM events WHERE kind = 'asking' AND id = (SELECT MIN(id) FROM events WHERE kind = 'asking')": (
        "was not logged before it was sent"
    ),
    "UPDATE events SET payload = json_set(payload, '$.messages[0].content', 'Guess.') WHERE kind = 'asking'": (
        "what was asked does not have its hash"
    ),
    "UPDATE llm_calls SET request = json_set(request, '$.messages[0].content', request || 'x') WHERE id = 1": (
        "says otherwise of what was asked (messages)"
    ),
    "UPDATE llm_calls SET model = 'another'": "says otherwise of what was asked (model)",
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_about_what_was_asked_is_found(full_copy, lie):
    tell(full_copy, lie)
    assert any(LIES[lie] in problem for problem in open_store(str(full_copy)).verify())


@pytest.mark.parametrize(("propose", "interpret"), [("propose@2", "interpret@1"), ("propose@5", "interpret@2")])
def test_logs_of_the_prompts_before_have_no_such_events_and_read_answers_as_they_were_read_then(
    begin, propose, interpret
):
    """An answer in fences was no answer then: the last of three is one malformed proposal."""
    db, run = begin
    run(ScriptedLLM([GOOD, "Prose."]))
    fenced = f"```json\n{GOOD}\n```"
    tell(
        db,
        "DELETE FROM events WHERE kind = 'asking'",
        f"UPDATE llm_calls SET prompt = '{propose}', response = '{fenced}' WHERE purpose = 'propose'",
        f"UPDATE llm_calls SET prompt = '{interpret}' WHERE purpose = 'interpret'",
    )
    found, old = open_store(db).verify(), propose == "propose@2"
    assert any("before it was sent" in problem for problem in found) == (not old)
    assert any("is not what llm_calls row 1 answered" in problem for problem in found) == old
