"""The whole loop of `drill` on models whose mechanism is known: found, resumed, and nothing where nothing is."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from contextlib import suppress

import pytest
from tampering import copied, rechain, tell

from lakatos.agent import RunConfig, investigate, resume
from lakatos.experiments_db import open_store
from lakatos.experiments_db.log import EXPLAINED, SEARCHED
from lakatos.experiments_db.mechanism import run_mechanism, study_mechanism
from lakatos.tools.errors import Stop

BEHAVIOUR = "planted_recall"
CONFIG = {"model": "planted:backup", "hypotheses": 20, "attribution_pairs": 12, "seed": 1}
pytestmark = pytest.mark.heavy

LAKATOS = (sys.executable, "-c", "from lakatos.agent.cli import main; main()")


@pytest.fixture(scope="module")
def drilled(made_once):
    """The database of a finished run on the model with a backup. Copy it before changing it."""
    folder = made_once("drilled", lambda f: investigate(BEHAVIOUR, RunConfig(**CONFIG), db=str(f / "run.db")))
    return folder / "run.db"


def told(db):
    """A run's mechanism and evidence, without times."""
    store = open_store(str(db), create=False)
    return run_mechanism(store, 1).document(), [(e.text, e.state, e.e) for e in store.hypotheses()]


def test_what_is_planted_is_found_and_nothing_else(drilled):
    store = open_store(str(drilled), create=False)
    found = run_mechanism(store, 1)
    assert {node.component.partition("@")[0] for node in found.nodes} == {"a0.h0", "a1.h0"}
    assert {(of, spare) for b in found.backups for of in b.of for spare in b.components} == {("a1.h0", "a2.h0")}
    paths = {(p.senders[0].partition("@")[0], r) for p in found.paths for r in p.receivers}
    assert {("a0.h0", "a1.g0.k"), ("a0.h0", "a2.g0.k"), ("a1.h0", "logits")} <= paths
    assert {looks.heads for looks in found.looks} <= {("a0.h0",), ("a1.h0",)}
    assert [set(c.components) for c in found.circuits if c.kind == "sufficiency"] == [{"a0.h0", "m0", "a1.h0"}]
    assert found.explained.restored.mean > 0.9
    assert store.verify() == []


def test_each_stage_is_logged_with_its_cost_and_the_run_keeps_its_budget(drilled):
    store = open_store(str(drilled), create=False)
    events = store.events(1, SEARCHED)
    stages = [stage["stage"] for event in events for stage in event.payload["stages"]]
    assert stages == ["where", "how", "who", "enough", "far"]
    assert all(event.forwards > 0 for event in events[:4])
    assert store.counts().proposed <= CONFIG["hypotheses"]
    assert store.counts().refused == 0, "a candidate that cannot be registered is no candidate"


def test_what_is_explained_is_of_prompts_that_no_claim_was_tested_on(drilled):
    store = open_store(str(drilled), create=False)
    (event,) = store.events(1, EXPLAINED)
    tested = {prompt.uid for entry in store.hypotheses() for prompt in store.prompts(entry.id)}
    assert not tested & set(event.payload["uids"])
    assert len(set(event.payload["uids"])) == 32


MORE = [pytest.param(share, marks=pytest.mark.accept) for share in (0.05, 0.25, 0.65, 0.9)]


@pytest.mark.parametrize("share", [0.45, *MORE])
def test_a_run_that_was_stopped_anywhere_finds_the_same(drilled, tmp_path, share):
    """In the middle of its search; `make accept` stops it at four other places too."""
    whole, db = open_store(str(drilled), create=False), str(tmp_path / "stopped.db")
    with pytest.raises(Stop):
        investigate(BEHAVIOUR, RunConfig(**CONFIG, max_forwards=share * whole.run(1).forwards), db=db)
    found = resume(1, db=db, limits={"max_forwards": None})
    assert found.run.status == "finished"
    assert told(db) == told(drilled)
    assert open_store(db).verify() == []


def test_a_second_run_of_the_study_goes_on_where_the_first_ended(drilled, tmp_path):
    db = copied(drilled, tmp_path / "twice.db")
    investigate(BEHAVIOUR, RunConfig(**CONFIG | {"hypotheses": 6, "seed": 2}), db=str(db))
    store = open_store(str(db), create=False)
    assert store.counts().refused == 0, "nothing is proposed again that is registered"
    assert store.verify() == []
    left = {o.text for o in study_mechanism(store, BEHAVIOUR).open if o.why == "not tested"}
    assert not left & {entry.text for entry in store.hypotheses()}


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.accept)])
def test_the_null_twin_has_no_mechanism(tmp_path, seed):
    """With one seed; `make accept` tries another."""
    config = RunConfig(model=f"planted:none#{seed}", hypotheses=8, attribution_pairs=6, seed=seed, allow_absent=True)
    found = investigate(BEHAVIOUR, config, db=str(tmp_path / "none.db"))
    assert found.empty
    assert found.tested >= 3


STAGES = "$.stages[0].proposals"


@pytest.mark.parametrize(
    ("says", "change"),
    [
        (
            "did not put forward what was searched for",
            f"UPDATE events SET payload = json_remove(payload, '{STAGES}[0]') "
            "WHERE id = (SELECT MIN(id) FROM events WHERE kind = 'searched')",
        ),
        (
            "went through a stage of its search twice",
            "UPDATE events SET payload = json_set(payload, '$.stages[0].stage', 'where') "
            "WHERE id = (SELECT MIN(id) + 1 FROM events WHERE kind = 'searched')",
        ),
        ("proposed in round 1 without having searched", "DELETE FROM events WHERE kind = 'searched' AND id < 6"),
        (
            "had searched in round 1 before",
            "UPDATE events SET payload = json_set(payload, '$.round', 1) "
            "WHERE id = (SELECT MAX(id) FROM events WHERE kind = 'searched')",
        ),
        ("and 3 were configured", "UPDATE runs SET config = json_set(config, '$.hypotheses', 3)"),
        (
            "its components are not those of its claims",
            "UPDATE events SET payload = json_set(payload, '$.components[0]', 'a2.h2') WHERE kind = 'explained'",
        ),
        (
            "explains by claims that run 1 does not have",
            "UPDATE events SET payload = json_set(payload, '$.hypotheses[0]', 99) WHERE kind = 'explained'",
        ),
        (
            "was not measured on the prompts that the seed gives",
            "UPDATE events SET payload = json_set(payload, '$.uids[3]', 'chosen') WHERE kind = 'explained'",
        ),
        (
            "was not measured on the prompts that the seed gives",
            "UPDATE events SET payload = json_set(payload, '$.hypotheses', json_array("
            "json_extract(payload, '$.hypotheses[1]'), json_extract(payload, '$.hypotheses[0]'))) "
            "WHERE kind = 'explained'",
        ),
        (
            "does not hold a finite number of each run",
            "UPDATE events SET payload = json_set(payload, '$.patched', json_array(1.0)) WHERE kind = 'explained'",
        ),
    ],
)
def test_a_lie_about_a_search_or_about_what_is_explained_is_named(drilled, tmp_path, says, change):
    db = copied(drilled, tmp_path / "lie.db")
    tell(db, change)
    lies = rechain(db, renumber=True)
    assert any(says in lie for lie in lies), lies


@pytest.mark.accept
def test_a_drill_that_is_killed_at_any_moment_finds_the_same(drilled, tmp_path):
    db, moments, kills = tmp_path / "killed.db", random.Random(0), 0
    options = [f"--{name.replace('_', '-')}={value}" for name, value in CONFIG.items()]
    command = ["run", BEHAVIOUR, *options]
    while not (db.exists() and any(run.status == "finished" for run in open_store(str(db)).runs())):
        process = subprocess.Popen(
            [*LAKATOS, *command, "--db", str(db), "--quiet"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        with suppress(subprocess.TimeoutExpired):
            assert process.wait(timeout=moments.uniform(4, 12)) == 0
        if process.returncode is None:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
        if db.exists() and open_store(str(db)).runs():
            command = ["run", "--resume"]
            assert open_store(str(db)).verify() == []
    assert kills > 3
    assert told(db) == told(drilled)
