"""`lakatos study` and `lakatos extend`: plans, bars, and tests that go on."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from commands import lakatos_here

from lakatos.experiments_db import open_store
from lakatos.experiments_db.store import new_study
from lakatos.experiments_db.verdict import confirmed
from lakatos.tools.errors import UserError


@pytest.mark.heavy
def test_a_planned_study_needs_less_for_each_hypothesis(tmp_path, toy):
    db = tmp_path / "planned.db"
    status, out, _ = lakatos_here("study", "new", "pilot", "--planned", 8, "--db", db)
    assert status == 0
    assert "8 hypotheses planned" in out
    assert "e-value of 200" in out
    options = ["--proposer", "attribution", "--seed", 3, "--hypotheses", 8, "--attribution-pairs", 4]
    options += ["--study", "pilot", "--db", db]
    assert lakatos_here("run", toy[0], "--model", toy[1], *options)[0] == 0
    store = open_store(str(db))
    assert [e.prediction.threshold for e in store.hypotheses()] == pytest.approx([200] * len(store.hypotheses()))
    assert store.verify() == []
    row = json.loads(lakatos_here("study", "list", "--db", db, "--json")[1])["studies"][0]
    assert (row["name"], row["planned"], row["registered"]) == ("pilot", 8, len(store.hypotheses()))
    assert "pilot" in lakatos_here("study", "list", "--db", db)[1]


def test_what_is_no_study_is_refused(tmp_path):
    db = str(tmp_path / "s.db")
    new_study(db, "pilot", planned=3)
    for name, more, says in (
        ("pilot", {}, "already"),
        ("", {}, "printable characters"),
        ("a\nb", {}, "printable characters"),
        ("other", {"alpha": 0.7}, "at most 0.5"),
        ("other", {"planned": 0}, "at least one hypothesis"),
    ):
        with pytest.raises(UserError, match=says):
            new_study(db, name, **more)
    assert open_store(db).studies() == ["pilot"]
    assert lakatos_here("study", "new", "pilot", "--db", db)[0] == 2
    assert lakatos_here("study", "list", "--db", tmp_path / "nowhere.db")[0] == 2


def test_the_plan_is_part_of_the_verdicts(toy_copy):
    """An e-value of 300 is enough for one of eight planned hypotheses, and not for one without a plan or after it."""
    eight = [replace(s, frozen_e=1.0, stop="futility") for s in open_store(str(toy_copy)).slots()][:8]
    for slot, planned, expected in ((0, 8, True), (0, None, False), (7, 8, True), (7, 7, False)):
        slots = [replace(s, planned=planned) for s in eight]
        slots[slot] = replace(slots[slot], frozen_e=300.0, stop="exhausted")
        assert confirmed(slots, 0.05) == [expected and s.slot == slot + 1 for s in slots]


def test_extend_tells_and_prints(toy_copy):
    ended = next(e for e in open_store(str(toy_copy)).hypotheses() if e.evidence.stop in ("exhausted", "futility"))
    status, out, err = lakatos_here("extend", ended.id, "--pairs", 32, "--db", toy_copy, "--json")
    assert status == 0, err
    (row,) = json.loads(out)["hypotheses"]
    assert row["id"] == ended.id
    assert row["n"] > ended.evidence.n
    assert f"{ended.id}: 32 more pairs" in err
    shown = lakatos_here("show", ended.id, "--db", toy_copy)[1]
    assert f"by 32 pairs after {ended.evidence.n}" in shown
    assert "set against" in shown
    assert "stream 1, opened" in shown
    status, _, err = lakatos_here("extend", ended.id, "--db", toy_copy)
    assert status == 2
    assert "--pairs" in err


@pytest.mark.heavy
def test_a_duplicate_of_a_claim_that_lacked_pairs_says_how_it_goes_on(toy, toy_copy, tmp_path):
    ended = next(e for e in open_store(str(toy_copy)).hypotheses() if e.evidence.stop in ("exhausted", "futility"))
    file = tmp_path / "again.yaml"
    file.write_text(f"- {json.dumps(ended.text)}\n")
    options = ["--model", toy[1], "--claims", file, "--proposer", "file", "--attribution-pairs", 4, "--db", toy_copy]
    _, _, err = lakatos_here("run", toy[0], *options)
    assert f"`lakatos extend {ended.id} --pairs N` goes on with its test" in err
    store = open_store(str(toy_copy))
    assert [r.duplicate_of for r in store.refused(2)] == [ended.id]
    assert store.verify() == []
