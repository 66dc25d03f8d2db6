"""Whole investigations on a tiny model: reproducible, resumable, limited; every failure is a row."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from lakatos.agent import RunConfig, investigate, resume
from lakatos.agent.watch import Silent
from lakatos.experiments_db import open_store
from lakatos.experiments_db.log import ask
from lakatos.experiments_db.log import tables as m
from lakatos.tools.errors import Stop, UserError

pytestmark = pytest.mark.heavy

CONFIG = {"proposer": "attribution", "seed": 3, "hypotheses": 8, "attribution_pairs": 4}


def story(db):
    """What must be equal between two runs with one seed: claims, e-values, verdicts, prompts, slots."""
    store = open_store(str(db))
    return [
        (e.slot, e.text, e.state, e.evidence and e.evidence.model_dump(), [x.uid for x in store.prompts(e.id)])
        for e in store.hypotheses()
    ]


def test_a_run_ends_and_its_log_verifies(toy_log):
    store = open_store(str(toy_log))
    counts = store.counts()
    assert counts.proposed == counts.registered + counts.refused
    assert counts.tested == counts.registered > 4
    assert store.run(1).status == "finished"
    assert store.verify() == []


def test_the_same_seed_gives_the_same_story_and_another_seed_another(toy, toy_log, tmp_path):
    behaviour, model = toy
    investigate(behaviour, RunConfig(model=model, **CONFIG), db=str(tmp_path / "again.db"))
    assert story(tmp_path / "again.db") == story(toy_log)
    investigate(behaviour, RunConfig(model=model, **(CONFIG | {"seed": 4})), db=str(tmp_path / "other.db"))
    uids = [{u for *_, drawn in story(db) for u in drawn} for db in (toy_log, tmp_path / "other.db")]
    assert uids[0] != uids[1]


def test_without_a_seed_the_prompts_cannot_be_known(toy, tmp_path):
    behaviour, model = toy
    config = RunConfig(model=model, proposer="attribution", attribution_pairs=2, hypotheses=2, max_pairs=16)
    for name in ("a", "b"):
        investigate(behaviour, config, db=str(tmp_path / f"{name}.db"))
    secrets = {open_store(str(tmp_path / f"{n}.db")).study.secret for n in ("a", "b")}
    assert len(secrets) == 2
    assert open_store(str(tmp_path / "a.db")).study.secret_source == "random"


def test_rerunning_in_the_same_database_finds_duplicates_only(toy, toy_copy):
    behaviour, model = toy
    before = story(toy_copy)
    investigate(behaviour, RunConfig(model=model, **CONFIG), db=str(toy_copy))
    store = open_store(str(toy_copy))
    assert story(toy_copy) == before
    assert {r.kind for r in store.refused(2)} == {"duplicate"}
    assert store.counts(2).proposed == len(store.refused(2)) > 4


def test_a_stop_at_a_limit_is_resumable_and_what_was_spent_stays_spent(toy, toy_log, tmp_path):
    behaviour, model = toy
    db = str(tmp_path / "limited.db")
    with pytest.raises(Stop, match="max-tests"):
        investigate(behaviour, RunConfig(model=model, max_tests=2, **CONFIG), db=db)
    store = open_store(db)
    assert store.counts().tested == 2
    assert store.run(1).status == "stopped"
    spent = store.run(1).forwards
    with pytest.raises(Stop, match="max-tests"):
        resume(1, db=db)
    assert open_store(db).run(1).forwards == spent, "resuming must not reset the budget"
    resume(1, db=db, limits={"max_tests": None})
    assert len(story(db)) == len(story(toy_log))
    assert open_store(db).verify() == []
    with pytest.raises(UserError, match="has finished"):
        resume(1, db=db)


@pytest.mark.parametrize("limit", [{"max_forwards": 700.0}, {"max_seconds": 0.5}])
def test_other_limits_stop_too(toy, tmp_path, limit):
    behaviour, model = toy
    with pytest.raises(Stop, match=next(iter(limit)).replace("_", "-")):
        investigate(behaviour, RunConfig(model=model, **CONFIG, **limit), db=str(tmp_path / "l.db"))
    assert open_store(str(tmp_path / "l.db")).verify() == []


def test_an_interrupt_finishes_the_batch_and_stops(toy, toy_log, tmp_path):
    behaviour, model = toy
    db = str(tmp_path / "interrupted.db")

    class Impatient(Silent):
        def testing(self, text, pairs, n_max, e, forwards):
            if pairs == 32:
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Stop, match="interrupted"):
        investigate(behaviour, RunConfig(model=model, **CONFIG), db=db, watcher=Impatient())
    assert len(open_store(db).all(m.Draw)) == 2
    resume(1, db=db)
    assert story(db) == story(toy_log)


def test_a_test_that_fails_is_evidence_and_keeps_its_slot(toy, tmp_path, monkeypatch):
    from lakatos.agent.run import testing

    behaviour, model = toy
    real, whole = testing.measure_draws, []

    def failing(draws, members, model):
        """The second claim of the stream fails on its first draw."""
        found = real(draws, members, model)
        whole.append(len(members))
        if len(whole) > 1:
            return found
        nan = FloatingPointError("the clean run of 'x' gave nan")
        return [replace(draw, own=(draw.own[0], nan, *draw.own[2:])) for draw in found]

    monkeypatch.setattr(testing, "measure_draws", failing)
    db = str(tmp_path / "crash.db")
    investigate(behaviour, RunConfig(model=model, **CONFIG), db=db)
    store = open_store(db)
    crashed = store.hypotheses()[1]
    assert crashed.crashed
    assert crashed.state == "inconclusive"
    assert crashed.e == 0.0
    assert "gave nan" in crashed.evidence.error
    assert [e.slot for e in store.hypotheses()] == list(range(1, len(store.hypotheses()) + 1))
    assert store.counts().crashed == 1
    assert store.verify() == []


def test_an_absent_behaviour_is_refused_with_its_figures_and_stays_in_the_record(toy, tmp_path):
    behaviour, model = toy
    db = str(tmp_path / "absent.db")
    with pytest.raises(UserError, match=r"does not show toy: pair accuracy 0\.\d\d"):
        investigate(behaviour, RunConfig(model=f"null:{model}", seed=1), db=db)
    store = open_store(db)
    assert store.run(1).status == "failed"
    assert [e.kind for e in store.all(m.Event)] == ["started", "checked", "failed"]


def test_on_a_model_with_random_weights_nothing_is_confirmed_but_that_there_is_nothing(toy, tmp_path):
    behaviour, model = toy
    db = str(tmp_path / "null.db")
    config = RunConfig(model=f"null:{model}", allow_absent=True, **CONFIG)
    investigate(behaviour, config, db=db)
    store = open_store(db)
    assert store.counts().tested > 4
    assert {e.claim.kind for e in store.hypotheses() if e.state == "confirmed"} <= {"no_effect"}


def test_the_random_proposer_goes_through_the_same_protocol(toy, tmp_path):
    behaviour, model = toy
    db = str(tmp_path / "random.db")
    investigate(behaviour, RunConfig(model=model, rounds=2, **CONFIG | {"proposer": "random", "hypotheses": 3}), db=db)
    store = open_store(db)
    assert store.counts().proposed == 6
    assert {p.round for p in store.all(m.Proposal)} == {1, 2}
    assert store.verify() == []


def test_a_file_of_claims_with_a_refuted_one(toy, tmp_path):
    behaviour, model = toy
    claims = tmp_path / "claims.yaml"
    claims.write_text(
        "- claim: {kind: node_effect, components: [r2@END], threshold: 0.01}\n"
        "  rationale: everything that END knows late\n"
        "- claim: {kind: node_effect, components: [r2@END], direction: opposes}\n"
        "- claim: {kind: node_effect, components: [a9.h9]}\n"
    )
    db = str(tmp_path / "file.db")
    investigate(behaviour, RunConfig(model=model, **CONFIG | {"proposer": "file", "claims": str(claims)}), db=db)
    store = open_store(db)
    supports, opposes = store.hypotheses()
    assert opposes.state == ("refuted" if supports.state == "confirmed" else "inconclusive")
    assert [r.kind for r in store.refused()] == ["untestable"]


def test_exploration_and_confirmation_prompts_never_meet(toy_log):
    store = open_store(str(toy_log))
    run = store.run_row(1)
    from lakatos.tools.behaviour import Behaviour

    behaviour = Behaviour.model_validate(run.behaviour_definition)
    explored = {p.clean for p in behaviour.sample(300, 0, "exploration")}
    tested = {e.prompt["clean"] for h in store.hypotheses() for e in store.prompts(h.id)}
    assert tested
    assert not explored & tested


def test_a_fault_while_calibrating_is_no_refusal_and_the_step_can_be_repeated(toy, tmp_path, monkeypatch):
    from lakatos.agent.run import registering

    behaviour, model = toy
    db = str(tmp_path / "f.db")

    def calibrate_all(*_):
        raise TypeError("unsupported operand")

    with monkeypatch.context() as patched:
        patched.setattr(registering, "calibrate_all", calibrate_all)
        with pytest.raises(TypeError, match="unsupported operand"):
            investigate(behaviour, RunConfig(model=model, **CONFIG), db=db)
    store = open_store(db)
    assert store.refused() == []
    assert store.hypotheses() == []
    assert store.run(1).status == "failed"
    assert store.all(m.Event)[-1].payload["reason"] == "TypeError: unsupported operand"
    assert resume(1, db=db).run.status == "finished"
    assert store.counts().registered == CONFIG["hypotheses"]
    assert store.verify() == []


@pytest.mark.parametrize("error", [UserError("no others"), FloatingPointError("NaN")])
def test_what_a_claim_causes_is_a_refusal(toy, tmp_path, monkeypatch, error):
    from lakatos.agent.run import registering

    def calibrate_all(asked, *_):
        return [error for _ in asked]

    behaviour, model = toy
    db = str(tmp_path / "r.db")
    monkeypatch.setattr(registering, "calibrate_all", calibrate_all)
    investigate(behaviour, RunConfig(model=model, **CONFIG), db=db)
    assert {(r.kind, r.reason) for r in open_store(db).refused()} == {("untestable", str(error))}


def test_changed_weights_are_not_resumed_and_spend_no_slot(toy, tmp_path):
    behaviour, model = toy
    db = str(tmp_path / "w.db")
    with pytest.raises(Stop):
        investigate(behaviour, RunConfig(model=model, max_tests=1, **CONFIG), db=db)
    before = story(db)
    with pytest.raises(UserError, match="other weights"):
        resume(1, db=db, limits={"max_tests": None}, load=_other)
    assert story(db) == before


def test_a_model_that_cannot_be_loaded_refuses_no_proposal(toy, tmp_path, monkeypatch):
    from lakatos.agent.run import graph

    behaviour, model = toy
    db = str(tmp_path / "m.db")
    with monkeypatch.context() as patched:
        patched.setattr(graph, "register_proposals", _killed)
        with pytest.raises(RuntimeError, match="killed"):
            investigate(behaviour, RunConfig(model=model, **CONFIG), db=db)

    def gone(name, **options):
        raise UserError(f"Cannot load the model {name}")

    with pytest.raises(UserError, match="Cannot load"):
        resume(1, db=db, load=gone)
    assert open_store(db).refused() == []


def test_two_processes_on_one_run_do_not_bet_twice(toy, tmp_path, monkeypatch):
    behaviour, model = toy
    db = str(tmp_path / "two.db")
    with pytest.raises(Stop):
        investigate(behaviour, RunConfig(model=model, max_tests=1, **CONFIG), db=db)

    class Meanwhile(Silent):
        """When this process is about to test, another one finishes the run."""

        def testing(self, text, pairs, n_max, e, forwards):
            if open_store(db).run(1).status != "finished":
                resume(1, db=db, limits={"max_tests": None})

    with pytest.raises(UserError, match="Another process"):
        resume(1, db=db, limits={"max_tests": None}, watcher=Meanwhile())
    assert open_store(db).verify() == []


def _killed(*args):
    raise RuntimeError("killed")


def _other(name, **options):
    from lakatos.tools.model import load_model

    return load_model(f"null:{name}", **options)


KILLED = """
import os, random, signal, sys, time
from dataclasses import replace
from pathlib import Path
from lakatos.agent import RunConfig, investigate, resume
from lakatos.experiments_db import open_store
from lakatos.tools.errors import UserError

behaviour, model, folder, wanted, seed = sys.argv[1:]
moments, kills, finished = random.Random(int(seed)), 0, 0


def size(db):
    return sum(p.stat().st_size for p in db.parent.glob(db.name + "*") if p.name.endswith(("db", "wal")))


def begun(db):
    try:
        return db.exists() and bool(open_store(str(db), create=False).runs())
    except UserError:  # killed before the study was founded
        return False


while kills < int(wanted) or not finished:
    db = Path(folder, f"killed{finished}.db")
    resuming = begun(db)
    before = size(db)
    child = os.fork()
    if child == 0:
        if resuming:
            resume(1, db=str(db))
        else:
            config = RunConfig(model=model, proposer="attribution", seed=3, hypotheses=8, attribution_pairs=4)
            investigate(behaviour, config, db=str(db))
        os._exit(0)
    if kills < int(wanted):  # inside of a step: the log grows, and a moment longer
        while os.waitpid(child, os.WNOHANG) == (0, 0) and size(db) == before:
            time.sleep(0.002)
        time.sleep(moments.uniform(0, 0.25))
        try:
            os.kill(child, signal.SIGKILL)
            status = os.waitpid(child, 0)[1]
        except (ChildProcessError, ProcessLookupError):
            status = 0
    else:
        status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        kills += 1
        lies = open_store(str(db)).verify() if begun(db) else []
        assert not lies, (kills, lies)
    else:
        assert open_store(str(db)).run(1).status == "finished", status
        finished += 1
print(kills, finished)
"""


@pytest.mark.parametrize("wanted", [5, pytest.param(50, marks=pytest.mark.accept)])
def test_kill_9_at_so_many_moments_and_resume_ends_like_an_undisturbed_run(toy, toy_log, tmp_path, wanted):
    """Whatever step it falls into: the log verifies, slots and spend stay, and the verdicts are those of the seed."""
    behaviour, model = toy
    seed = secrets.randbits(32)
    print(f"the moments are those of seed {seed}")  # pytest shows it where the test fails
    command = [sys.executable, "-c", KILLED, behaviour, model, str(tmp_path), str(wanted), str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    kills, finished = map(int, done.stdout.split()[-2:])
    assert kills == wanted
    spent = open_store(str(toy_log)).run(1).forwards
    for number in range(finished):
        store = open_store(str(tmp_path / f"killed{number}.db"))
        assert story(tmp_path / f"killed{number}.db") == story(toy_log)
        assert store.verify() == []
        assert store.run(1).forwards > spent * 0.999, "what was run again after a kill is spent too"


def test_a_control_that_is_not_plain_text_is_refused(toy, tmp_path):
    import yaml

    behaviour, model = toy
    content = yaml.safe_load(Path(behaviour).read_text())
    for controls, says in ((["induction"], "plain text"), (["nonesuch"], "nonesuch")):
        path = tmp_path / "mine.yaml"
        path.write_text(yaml.safe_dump(content | {"controls": controls}))
        with pytest.raises(UserError, match=says):
            investigate(str(path), RunConfig(model=model), db=str(tmp_path / "c.db"))


def test_necessity_without_a_control_is_refused_and_a_weakened_battery_too(toy, tmp_path):
    import yaml

    behaviour, model = toy
    path, claims = tmp_path / "mine.yaml", tmp_path / "claims.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(Path(behaviour).read_text()) | {"controls": []}))
    claims.write_text(
        "- claim: {kind: necessity, components: [m2]}\n"
        "- claim: {kind: necessity, components: [m2], specificity: 1.0}\n"
        "- claim: {kind: node_effect, components: [m2@END], matched_random: 1}\n"
    )
    db = str(tmp_path / "n.db")
    config = RunConfig(model=model, proposer="file", claims=str(claims), attribution_pairs=2)
    investigate(str(path), config, db=db)
    store = open_store(db)
    assert store.counts().registered == 0
    assert [r.kind for r in store.refused()] == ["untestable", "malformed", "malformed"]


def test_a_copy_of_the_database_does_not_know_the_prompts_beforehand(toy, tmp_path):
    """Registered in a copy and in the original, the same claim gets different prompts: a rehearsal tells nothing."""
    import shutil

    behaviour, model = toy
    claims = tmp_path / "claims.yaml"
    claims.write_text("- claim: {kind: node_effect, components: [m2@END]}\n")
    config = RunConfig(model=model, proposer="file", claims=str(claims), attribution_pairs=2, max_pairs=16)
    original, copy = tmp_path / "o.db", tmp_path / "c.db"
    open_store(str(original)).engine.dispose()
    shutil.copy(original, copy)
    drawn = []
    for db in (original, copy):
        investigate(behaviour, config, db=str(db))
        store = open_store(str(db))
        drawn.append([e.uid for e in store.prompts(1)])
        assert store.verify() == []
    assert open_store(str(original)).study.secret == open_store(str(copy)).study.secret
    assert drawn[0] != drawn[1]


def test_raised_limits_last_beyond_the_process_that_was_given_them(toy, tmp_path):
    behaviour, model = toy
    db = str(tmp_path / "r.db")
    with pytest.raises(Stop):
        investigate(behaviour, RunConfig(model=model, max_tests=1, **CONFIG), db=db)
    with pytest.raises(Stop):
        resume(1, db=db, limits={"max_tests": 3})
    with pytest.raises(Stop, match="max-tests 3"):
        resume(1, db=db)
    with pytest.raises(UserError, match="model"):
        resume(1, db=db, limits={"model": "other"})


class Asking(Silent):
    """Asks the run through the log while a test is under way, as the review site does."""

    def __init__(self, db, *wishes):
        self.db, self.wishes, self.said = str(db), list(wishes), []

    def testing(self, text, pairs, n_max, e, forwards):
        if pairs and self.wishes:
            store = open_store(self.db, create=False)
            ask(store, 1, self.wishes.pop(0), "Ada")

    def say(self, text):
        self.said.append(text)
        if text.startswith("paused") and self.wishes:
            before = open_store(self.db, create=False).ledger_head()
            time.sleep(0.2)
            assert open_store(self.db, create=False).ledger_head() == before, "a paused run appends nothing"
            ask(open_store(self.db, create=False), 1, self.wishes.pop(0), "Ada")


def test_a_run_that_is_paused_and_resumed_through_the_log_ends_like_an_undisturbed_one(
    toy, toy_log, tmp_path, monkeypatch
):
    monkeypatch.setattr("lakatos.agent.run.interruptions._PAUSE_SECONDS", 0.02)
    behaviour, model = toy
    db = tmp_path / "asked.db"
    watcher = Asking(db, "pause", "resume")
    assert (
        investigate(behaviour, RunConfig(model=model, **CONFIG), db=str(db), watcher=watcher).run.status == "finished"
    )
    assert [text.split(",")[0] for text in watcher.said if text.startswith(("paused", "going on"))] == [
        "paused",
        "going on",
    ]
    assert story(db) == story(toy_log)
    assert open_store(str(db)).verify() == []


def test_a_run_that_is_asked_to_stop_through_the_log_stops_after_the_batch_and_goes_on_later(toy, toy_log, tmp_path):
    behaviour, model = toy
    db = tmp_path / "asked.db"
    with pytest.raises(Stop, match="asked to stop"):
        investigate(behaviour, RunConfig(model=model, **CONFIG), db=str(db), watcher=Asking(db, "stop"))
    assert open_store(str(db)).run(1).status == "stopped"
    assert resume(1, db=str(db)).run.status == "finished"
    assert story(db) == story(toy_log)


class PausingEarly(Asking):
    """Asks for a pause while the model is explored."""

    def phase(self, name, done, of):
        if name == "attribution patching" and done and len(self.wishes) == 2:
            ask(open_store(self.db, create=False), 1, self.wishes.pop(0), "Ada")

    def testing(self, text, pairs, n_max, e, forwards):
        pass


def test_a_paused_run_spends_no_time(toy, tmp_path, monkeypatch):
    monkeypatch.setattr("lakatos.agent.run.interruptions._PAUSE_SECONDS", 3.0)
    behaviour, model = toy
    db = tmp_path / "asked.db"
    watcher = PausingEarly(db, "pause", "resume")
    began = time.monotonic()
    run = investigate(behaviour, RunConfig(model=model, **CONFIG), db=str(db), watcher=watcher).run
    assert not watcher.wishes
    assert run.seconds < time.monotonic() - began - 2.5
