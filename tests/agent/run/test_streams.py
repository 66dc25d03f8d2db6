"""Runs whose claims share prompts: who shares, what a resumed run does, extensions, and what is stored once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from contextlib import suppress
from functools import partial

import pytest
from commands import Forked
from tampering import copied

from lakatos.agent import RunConfig, investigate
from lakatos.agent.run import extend, testing
from lakatos.agent.run.graph import resume
from lakatos.experiments_db import open_store
from lakatos.experiments_db.documents import hypothesis_document
from lakatos.experiments_db.log import tables as m
from lakatos.tools.errors import Stop, UserError
from lakatos.tools.evidence import e_process

LAKATOS = (sys.executable, "-c", "from lakatos.agent.cli import main; main()")
CONFIG = {"proposer": "attribution", "hypotheses": 8, "attribution_pairs": 4, "seed": 3}


def told(store):
    return [(e.text, e.state, e.evidence.model_dump()) for e in store.hypotheses()]


def test_claims_of_a_round_share_a_stream_and_each_ends_by_its_own_rule(toy_copy):
    store = open_store(str(toy_copy))
    entries, (stream,) = store.hypotheses(), store.streams()
    assert stream.members == [e.claim_hash for e in entries]
    assert len({e.evidence.n for e in entries}) > 1
    uids = {e.id: [p.uid for p in store.prompts(e.id)] for e in entries}
    longest = max(uids.values(), key=len)
    assert all(own == longest[: len(own)] for own in uids.values())
    assert len(store.all(m.Prompt)) == len(longest) == 16 * store.drawn(stream.id)


def test_every_claim_has_the_numbers_that_it_would_have_alone(toy, toy_copy):
    from lakatos.experiments_db.audit import remeasure
    from lakatos.tools.model import load_model

    model = load_model(toy[1])
    assert remeasure(open_store(str(toy_copy)), "10%", seed="1", load=lambda _name: model).problems == []


@pytest.mark.heavy
def test_a_stopped_run_goes_on_with_its_stream(toy, toy_copy, tmp_path):
    db = str(tmp_path / "stopped.db")
    whole = open_store(str(toy_copy))
    draws = []
    for number in range(1, 4):
        most = whole.run(1).forwards * number / 4
        first = partial(investigate, toy[0], RunConfig(model=toy[1], max_forwards=most, **CONFIG), db=db)
        with pytest.raises(Stop):
            first() if number == 1 else resume(1, db=db, limits={"max_forwards": most})
        draws.append(len(open_store(db).all(m.Draw)))
    resume(1, db=db, limits={"max_forwards": None})
    assert draws[-1] > draws[0], "it was stopped within the stream too"
    assert told(open_store(db)) == told(whole)
    assert open_store(db).verify() == []


@pytest.mark.heavy
def test_a_limit_on_tests_opens_a_stream_for_so_many(toy, tmp_path):
    db = str(tmp_path / "few.db")
    with pytest.raises(Stop, match="--max-tests"):
        investigate(toy[0], RunConfig(model=toy[1], max_tests=2, **CONFIG), db=db)
    store = open_store(db)
    assert [len(s.members) for s in store.streams()] == [2]
    resume(1, db=db, limits={"max_tests": None})
    assert [len(s.members) for s in store.streams()] == [2, len(store.hypotheses()) - 2]
    assert store.verify() == []


@pytest.mark.heavy
def test_one_failure_is_one_crash(toy, tmp_path, monkeypatch):
    """A claim whose measurement raises is over, and the log has the draw for all others."""
    real, draws = testing.measure_draws, []

    def failing(asked, members, model):
        found = real(asked, members, model)
        draws.append(len(members))
        if len(draws) != 2:
            return found
        return [type(d)(**{**vars(d), "own": (MemoryError("no room"), *d.own[1:])}) for d in found]

    monkeypatch.setattr(testing, "measure_draws", failing)
    db = str(tmp_path / "crash.db")
    investigate(toy[0], RunConfig(model=toy[1], **CONFIG), db=db)
    store = open_store(db)
    assert [e.crashed for e in store.hypotheses()].count(True) == 1
    assert next(e for e in store.hypotheses() if e.crashed).evidence.n == 16
    assert max(e.evidence.n for e in store.hypotheses()) > 32
    assert store.verify() == []


@pytest.mark.heavy
def test_where_every_test_dies_of_one_draw_nothing_of_it_is_kept(toy, tmp_path, monkeypatch):
    def failing(asked, members, model):
        raise_all = tuple(MemoryError("no room") for _ in members)
        return [type(d)(**{**vars(d), "own": raise_all}) for d in real(asked, members, model)]

    real = testing.measure_draws
    monkeypatch.setattr(testing, "measure_draws", failing)
    db = str(tmp_path / "all.db")
    investigate(toy[0], RunConfig(model=toy[1], **CONFIG), db=db)
    store = open_store(db)
    assert all(e.crashed for e in store.hypotheses())
    assert store.all(m.Draw) == []
    assert store.verify() == []


class TestExtending:
    @pytest.fixture
    def ended(self, toy_copy):
        """A log and a claim of it that ended without success."""
        store = open_store(str(toy_copy))
        return toy_copy, next(e for e in store.hypotheses() if e.evidence.stop in ("exhausted", "futility"))

    def test_the_e_value_goes_on_from_where_it_was_on_fresh_prompts(self, ended):
        db, before = ended
        (after,) = extend([str(before.id)], 48, db=str(db))
        store = open_store(str(db))
        assert after.extensions == ((before.evidence.n, 48),)
        assert before.evidence.n < after.evidence.n <= before.evidence.n + 48
        assert after.evidence.e_by_batch[: before.batches] == pytest.approx(before.evidence.e_by_batch)
        path = e_process(after.claim, after.battery, store.data(after.id))
        assert after.evidence.e == pytest.approx(float(path[-1]))
        uids = [p.uid for p in store.prompts(after.id)]
        assert len(set(uids)) == len(uids)
        assert [len(s.members) for s in store.streams()][-1] == 1
        assert store.verify() == []
        document = hypothesis_document(store, after)
        assert [(x.begun, x.pairs) for x in document.extensions] == [(before.evidence.n, 48)]
        assert len(document.streams) == 2

    def test_claims_that_are_extended_together_share_prompts(self, ended):
        db, _ = ended
        store = open_store(str(db))
        ids = [str(e.id) for e in store.hypotheses() if e.evidence.stop in ("exhausted", "futility")][:2]
        assert len(ids) == 2
        extend(ids, 16, db=str(db))
        assert len(store.streams()[-1].members) == 2
        extend(ids, 16, db=str(db))
        assert store.verify() == []

    def test_an_extension_that_was_interrupted_goes_on(self, ended, monkeypatch):
        db, before = ended
        real = testing.measure_draws

        def power_cut(draws, members, model):
            if draws[-1].number == 1:
                raise KeyboardInterrupt
            return real(draws, members, model)

        monkeypatch.setattr(testing, "measure_draws", power_cut)
        with pytest.raises(KeyboardInterrupt):
            extend([str(before.id)], 96, db=str(db))
        monkeypatch.setattr(testing, "measure_draws", real)
        store = open_store(str(db))
        assert store.hypothesis(str(before.id)).state == "testing"
        assert store.verify() == []
        (after,) = extend([str(before.id)], db=str(db))
        assert after.evidence.n > before.evidence.n
        assert len(store.extensions()) == 1
        assert store.verify() == []

    def test_what_cannot_be_extended_is_said_and_nothing_is_appended(self, ended):
        db, before = ended
        store = open_store(str(db))
        confirmed = next(e for e in store.hypotheses() if e.state == "confirmed")
        head = store.ledger_head()
        for key, pairs, says in (
            (str(confirmed.id), 64, "frozen for good"),
            (str(before.id), None, "--pairs"),
            (str(before.id), 8, "at least 16 more pairs"),
            ("99", 64, "no hypothesis '99'"),
        ):
            with pytest.raises(UserError, match=says):
                extend([str(before.id), key], pairs, db=str(db))
        assert store.ledger_head() == head

    @pytest.mark.heavy
    def test_a_run_may_extend_by_itself(self, toy, tmp_path):
        db = str(tmp_path / "more.db")
        investigate(toy[0], RunConfig(model=toy[1], max_pairs=32, extend=32, **CONFIG), db=db)
        store = open_store(db)
        assert store.extensions()
        assert all(e.extensions == ((32, 32),) for e in store.hypotheses() if e.extensions)
        assert all(e.extensions for e in store.hypotheses() if e.evidence.stop == "exhausted")
        assert store.verify() == []


def test_claims_are_set_against_their_rivals_on_common_prompts(toy_copy):
    store = open_store(str(toy_copy))
    rows = {e.id: hypothesis_document(store, e).against for e in store.hypotheses()}
    pairs = {(number, row["id"]): row for number, own in rows.items() for row in own}
    assert pairs, "the attribution proposer puts rivals beside its main claims"
    for (one, other), row in pairs.items():
        back = pairs[other, one]
        assert row["mean"] == pytest.approx(-back["mean"])
        assert (row["low"], row["high"]) == pytest.approx((-back["high"], -back["low"]), abs=1e-3)
        assert row["n"] == min(len(store.data(one)), len(store.data(other)))
        assert row["low"] <= row["mean"] <= row["high"]
    one, other = next(iter(pairs))
    first, second = store.hypothesis(str(one)), store.hypothesis(str(other))
    n = pairs[one, other]["n"]
    x = [hypothesis_document(store, e).prompts[:n] for e in (first, second)]
    mine, theirs = ([prompt.main for prompt in own] for own in x)
    assert pairs[one, other]["mean"] == pytest.approx(sum(a - b for a, b in zip(mine, theirs, strict=True)) / n)


@pytest.mark.heavy
def test_two_processes_extend_one_claim_and_one_of_them_does_it(toy_copy):
    store = open_store(str(toy_copy))
    ended = next(e for e in store.hypotheses() if e.evidence.stop in ("exhausted", "futility"))
    both = [Forked("extend", ended.id, "--pairs", 32, "--db", toy_copy) for _ in range(2)]
    said = [process.communicate(timeout=300) for process in both]
    assert sorted(process.returncode for process in both) in ([0, 0], [0, 2]), said
    assert store.verify() == []
    assert {x.pairs for x in store.extensions()} == {32}


@pytest.mark.accept
def test_an_extension_survives_fifty_kills(toy_log, tmp_path):
    """Killed at any moment and gone on with, again and again: the log verifies each time, and the tests end."""
    db = copied(toy_log, tmp_path / "killed.db")
    store = open_store(str(db))
    ids = [str(e.id) for e in store.hypotheses() if e.evidence.stop in ("exhausted", "futility")]
    kills, moments = 0, random.Random(0)
    while kills < 50:
        reopened = any(store.hypothesis(key).evidence is None for key in ids)
        process = subprocess.Popen(
            [*LAKATOS, "extend", *ids, *([] if reopened else ["--pairs", "512"]), "--db", str(db)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=moments.uniform(1, 7))  # starting takes about three of these
        if process.returncode is None:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
        assert store.verify() == []
        ids = [key for key in ids if store.hypothesis(key).state != "confirmed"]
    extend([key for key in ids if store.hypothesis(key).evidence is None], db=str(db))
    assert store.verify() == []
