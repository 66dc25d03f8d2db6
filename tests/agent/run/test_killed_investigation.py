"""kill -9 while a language model explores with tools: after resuming all is as in an undisturbed run."""

from __future__ import annotations

import random
import re
import time

import pytest
from commands import Forked, lakatos_here
from replaying import SCRIPT, Replaying, beginning

from lakatos.experiments_db import open_store
from lakatos.tools.errors import UserError

AT_ITS_END = 120  # seconds


@pytest.fixture(autouse=True)
def _no_key(monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def told(db):
    """What a run registered, with the evidence; and what it measured, call by call, each once."""
    store = open_store(str(db), create=False)
    found = [(e.text, e.state, e.e, e.batches, e.evidence) for e in store.hypotheses()]
    calls = [
        (c["name"], c["arguments"], re.sub("Tools used: .*", "", c["answer"]))  # an overview begins a request anew
        for c in store.tool_calls(1)
        if c["name"] != "overview"
    ]
    return found, calls


def size(db):
    return sum(path.stat().st_size for path in db.parent.glob(f"{db.name}*") if path.name.endswith(("db", "wal")))


def begun(db):
    try:
        return db.exists() and bool(open_store(str(db), create=False).runs())
    except UserError:  # killed before the study was founded
        return False


def killed(command, db, moments):
    """Begin or go on, and kill it inside of a step; whether it was killed before its end."""
    before = size(db)
    process = Forked(*command)
    steps = moments.choice([1, 1, 2, 3])
    while process.poll() is None and steps:  # the log grows, so often, and a moment longer
        now = size(db)
        steps -= now != before
        before = now
        time.sleep(0.002)
    time.sleep(moments.uniform(0, 0.15))
    process.kill()
    process.communicate(AT_ITS_END)
    assert process.returncode in (0, -9), process.returncode
    return process.returncode == -9


def test_an_undisturbed_investigation(investigated_log):
    store = open_store(str(investigated_log), create=False)
    assert store.verify() == []
    assert len(store.hypotheses()) == 4
    assert [c["name"] for c in store.tool_calls(1) if c["refused"]] == ["wait"], "it came after `register`"
    assert store.tool_calls(1)[-1]["over"]


@pytest.mark.parametrize(
    "wanted", [pytest.param(3, marks=pytest.mark.heavy), pytest.param(30, marks=pytest.mark.accept)]
)
def test_kill_9_at_so_many_moments_ends_like_an_undisturbed_run(toy, investigated_log, tmp_path, wanted):
    moments, kills, more = random.Random(wanted), 0, []
    while kills < wanted:
        db = tmp_path / f"killed-{kills}" / "run.db"
        db.parent.mkdir()
        with Replaying(SCRIPT) as server:
            while not (begun(db) and open_store(str(db)).run(1).status == "finished"):
                resuming = ["run", "--resume", "--quiet", "--db", str(db)]
                command = resuming if begun(db) else beginning(toy, db, server.url)
                if kills < wanted:
                    kills += killed(command, db, moments)
                    assert not begun(db) or open_store(str(db)).verify() == []
                else:
                    status, _, err = lakatos_here(*command)
                    assert status == 0, err
        assert told(db) == told(investigated_log)
        calm, store = open_store(str(investigated_log)), open_store(str(db))
        assert store.verify() == []
        more.append(store.run(1).forwards - calm.run(1).forwards)
        answered = [c for c in store.calls(1) if c.response is not None]
        assert len(answered) == len(SCRIPT), "no answer is asked for twice"
    print(f"{kills} kills; more forward passes than undisturbed: {more}")
    assert all(-1e-6 <= own <= 0.25 * calm.run(1).forwards for own in more)
