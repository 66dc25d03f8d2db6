"""kill -9, Ctrl-C and Ctrl-C twice in the midst of a request: the log says so, nothing is paid for twice."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import time
from contextlib import closing
from unittest import mock

import pytest
from commands import Forked, lakatos_here
from misbehaving import Held, Mode, Server, say

from lakatos.agent import RunConfig, investigate, resume
from lakatos.agent.llm import ScriptedLLM
from lakatos.experiments_db import Store, open_store
from lakatos.experiments_db.log import tables as m
from lakatos.tools.errors import Stop

pytestmark = pytest.mark.heavy

CLAIM = {"kind": "node_effect", "components": ["m2@END"], "intervention": "denoising", "direction": "supports"}
PROPOSED = json.dumps({"hypotheses": [{"claim": CLAIM}]})
WORDS = "It is head 3."
AT_MOST = 120  # seconds that something may take which takes a few; a request may take much longer here
LIMITS = {"--llm-timeout": 3600, "--max-tokens": 100_000}


@pytest.fixture(autouse=True)
def _no_key(monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def db(tmp_path):
    return str(tmp_path / "interrupted.db")


@pytest.fixture
def begin(toy, db):
    """Start `lakatos run` in a process of its own, against a server that does these steps; gives both."""
    behaviour, model = toy
    started = []

    def start(*steps):
        server = Server(Mode("own", "as a test says", steps))
        server.__enter__()
        options = {
            "--model": model,
            "--proposer": "llm",
            "--llm-style": "prompt",
            "--llm-model": "m",
            "--llm-base-url": server.url,
            "--db": db,
        }
        options |= {"--seed": 1, "--attribution-pairs": 2, "--max-pairs": 16, **LIMITS}
        words = [str(word) for option in options.items() for word in option]
        process = Forked("run", behaviour, *words)
        started.append((process, server))
        return process, server

    yield start
    for process, server in started:
        process.kill()
        process.communicate()
        server.__exit__()


def messages(server):
    return [body["messages"] for _, _, body in server.requests]


def go_on(db, server, asked):
    """`lakatos run --resume` finishes; in all, so many requests were made."""
    status, _, err = lakatos_here("run", "--resume", "--db", db, "--quiet")
    assert status == 0, err
    assert len(server.requests) == asked
    store = open_store(db)
    assert store.run(1).status == "finished"
    assert store.counts().registered == store.counts().tested == 1
    assert store.verify() == []
    return store


def test_kill_9_in_a_request(begin, db):
    held = Held()
    process, server = begin(held, say(PROPOSED), say("Prose."))
    assert held.came.wait(AT_MOST)
    process.kill()
    assert process.wait(AT_MOST) == -signal.SIGKILL
    store = open_store(db)
    assert [e.kind for e in store.all(m.Event)] == ["started", "checked", "explored", "asking"]
    assert store.all(m.Event)[-1].payload["messages"] == messages(server)[0]
    assert store.all(m.LLMCall) == store.all(m.Proposal) == []
    listed = json.loads(lakatos_here("runs", "--db", db, "--json")[1])["runs"]
    assert [run["status"] for run in listed] == ["running"], "nobody was left to say that it is not"
    assert store.verify() == []
    go_on(db, server, asked=3)
    assert messages(server)[1] == messages(server)[0]


@pytest.mark.parametrize(
    "answered", [pytest.param([WORDS], id="before-the-proposals"), pytest.param([PROPOSED], id="before-the-prose")]
)
def test_kill_9_in_the_second_request_and_the_first_is_not_made_again(begin, db, answered):
    held = Held()
    process, server = begin(*map(say, answered), held, *([say(PROPOSED)] if answered == [WORDS] else []), say("Prose."))
    assert held.came.wait(AT_MOST)
    process.kill()
    process.wait(AT_MOST)
    assert [c.response for c in open_store(db).all(m.LLMCall)] == answered
    store = go_on(db, server, asked=4 if answered == [WORDS] else 3)
    first, second, third, *_ = (e.payload["messages"] for e in store.all(m.Event, m.Event.kind == "asking"))
    assert third == second != first
    assert [c.response for c in store.all(m.LLMCall)] == list(dict.fromkeys([*answered, PROPOSED, "Prose."]))


def test_kill_9_between_two_requests(begin, db):
    held = Held()
    process, server = begin(say(PROPOSED), held, say("Prose."))
    ends = time.monotonic() + AT_MOST
    while not (os.path.exists(db) and _answers(db)):
        assert process.poll() is None
        assert time.monotonic() < ends
        time.sleep(0.01)
    process.kill()
    process.wait(AT_MOST)
    asked = len(server.requests)  # the second one may have been on its way
    assert asked in (1, 2)
    server.mode = Mode("own", "", (say("Prose."),))
    go_on(db, server, asked=asked + 1)
    assert messages(server)[-1] != messages(server)[0]


def _answers(db):
    with closing(sqlite3.connect(db)) as raw:
        try:
            return raw.execute("SELECT COUNT(*) FROM llm_calls").fetchone()[0]
        except sqlite3.OperationalError:  # the tables are not there yet
            return 0


def test_ctrl_c_in_a_request_does_not_wait_for_its_answer(begin, db):
    held = Held()
    process, server = begin(held, say(PROPOSED), say("Prose."))
    assert held.came.wait(AT_MOST)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=AT_MOST)
    assert process.returncode == 3, err
    assert "the request under way is abandoned" in " ".join(err.split())
    assert f"lakatos run --resume --db {db}" in " ".join(err.split())
    store = open_store(db)
    assert [e.kind for e in store.all(m.Event)][-3:] == ["asking", "unanswered", "stopped"]
    (call,) = store.all(m.LLMCall)
    assert (call.response, call.error) == (None, "abandoned by Ctrl-C")
    assert call.tokens_in > server.sizes[0] / 4, "it may be paid for, so it counts"
    assert store.run(1).status == "stopped"
    assert store.run(1).tokens == call.tokens_in
    assert store.verify() == []
    go_on(db, server, asked=3)
    assert messages(server)[1] == messages(server)[0]


def test_a_second_ctrl_c_kills_and_the_run_can_go_on(begin, db):
    """The log is locked, so that the run is still busy with the first one when the second comes."""
    held = Held()
    process, server = begin(held, say(PROPOSED), say("Prose."))
    assert held.came.wait(AT_MOST)
    with closing(sqlite3.connect(db, isolation_level=None)) as raw:
        raw.execute("BEGIN IMMEDIATE")
        process.send_signal(signal.SIGINT)
        while "abandoned" not in (line := process.stderr.readline()):
            assert line, "it ended before it said so"
        process.send_signal(signal.SIGINT)
        raw.execute("ROLLBACK")
    _, err = process.communicate(timeout=AT_MOST)
    assert process.returncode == 130, err
    assert "lakatos: killed. What was measured is in the log" in " ".join(err.split())
    assert f"lakatos run --resume --db {db}" in " ".join(err.split())
    store = open_store(db)
    assert store.run(1).status == "stopped"
    assert store.all(m.Event)[-1].payload == {"reason": "killed by Ctrl-C"}
    assert store.verify() == []
    go_on(db, server, asked=3)


class Interrupting(ScriptedLLM):
    """Ctrl-C in the midst of the request of this number, and what a client does that takes all errors for failures."""

    def __init__(self, answers, at):
        super().__init__(answers)
        self._at = at

    def complete(self, messages, schema=None):
        if len(self.asked) == self._at:
            self.asked.append(list(messages))
            try:
                os.kill(os.getpid(), signal.SIGINT)
            except Exception as error:
                raise AssertionError("was taken for a failure") from error
        return super().complete(messages, schema)


@pytest.mark.parametrize(
    ("answers", "at"),
    [
        pytest.param([], 0, id="first-request"),
        pytest.param([WORDS, WORDS], 2, id="last-attempt"),
        pytest.param([PROPOSED], 1, id="prose"),
    ],
)
def test_ctrl_c_stops_a_run_whatever_it_asks_and_going_on_asks_that_again(toy, db, answers, at):
    behaviour, model = toy
    config = RunConfig(model=model, proposer="llm", llm_style="prompt", seed=1, attribution_pairs=2, max_pairs=16)
    with pytest.raises(Stop, match="interrupted"):
        investigate(behaviour, config, db=db, llm=Interrupting(answers, at))
    store = open_store(db)
    assert [c.error for c in store.all(m.LLMCall)] == [None] * at + ["abandoned by Ctrl-C"]
    assert store.run(1).status == "stopped"
    assert store.verify() == []
    rest = [PROPOSED, "Prose."] if answers != [PROPOSED] else ["Prose."]
    llm = ScriptedLLM(rest)
    resume(1, db=db, llm=llm)
    assert len(llm.asked) == len(rest)
    assert open_store(db).all(m.LLMCall)[-1].response == "Prose."
    assert open_store(db).run(1).status == "finished"
    assert open_store(db).verify() == []


def test_ctrl_c_just_before_a_request_sends_none(toy, db):
    behaviour, model = toy
    llm = ScriptedLLM([PROPOSED])
    real = Store.event

    def event(self, run_id, kind, *rest):
        stored = real(self, run_id, kind, *rest)
        if kind == "asking":
            os.kill(os.getpid(), signal.SIGINT)
        return stored

    config = RunConfig(model=model, proposer="llm", llm_style="prompt", seed=1, attribution_pairs=2, max_pairs=16)
    with mock.patch.object(Store, "event", event), pytest.raises(Stop, match="interrupted"):
        investigate(behaviour, config, db=db, llm=llm)
    assert llm.asked == open_store(db).all(m.LLMCall) == []
    assert open_store(db).verify() == []
