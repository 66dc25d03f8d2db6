"""An agent of somebody else's, which leaves calls in the log: answered, bounded, and refused when it has finished."""

from __future__ import annotations

import threading
import time

import pytest

from lakatos.agent import RunConfig, investigate
from lakatos.agent.server import Allowed, relay
from lakatos.agent.server.runs import Runs
from lakatos.experiments_db import open_store
from lakatos.experiments_db.log import CALLED, ask
from lakatos.tools.errors import Stop, UserError

FINISH = {"reason": "this is all", "rivals": ["it is a bias", "it is chance"]}
HOLDS = "m1@END carries toy (denoising, >= 10% of gap)"


class Run:
    """A run in a thread, and calls of its tools by way of the log."""

    def __init__(self, toy, db, **config):
        behaviour, model = toy
        self.db, self.error = db, None
        self.runs = Runs(db, None, Allowed({}, (model,)))
        fields = {"model": model, "proposer": "mcp", "seed": 1, "attribution_pairs": 2, "max_pairs": 32}
        open_store(db, secret_seed="1")
        self.thread = threading.Thread(target=self._investigate, args=(behaviour, RunConfig(**fields | config)))
        self.thread.start()
        while not open_store(db).run_ids() or not open_store(db).events(1, "started"):
            time.sleep(0.05)

    def _investigate(self, behaviour, config):
        try:
            investigate(behaviour, config, db=self.db)
        except (Stop, UserError) as error:
            self.error = error

    def leave(self, name, **arguments):
        return relay.leave(self.runs, 1, "mcp", name, arguments)

    def call(self, name, **arguments):
        return relay.answer(self.runs, 1, self.leave(name, **arguments))

    def ended(self):
        self.thread.join(60)
        assert not self.thread.is_alive()
        store = open_store(self.db)
        assert store.verify() == []
        return store


@pytest.fixture
def begun(toy, tmp_path):
    return lambda **config: Run(toy, str(tmp_path / "outside.db"), **config)


def test_calls_are_bounded_and_a_run_can_still_be_finished(begun):
    run = begun(llm_turns=1)
    for _ in range(2):
        left = [run.leave("tried") for _ in range(8)]
        assert not any(relay.answer(run.runs, 1, call)["refused"] for call in left)
    with pytest.raises(UserError, match="has had its 16 calls: `finish` it"):
        run.leave("tried")
    store = open_store(run.db)
    past = store.event(1, CALLED, {"by": "mcp", "name": "tried", "arguments": {}}).id  # by who asks nobody
    assert "has had its 16 calls" in relay.answer(run.runs, 1, past)["answer"]
    assert "never looked at" in run.call("finish", **FINISH)["answer"]
    assert run.call("finish", **FINISH)["over"]
    assert run.ended().run(1).status == "finished"
    with pytest.raises(UserError, match="Run 1 has finished"):
        run.leave("tried")


def test_calls_that_wait_when_an_investigation_is_finished_are_answered(begun):
    run = begun()
    run.call("overview")
    ask(open_store(run.db), 1, "pause", "test")
    time.sleep(1)  # the run looks every tenth of a second
    registered, *finished = [
        run.leave("register", claims=[{"claim": HOLDS, "rationale": "as effects show"}]),
        run.leave("finish", **FINISH),
        run.leave("finish", **FINISH),
    ]
    late = [run.leave("tried"), run.leave("register", claims=[{"claim": f"not {HOLDS}", "rationale": "too late"}])]
    ask(open_store(run.db), 1, "resume", "test")
    store = run.ended()
    answers = {told["asked"]: told["answer"] for told in store.tool_calls(1)}
    assert answers[registered].startswith("Put forward, 1 together")
    assert answers[finished[1]].startswith("Finished")
    assert all("you have finished" in answers[call] for call in late)
    (entry,) = store.hypotheses(1)
    assert entry.evidence is not None


def test_a_run_that_reached_its_limit_says_who_can_raise_it(begun):
    run = begun(max_forwards=1)
    store = run.ended()
    assert isinstance(run.error, Stop)
    assert store.run(1).status == "stopped"
    with pytest.raises(UserError, match=r"the limit --max-forwards 1 is reached .* only the user can raise it"):
        run.leave("overview")


def test_arguments_that_are_too_large_are_not_stored(begun):
    run = begun()
    with pytest.raises(UserError, match="more than 50,000 characters"):
        run.leave("note", text="x" * 50_000)
    assert not open_store(run.db).events(1, CALLED)
    run.call("finish", **FINISH)
    run.call("finish", **FINISH)
    run.ended()


def test_a_process_gives_way_to_one_that_has_gone_on_with_the_run(begun):
    run = begun()
    run.call("overview")
    open_store(run.db).event(1, "resumed", {"limits": {}, "pid": 1})
    run.thread.join(60)
    assert "Another process is at work on run 1" in str(run.error)
    assert open_store(run.db).run(1).status == "running"
