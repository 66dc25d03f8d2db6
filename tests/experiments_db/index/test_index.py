# ruff: noqa: RUF001 - what people type
"""The index says what the log says, to the last digit, whatever was appended and in whatever state its file is."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tampering import copied

from lakatos.agent.simulation.laboratory import Laboratory
from lakatos.agent.simulation.world import World
from lakatos.experiments_db import open_store
from lakatos.experiments_db.documents import documents, entry_line, hypothesis_document
from lakatos.experiments_db.index import Index, Query, upkeep
from lakatos.experiments_db.index import file as index_file
from lakatos.experiments_db.index import seal as index_seal
from lakatos.experiments_db.index.index import Cell, Page
from lakatos.experiments_db.index.query import NOT_REVIEWED, SORTS
from lakatos.experiments_db.index.refresh import read_state
from lakatos.experiments_db.index.schema import TABLES, schema_of
from lakatos.experiments_db.index.seal import MODULUS, Seal, key_file, user_key
from lakatos.experiments_db.log import add_review
from lakatos.experiments_db.log import tables as m
from lakatos.experiments_db.verdict import STATES, Corrected, selected_level
from lakatos.tools.component import Component
from lakatos.tools.errors import UserError
from lakatos.tools.multiplicity import METHODS

ALL = Query(per_page=10_000)


def laboratory(slots=12, n_max=64):
    return Laboratory(World(5, slots, slots // 2, 1.2, "gaussian"), slots, n_max, 0.05, "index")


def lines(store):
    return [entry_line(entry) for entry in store.hypotheses()]


def brute_cells(rows):
    """The heat map, counted one hypothesis at a time."""
    found = {}
    for row in rows:
        for place in {(c.layer, c.kind, c.index) for c in map(Component.parse, row["components"])}:
            counts, fractions = found.setdefault(place, (Counter(), []))
            counts[row["state"]] += 1
            fractions += [] if row["fraction"] is None else [row["fraction"]]
    return {
        place: Cell(*place, dict(counts), max(fractions, key=abs, default=None))
        for place, (counts, fractions) in found.items()
    }


def assert_same(index, store):
    """Everything the index says, beside what follows from all rows."""
    want, page = lines(store), index.page(ALL)
    assert page.rows == want
    assert json.dumps(page.rows) == json.dumps(want)
    assert page.total == len(want)
    assert index.counts() == store.counts()
    for run in store.runs():
        assert index.counts(run=run.id) == store.counts(run.id)
    assert {(c.layer, c.kind, c.index): c for c in index.cells(Query())} == brute_cells(want)
    facets = index.facets()
    for name in ("state", "kind", "behaviour", "model", "run", "proposer"):
        assert dict(facets[name]) == Counter(row[name] for row in want)
    assert dict(facets["review"]) == Counter(row["review"] or NOT_REVIEWED for row in want)
    said = {(review.hypothesis_id, review.author) for review in store.reviews()}
    assert dict(facets["reviewer"]) == Counter(author for _, author in said)
    judged = store.judgements()
    assert index.level() == selected_level(judged.values(), store.study.alpha)
    for key, judgement in judged.items():
        assert index.judgement(key) == judgement
    for entry in store.hypotheses()[:3]:
        assert index.entry(str(entry.id)) == entry


@pytest.fixture(scope="module")
def lab():
    """A study with everything in it: confirmed, refuted by nobody, crashed, refused, testing, reviewed."""
    lab = laboratory()
    ids = lab.propose([lab.claim(c) for c in lab.world.candidates])
    lab.propose([lab.claim(lab.world.candidates[0])])  # a duplicate
    for number in ids[:9]:
        lab.test([number])

    def crash(_hypothesis, n, _e):
        if n >= 32:
            raise RuntimeError("lost the device")

    lab.test([ids[9]], crash)
    with pytest.raises(KeyboardInterrupt):
        lab.test([ids[10]], lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    for author, decision, number in (("Ada", "accept", 1), ("Grace", "dispute", 1), ("Ada", "replicate", 3)):
        add_review(lab.store, ids[number], author=author, decision=decision, reason="looked")
    add_review(lab.store, ids[2], author="Ada", decision="score", score=4)
    return lab


def copy_of(lab, path):
    """The same study as a file."""
    raw = lab.store.engine.raw_connection()
    with closing(sqlite3.connect(path)) as copy:
        raw.driver_connection.backup(copy)
    return open_store(str(path))


@pytest.fixture
def log(lab, tmp_path):
    """The same study as a file of your own."""
    return copy_of(lab, tmp_path / "log.db")


@pytest.fixture(scope="module")
def still(lab, tmp_path_factory):
    """The same study and its index, for tests that only ask."""
    log = copy_of(lab, tmp_path_factory.mktemp("still") / "log.db")
    index = Index(log)
    index.refresh()
    return log, index


@pytest.fixture
def index(log, still):
    """An index of your own, up to date: a copy of one that was made from the same rows."""
    copied(still[1].file.path, f"{log.engine.url.database}.index")
    index = Index(log)
    assert index.freshness().current
    return index


# -- the same numbers ------------------------------------------------------------------------------------------------


def test_the_index_says_what_the_log_says(log):
    index = Index(log)
    index.refresh()
    assert {row["state"] for row in index.page(ALL).rows} == {"confirmed", "inconclusive", "testing", "registered"}
    assert_same(index, log)


@pytest.mark.heavy
def test_the_index_of_a_real_investigation_equals_its_log(toy_copy):
    store = open_store(str(toy_copy))
    index = Index(store)
    index.refresh()
    assert_same(index, store)
    document = json.loads(json.dumps(documents.log_document(store)))
    assert index.page(ALL).rows == document["hypotheses"]
    for entry in store.hypotheses():
        assert index.entry(entry.claim_hash) == entry
        assert hypothesis_document(store, index.entry(str(entry.id))).text == entry.text
    behaviours = {run.behaviour for run in store.runs()}
    assert [index.counts(behaviour=name) for name in behaviours] == [store.counts()]


@pytest.mark.heavy
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["claim", "test", "part", "crash", "review", "repeat", "note", "look"]), st.integers(0)
        ),
        min_size=3,
        max_size=14,
    )
)
def test_reading_on_equals_reading_anew(steps):
    """Whatever is appended, in whatever order, and whenever the index looks."""
    lab = laboratory(slots=6)
    index, open_tests, registered = Index(lab.store), [], []
    waiting = list(lab.world.candidates)
    for number, (what, k) in enumerate([*steps, ("look", 0)]):
        if what == "claim" and waiting:
            registered += lab.propose([lab.claim(waiting.pop())])
            open_tests.append(registered[-1])
        elif what == "repeat" and registered:
            lab.propose([lab.claim(lab.registered[registered[0]].claim.components)])
        elif what == "test" and open_tests:
            lab.test([open_tests.pop(k % len(open_tests))])
        elif what == "part" and open_tests:
            with pytest.raises(KeyboardInterrupt):
                lab.test([open_tests[k % len(open_tests)]], lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
            lab._measured.clear()
            open_tests.pop(k % len(open_tests))
        elif what == "crash" and open_tests:
            lab.test([open_tests.pop(k % len(open_tests))], lambda *_: (_ for _ in ()).throw(RuntimeError("lost")))
        elif what == "review" and registered:
            decision = ("accept", "dispute", "retract")[k % 3]
            about = registered[k % len(registered)]
            add_review(lab.store, about, author=f"author {k % 2}", decision=decision, reason="why")
        elif what == "note":
            lab.store.event(1, "note", {"number": number})
        elif what == "look":
            assert index.refresh().current
            assert_same(index, lab.store)
    anew = Index(lab.store)
    anew.refresh()
    assert dump(index) == dump(anew)
    lab.store.engine.dispose()


def dump(index):
    """Every row of the file that is not remembered for speed alone."""
    tables = {
        "hypotheses": "id",
        "lines": "id",
        "components": "hypothesis, layer, kind, number, position",
        "reviewers": "author, hypothesis",
        "runs": "id",
        "search": "rowid",
    }
    return index.file.read(
        lambda c: {t: c.execute(f"SELECT * FROM {t} ORDER BY {o}").fetchall() for t, o in tables.items()}
    )


def test_other_studies_are_kept_apart(log):
    second = open_store(str(log.engine.url.database), study="second")
    index, other = Index(log), Index(second)
    for each in (index, other, index):
        each.refresh()
    assert other.page(ALL) == Page([], 0, 1, 10_000)
    assert index.file.path != other.file.path
    assert_same(index, log)
    run = {field: getattr(log.run_row(1), field) for field in ("behaviour", "behaviour_hash", "model", "weights")}
    more = {"behaviour_definition": {}, "controls": {}, "proposer": "p", "seed": "", "config": {}, "environment": {}}
    second.add(m.Run(study_id=second.study.id, **run, **more))
    assert other.refresh().current
    assert other.counts() == second.counts()
    assert index.refresh().current
    assert_same(index, log)


# -- filters, orders, pages ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "holds"),
    [
        ({"state": "confirmed"}, lambda row: row["state"] == "confirmed"),
        ({"kind": "necessity"}, lambda row: False),
        ({"run": 1}, lambda row: True),
        ({"run": 10**30}, lambda row: False),
        ({"proposer": "simulated", "behaviour": "simulated", "model": "simulated"}, lambda row: True),
        ({"model": "other"}, lambda row: False),
        ({"component": "a30.h1"}, lambda row: "a30.h1" in row["components"]),
        ({"component": "a30.h1@END"}, lambda row: False),
        ({"component": "a30"}, lambda row: "a30.h1" in row["components"]),
        ({"component": " 30 "}, lambda row: "a30.h1" in row["components"]),
        ({"component": "m30"}, lambda row: False),
        ({"component": "9" * 400}, lambda row: False),
        ({"review": "disputed"}, lambda row: row["review"] == "disputed"),
        ({"review": NOT_REVIEWED}, lambda row: row["review"] is None),
        ({"reviewer": "Ada"}, lambda row: row["id"] in (2, 3, 4)),
        ({"reviewer": "Ada", "state": "confirmed"}, lambda row: row["id"] in (2, 3, 4) and row["state"] == "confirmed"),
        ({"text": "a30.h1"}, lambda row: "a30.h1" in row["components"]),
        ({"text": "a30.h1", "state": "registered"}, lambda row: False),
    ],
)
def test_filters(still, query, holds):
    log, index = still
    want = [row for row in lines(log) if holds(row)]
    page = index.page(Query(**query, per_page=1000))
    assert page.rows == want
    assert page.total == len(want)
    assert {(c.layer, c.kind, c.index): c for c in index.cells(Query(**query))} == brute_cells(want)


@pytest.mark.parametrize("sort", [way + name for name in SORTS for way in ("", "-")])
def test_orders_and_pages(still, sort):
    log, index = still
    name, down = sort.removeprefix("-"), sort.startswith("-")

    def key(row):
        return STATES.index(row[name]) if name == "state" else row[name]

    rows = lines(log)
    known = [row for row in rows if row[name] is not None]
    lacking = [row for row in rows if row[name] is None]
    want = sorted(known, key=key, reverse=down) if name == "slot" else sorted(known, key=lambda r: r["slot"])
    want = sorted(want, key=key, reverse=down)
    pages = [index.page(Query(sort=sort, page=k, per_page=5)) for k in (1, 2, 3, 4)]
    found = [row for page in pages for row in page.rows]
    assert [row["id"] for row in found] == [row["id"] for row in want + lacking]
    assert [page.total for page in pages] == [12] * 4
    assert (pages[0].pages, pages[3].rows) == (3, [])


def test_what_cannot_be_asked(still):
    _, index = still
    with pytest.raises(UserError, match="no order 'colour'"):
        index.page(Query(sort="colour"))
    with pytest.raises(UserError, match="not a component"):
        index.page(Query(component="'; DROP TABLE hypotheses --"))
    with pytest.raises(UserError, match="no hypothesis 'sha256:ffff'"):
        index.entry("sha256:ffff")
    with pytest.raises(UserError, match="no hypothesis '99'"):
        index.entry("99")
    with pytest.raises(UserError, match="no hypothesis '99'"):
        index.judgement(99)
    assert index.page(Query(page=10**40, per_page=10**40)).rows == []
    assert len(index.page(Query(page=-3, per_page=0)).rows) == 1


# -- search ----------------------------------------------------------------------------------------------------------


def test_search_finds_claims_by_what_is_said_of_them(still):
    log, index = still

    def found(text):
        return [row["id"] for row in index.page(Query(text=text)).rows]

    first = lines(log)[0]
    everything = [row["id"] for row in lines(log)]
    assert found(first["claim_hash"]) == [1]
    assert found(first["claim_hash"][:14]) == [1]
    assert found(first["claim_hash"].removeprefix("sha256:")[:9].upper()) == [1]
    assert found(first["text"]) == [1]
    assert found("a0.h0") == found("A0.H0") == [1]
    assert found("a0.h0 carr") == [1]
    assert found("carr a0.h0") == [], "only the last word may be begun only"
    assert found("patching raises logit difference") == everything, "the claim in words"
    assert found("lost device") == [10], "what a test died of"
    assert found("needs replication") == [4]
    assert found("   ") == everything
    assert found("a0.h0 nowhere") == []


HOSTILE = [
    *('"', "'", '""', '"a', "*", "a*", "NEAR", "NEAR(a b)", "a NEAR b", "AND", "a OR b", "NOT a", "-", "a - b", "-a"),
    *("(", "a)", "body: a", "body : a", "{a b}: c", "^a", "a + b", ";", "--", "\\", "%", "_", "a\0b", "\0", "\x1b[31m"),
    *(
        "😀",
        "a 😀",
        "שלום עולם",
        "\u202eabc",
        "ａ９．ｈ６",
        "é",
        "e\u0301",
        "\ud800",
        "a\ud800b",
        "\u2028",
        "名前",
        "ﷺ",
    ),
    *("x" * 100_000, "x " * 100_000, '"' * 5000, "a9.h6@END " * 1000),
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_nothing_that_people_type_is_syntax(still, text):
    _, index = still
    for more in ({}, {"state": "confirmed"}, {"sort": "-e"}):
        assert index.page(Query(text=text, **more)).total >= 0
        assert isinstance(index.cells(Query(text=text, **more)), list)
    for name in ("state", "kind", "behaviour", "model", "proposer", "review", "reviewer"):
        assert index.page(Query(**{name: text})).total == 0
    with pytest.raises(UserError):
        index.entry(text)
    assert index.page(ALL).total == 12


@given(st.text(max_size=60))
@settings(max_examples=300, deadline=None)
def test_nothing_at_all_that_people_type_is_syntax(still, text):
    _, index = still
    assert index.page(Query(text=text)).total >= 0


# -- what somebody edited --------------------------------------------------------------------------------------------

EDITS = {
    "state": "UPDATE hypotheses SET state = 'confirmed' WHERE state = 'inconclusive'",
    "order": "UPDATE hypotheses SET e = 1e9 WHERE e IS NOT NULL",
    "line": "UPDATE lines SET line = json_set(line, '$.state', 'confirmed', '$.e', 1e9)",
    "hidden": "DELETE FROM hypotheses WHERE state = 'inconclusive'",
    "place": "UPDATE components SET layer = layer + 1",
    "reviewer": "UPDATE reviewers SET author = author || 'x'",
    "run": "UPDATE runs SET refused = 0, proposed = 999",
    "words": "UPDATE search SET body = 'nothing'",
    "level": "UPDATE meta SET level = 0.5",
    "read": "UPDATE meta SET revision = revision + 1",
    "trigger": "CREATE TRIGGER lie AFTER INSERT ON hypotheses BEGIN UPDATE hypotheses SET state = 'confirmed'; END",
    "view": "CREATE VIEW lie AS SELECT * FROM hypotheses",
}


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("while_open", [True, False])
def test_an_edited_index_is_made_anew_and_never_shown(log, index, edit, while_open):
    assert_same(index, log)  # everything is remembered now
    before = dump(index)
    with closing(sqlite3.connect(index.file.path)) as raw, raw:
        raw.execute(EDITS[edit])
    if not while_open:
        index = Index(log)
    assert index.page(ALL).rows == lines(log)
    assert index.counts() == log.counts()
    index.refresh()
    assert_same(index, log)
    assert dump(index) == before
    made = index.ask(lambda c: [name for (name,) in c.execute("SELECT name FROM sqlite_master")])
    assert "lie" not in made


def test_an_edit_between_two_refreshes_does_not_survive_the_second(log, index):
    with closing(sqlite3.connect(index.file.path)) as raw, raw:
        raw.execute(EDITS["state"])
    add_review(log, 1, author="Marie", decision="score", score=2)
    index.refresh()
    assert_same(index, log)


def test_the_seal_of_another_key_or_of_another_log_does_not_pass(log, index):
    told = log.study.digest
    with closing(sqlite3.connect(index.file.path)) as raw:
        assert Seal(user_key(), told, TABLES).holds(raw)
        assert not Seal(b"0" * 32, told, TABLES).holds(raw)
        assert not Seal(user_key(), "sha256:0", TABLES).holds(raw)
    with closing(sqlite3.connect(index.file.path)) as raw, raw:
        raw.execute(EDITS["state"])
        row = read_state(raw)
        forged = Seal(b"0" * 32, told, TABLES)
        weight = f"{(forged.weigh(raw, range(100)) + forged.weigh_runs(raw)) % MODULUS:x}"
        raw.execute("UPDATE meta SET weight = ?, seal = ?", (weight, forged.close((*row.told[:-1], weight))))
    assert Index(log).page(ALL).rows == lines(log), "who has not the key cannot seal"


def test_the_user_s_key_is_the_user_s_alone_and_where_none_can_be_kept_there_is_one_for_now(tmp_path, monkeypatch):
    key = user_key()
    assert key == user_key()
    assert key_file().stat().st_mode & 0o777 == 0o600
    monkeypatch.setattr(index_seal, "key_file", lambda: tmp_path / "text" / "index.key")
    (tmp_path / "text").write_text("a file where a folder should be")
    assert len(user_key()) == 32
    assert user_key() != user_key()


def test_an_index_that_another_process_brought_up_to_date_is_used(log, index):
    other = Index(log)
    add_review(log, 2, author="Marie", decision="accept", reason="looked")
    other.refresh()
    born = index.ask(read_state).born
    assert index.refresh().current
    assert_same(index, log)
    assert index.ask(read_state).born == born, "it was not read again"


# -- the file --------------------------------------------------------------------------------------------------------


def test_the_file_lies_beside_the_log_and_deleting_it_does_no_harm(log, index):
    assert index.file.path == Path(f"{log.engine.url.database}.index")
    before, verified = dump(index), log.verify()
    index.file.path.unlink()
    assert index.page(ALL).total == 12, "it is read again"
    assert index.refresh().current
    assert dump(index) == before
    assert Index(log).freshness().current, "another one uses what is there"
    assert log.verify() == verified, "it is no evidence"


@pytest.mark.parametrize("harm", ["text", "cut", "noise", "schema", "table", "empty"])
@pytest.mark.parametrize("while_open", [True, False])
def test_a_damaged_file_is_made_anew(log, index, harm, while_open):
    before, path = dump(index), index.file.path
    if harm in ("schema", "table"):
        with sqlite3.connect(path) as raw:
            raw.execute("PRAGMA user_version = 77" if harm == "schema" else "DROP TABLE lines")
        raw.close()
    else:
        with sqlite3.connect(path) as raw:
            raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        raw.close()
        whole = path.read_bytes()
        noise = bytes(range(256)) * (len(whole) // 256)
        path.write_bytes(
            {"text": b"no database " * 999, "cut": whole[:5000], "noise": whole[:100] + noise[100:], "empty": b""}[harm]
        )
    fresh = index if while_open and harm != "schema" else Index(log)
    assert fresh.refresh().now > 0
    fresh.page(Query(text="a0.h0"))
    fresh.rebuild()
    assert fresh.freshness().current
    assert dump(fresh) == before


def test_another_programs_database_is_left_alone(log, tmp_path):
    with sqlite3.connect(tmp_path / "music.db") as raw:
        raw.execute("CREATE TABLE tracks (id INTEGER)")
    raw.close()
    for name in ("music.db", "log.db"):
        with pytest.raises(UserError, match="another program"):
            Index(log, tmp_path / name)
    assert log.hypotheses()


def test_a_log_that_was_replaced_is_read_anew(log, tmp_path):
    path = tmp_path / "an.index"
    Index(log, path).refresh()
    other = open_store(str(tmp_path / "other.db"), secret_seed="other")
    index = Index(other, path)
    index.refresh()
    assert index.page(ALL).rows == []
    assert index.freshness().current


def test_where_nothing_can_be_written_the_index_lies_elsewhere(log, monkeypatch, tmp_path):
    monkeypatch.setattr(index_file, "default_path", lambda _store: tmp_path / "nowhere" / "log.index")
    index = Index(log)
    index.refresh()
    assert index.file.path.parent.name.startswith("lakatos-index-")
    assert_same(index, log)


@pytest.mark.heavy
def test_two_processes_use_it_at_once(log, index):
    code = (
        "import sys; from lakatos.experiments_db import open_store; from lakatos.experiments_db.index.index import *;"
        "s = open_store(sys.argv[1]); i = Index(s);\n"
        "for k in range(15):\n"
        "    s.event(1, 'note', {}); i.rebuild() if k % 5 == 4 else i.refresh(); assert i.page(Query()).total == 12\n"
        "    assert i.facets() and i.cells(Query()) and i.corrected('bh') and i.counts().registered == 12\n"
    )
    command = [sys.executable, "-c", code, str(log.engine.url.database)]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for _ in range(10):
        index.refresh()
        assert index.page(Query()).total == 12
    assert [(p.communicate()[1], p.returncode) for p in processes] == [("", 0)] * 2
    index.refresh()
    assert_same(index, log)


# -- a large study ---------------------------------------------------------------------------------------------------


def test_a_large_study_is_read_in_the_background(log, monkeypatch):
    monkeypatch.setattr(upkeep, "AT_ONCE", 5)
    index = Index(log)
    assert not index.freshness().current
    assert index.page(ALL).rows == [], "nothing yet, and nobody waits"
    wait_until(lambda: index.refresh(wait=False).current)
    assert_same(index, log)
    add_review(log, 5, author="Emmy", decision="accept", reason="yes")
    assert index.refresh(wait=False).current, "a review is little"
    assert index.corrected("holm") is None, "it is being computed"
    wait_until(lambda: index.corrected("holm") is not None)
    assert index.corrected("holm").total == documents.correction_document(log, "holm", None, "study")["confirmed"]
    with pytest.raises(UserError, match="no correction"):
        index.corrected("tukey")


def test_an_error_in_the_background_is_not_lost(log, monkeypatch):
    monkeypatch.setattr(upkeep, "AT_ONCE", 5)
    index = Index(log)
    monkeypatch.setattr(upkeep, "update", lambda *_: 1 / 0)
    index.refresh(wait=False)
    with pytest.raises(ZeroDivisionError):
        wait_until(lambda: index.refresh(wait=False).current)


def wait_until(done, seconds=20):
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("family", ["study", "kind", "run", "behaviour"])
@pytest.mark.parametrize("method", METHODS)
def test_corrections_are_those_of_the_document(still, method, family):
    log, index = still
    document = documents.correction_document(log, method, 0.1, family)
    for _ in range(2):  # computed, and remembered
        found = index.corrected(method, 0.1, family)
        names = ("method", "works_on", "alpha", "family", "families", "official")
        assert {name: getattr(found, name) for name in names} == {name: document[name] for name in names}
        assert (found.total, found.number_is) == (document["confirmed"], document["corrected"])
        for row in document["hypotheses"]:
            assert (found.confirmed(row["id"]), found.number(row["id"])) == (row["confirmed"], row["corrected"])
        assert (found.confirmed(99), found.number(99)) == (False, None)
        assert Corrected.from_bytes(found.to_bytes()).to_bytes() == found.to_bytes()


def test_a_correction_is_computed_anew_when_a_test_is_frozen():
    lab = laboratory(slots=4)
    ids = lab.propose([lab.claim(c) for c in lab.world.candidates])
    index = Index(lab.store)
    for number in ids:
        lab.test([number])
        index.refresh()
        assert index.corrected("none").number(number) == lab.store.hypothesis(str(number)).p
    assert index.corrected().official


def test_not_everything_that_was_ever_searched_for_is_remembered(toy_copy, tmp_path, monkeypatch):
    monkeypatch.setattr("lakatos.experiments_db.index.index._MOST_NUMBERS", 10)
    store = open_store(str(toy_copy))
    index = Index(store, tmp_path / "index")
    index.refresh()
    for word in range(30):
        index.cells(Query(text=f"word{word}"))
    assert len(index._known) <= 11


def test_an_index_of_another_release_is_made_anew(toy_copy, tmp_path, monkeypatch):
    store = open_store(str(toy_copy))
    index = Index(store, tmp_path / "index")
    index.refresh()
    index.file.write(lambda c: c.execute("UPDATE hypotheses SET state = 'confirmed'") and None)  # as judged elsewhere
    monkeypatch.setattr(index_file, "SCHEMA", schema_of("0.0"))
    later = Index(store, tmp_path / "index")
    later.refresh()
    assert later.counts() == store.counts()
