"""A seal holds what the log was: whatever is changed before it is found, even where every hash was computed anew."""

from __future__ import annotations

import json
import os
import sqlite3
from datetime import UTC, datetime, timedelta

import pytest
from forging import forge
from lies import LIES
from tampering import rechain, tell, unguarded

from lakatos.agent.cli import app
from lakatos.experiments_db import open_store
from lakatos.experiments_db.log import Seal, add_review, append_seal, broken_seals, make_seal, read_seals, seal_file
from lakatos.experiments_db.log import tables as m
from lakatos.tools.errors import UserError


def test_an_honest_log_may_grow(full_copy):
    store = open_store(str(full_copy))
    seals = [make_seal(store)]
    assert broken_seals(store, seals) == []
    add_review(store, 1, author="Eve", decision="score", score=2)
    store.event(1, "note", {})
    seals.append(make_seal(store))
    assert broken_seals(store, seals) == []
    assert seals[1].entries == seals[0].entries + 2
    assert seals[1].rows["reviews"] == seals[0].rows["reviews"] + 1


def test_it_says_what_is_missing(full_copy):
    seal = make_seal(open_store(str(full_copy)))
    tell(full_copy, *next(lie.told for lie in LIES if lie.name == "a retraction never was"))
    rechain(full_copy, renumber=True)
    [told] = broken_seals(open_store(str(full_copy)), [seal])
    assert "cut short" in told
    store = open_store(str(full_copy))
    store.event(1, "note", {})
    assert any("reviews: 4 then, 3 now" in told for told in broken_seals(store, [seal]))


def test_a_log_that_was_begun_again_is_another(full_copy, toy_log):
    seal = make_seal(open_store(str(full_copy)))
    assert broken_seals(open_store(str(toy_log)), [seal])


def test_a_row_of_later_that_says_it_is_of_earlier(full_copy):
    store = open_store(str(full_copy))
    seal = make_seal(store)
    late = seal.model_copy(update={"sealed_at": seal.sealed_at + timedelta(hours=1)})
    add_review(store, 1, author="Eve", decision="score", score=2)
    assert broken_seals(store, [seal]) == []
    [told] = broken_seals(store, [late])
    assert told.startswith("reviews row 5: says it was written at ")


def test_a_forgery_before_a_seal_and_after_it(toy_copy):
    store = open_store(str(toy_copy))
    seal = make_seal(store)
    failed = next(e for e in store.hypotheses() if e.state == "inconclusive" and e.claim.kind == "node_effect")
    assert forge(toy_copy, failed.id) == []
    store = open_store(str(toy_copy))
    assert broken_seals(store, [seal])
    assert broken_seals(store, [make_seal(store)]) == [], "what was forged before nobody sealed is not found"


def test_the_head_with_other_counts_is_another_seal(full_copy):
    store = open_store(str(full_copy))
    seal = make_seal(store)
    lying = seal.model_copy(update={"rows": seal.rows | {"reviews": 1}})
    assert any("reviews: 1 then, 4 now" in told for told in broken_seals(store, [lying]))


class TestFile:
    def test_lines_are_appended(self, full_copy, tmp_path):
        file, store = tmp_path / "log.seal", open_store(str(full_copy))
        one = make_seal(store)
        append_seal(file, one)
        store.event(1, "note", {})
        append_seal(file, make_seal(store))
        assert read_seals(file)[0] == one
        assert [s.entries for s in read_seals(file)] == [one.entries, one.entries + 1]

    def test_seals_out_of_order_are_named(self, full_copy):
        store = open_store(str(full_copy))
        one = make_seal(store)
        later = one.model_copy(update={"entries": one.entries - 1, "sealed_at": one.sealed_at + timedelta(hours=2)})
        assert any("follows" in told for told in broken_seals(store, [one, later]))

    @pytest.mark.parametrize(
        "line",
        ["", "sha256:00", "{}", "[]", "\x00", '{"sealed_at": "yesterday", "entries": 1, "head": "x", "rows": {}}'],
    )
    def test_what_is_no_seal_is_named_and_not_appended_to(self, line, tmp_path, full_copy):
        file = tmp_path / "notes.txt"
        file.write_text(line + "\n")
        with pytest.raises(UserError, match=r"notes.txt(, line 1 is no seal: | holds no seal)"):
            read_seals(file)
        with pytest.raises(UserError):
            append_seal(file, make_seal(open_store(str(full_copy))))
        assert file.read_text() == line + "\n"

    def test_beside_the_database(self):
        assert str(seal_file("a/b.db")) == "a/b.db.seal"
        assert str(seal_file("sqlite:////a/b.db")) == "/a/b.db.seal"
        with pytest.raises(UserError, match="--file"):
            seal_file("postgresql://localhost/log")

    def test_a_folder_that_is_not_there(self, tmp_path):
        seal = Seal(sealed_at=datetime.now(UTC), entries=0, head="sha256:" + "0" * 64, rows={})
        with pytest.raises(UserError, match="Cannot write the seal"):
            append_seal(tmp_path / "none" / "x.seal", seal)


class TestCommand:
    def test_seal_and_verify(self, full_copy, capsys):
        file = f"{full_copy}.seal"
        assert app(["seal", "--db", str(full_copy)], standalone_mode=False) in (None, 0)
        said = capsys.readouterr().out
        assert f"appended to {file}" in said
        [seal] = read_seals(seal_file(str(full_copy)))
        assert seal.head in said
        assert app(["seal", "--db", str(full_copy), "--json"], standalone_mode=False) in (None, 0)
        assert json.loads(capsys.readouterr().out)["head"] == seal.head
        verify = ["verify", "--db", str(full_copy), "--seal", file]
        assert app(verify, standalone_mode=False) == 0
        assert "ok: the log is what 2 seals say it was." in capsys.readouterr().out
        with unguarded(full_copy) as raw:
            raw.execute("UPDATE reviews SET author = 'Eve' WHERE id = 1")
        rechain(full_copy)
        assert app(["verify", "--db", str(full_copy)], standalone_mode=False) == 0
        assert app(verify, standalone_mode=False) == 1
        assert "rows before it were changed" in capsys.readouterr().out

    def test_a_ledger_that_cannot_be_read_is_a_lie_and_no_traceback(self, full_copy, capsys):
        assert app(["seal", "--db", str(full_copy)], standalone_mode=False) in (None, 0)
        with unguarded(full_copy) as raw:
            raw.execute("UPDATE ledger SET rows = 'oops' WHERE id = 3")
        assert app(["verify", "--db", str(full_copy), "--seal", f"{full_copy}.seal"], standalone_mode=False) == 1
        assert "ledger row 3" in capsys.readouterr().out

    def test_an_empty_database(self, tmp_path, capsys):
        db = tmp_path / "empty.db"
        open_store(str(db))
        assert app(["seal", "--db", str(db)], standalone_mode=False) in (None, 0)
        assert app(["verify", "--db", str(db), "--seal", f"{db}.seal"], standalone_mode=False) == 0

    def test_a_database_that_is_not_there(self, tmp_path):
        with pytest.raises(UserError, match="There is no database"):
            app(["seal", "--db", str(tmp_path / "none.db")], standalone_mode=False)
        assert os.listdir(tmp_path) == []


def test_row_counts_are_those_of_the_tables(full_copy):
    seal = make_seal(open_store(str(full_copy)))
    with sqlite3.connect(full_copy) as raw:
        for table in m.CHAINED:
            name = table.__tablename__
            assert seal.rows[name] == raw.execute(f"SELECT COUNT(*) FROM {name}").fetchone()[0]
