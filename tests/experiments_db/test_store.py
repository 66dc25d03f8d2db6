"""The log: appended, chained, guarded by the database itself, shared between processes."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
import sqlalchemy as sa

from lakatos.agent.simulation.world import BEHAVIOUR
from lakatos.experiments_db import open_store
from lakatos.experiments_db.log import Burned, Conflict, Share, StoreError, derive_seed
from lakatos.experiments_db.log import tables as m
from lakatos.tools.behaviour import PromptPair
from lakatos.tools.errors import UserError
from lakatos.tools.evidence import crashed, seed_commitment


def add_run(store, **changes):
    fields = {
        "study_id": store.study.id,
        "behaviour": BEHAVIOUR.name,
        "behaviour_hash": BEHAVIOUR.hash,
        "behaviour_definition": BEHAVIOUR.model_dump(mode="json"),
        "controls": {},
        "model": "tiny",
        "weights": "sha256:w",
        "proposer": "file",
        "seed": "0",
        "config": {},
        "environment": {},
    }
    return store.add(m.Run(**(fields | changes)))


def add_proposal(store, run, place=0):
    return store.add(m.Proposal(run_id=run.id, round=1, place=place, proposal={"text": "x"}))


def unregistered(store, run, proposal, claim_hash="sha256:c"):
    """What `Log.register` takes."""

    def row(slot):
        return m.HypothesisRow(
            study_id=store.study.id,
            run_id=run.id,
            proposal_id=proposal.id,
            claim_hash=claim_hash,
            slot=slot,
            record={**RECORD, "slot": slot},
            kind="node_effect",
            behaviour="toy",
            behaviour_hash="sha256:b",
            weights="sha256:w",
            subject="m0",
            atoms=["m0"],
            rationale="",
            calibration={},
            forwards=0.0,
            seconds=0.0,
        )

    return row, claim_hash, "toy"


@pytest.fixture
def store(tmp_path):
    return open_store(str(tmp_path / "log.db"))


def test_a_database_is_made_once_and_keeps_its_secret(tmp_path):
    first = open_store(str(tmp_path / "log.db"))
    again = open_store(str(tmp_path / "log.db"), alpha=0.2, secret_seed="7")
    assert again.study.secret == first.study.secret
    assert again.study.alpha == 0.05
    assert first.study.secret_source == "random"
    assert open_store(str(tmp_path / "other.db")).study.secret != first.study.secret


def test_a_seeded_database_says_so_and_is_reproducible(tmp_path):
    one, two = (open_store(str(tmp_path / f"{n}.db"), secret_seed="7") for n in (1, 2))
    assert one.study.secret == two.study.secret
    assert one.study.secret_source == "seed"
    assert one.study.secret != open_store(str(tmp_path / "3.db"), secret_seed="8").study.secret


def test_seeds_depend_on_secret_claim_and_purpose():
    seeds = {derive_seed(s * 32, h, p) for s in ("aa", "bb") for h in ("x", "y") for p in ("pairs", "control")}
    assert len(seeds) == 8
    assert all(0 <= s < 2**256 for s in seeds)
    assert len({seed_commitment(s) for s in seeds}) == 8


CHANGES = ["UPDATE {} SET id = id + 100", "DELETE FROM {}", "REPLACE INTO {0} SELECT * FROM {0}"]


@pytest.mark.parametrize("table", [t.__tablename__ for t in m.CHAINED if t is not m.Effect] + ["ledger"])
@pytest.mark.parametrize("change", CHANGES)
def test_the_database_itself_refuses_update_and_delete(toy_copy, table, change):
    log = open_store(str(toy_copy))
    log.add(m.Refusal(proposal_id=1, kind="malformed", reason="r", duplicate_of=None))
    call = {
        "run_id": 1,
        "round": 1,
        "purpose": "propose",
        "attempt": 1,
        "model": "m",
        "prompt": "p",
        "prompt_hash": "h",
    }
    log.add(m.LLMCall(**call, request={}, response=None, error="e", tokens_in=0, tokens_out=0, seconds=0.0))
    log.add(m.Review(hypothesis_id=1, author="a", decision="score", score=3, reason="", blind=True))
    rerun = {"model": "m", "weights": "w", "outcome": "held", "n": 16, "seed": "1", "environment": {}, "record": {}}
    log.add(m.Rerun(hypothesis_id=1, **rerun, prompts=[], forwards=1.0, seconds=1.0))
    ended = next(e for e in log.hypotheses() if e.evidence.stop in ("exhausted", "futility"))
    log.add_extension(ended.id, ended.evidence.n, 16)
    refuses(toy_copy, table, change)


@pytest.mark.parametrize("change", CHANGES)
def test_prompts_of_older_logs_are_kept_as_they_are(stored_log, change):
    open_store(str(stored_log)).runs()
    refuses(stored_log, "effects", change)


def refuses(db, table, change):
    with sqlite3.connect(db) as raw:
        before = raw.execute(f"SELECT * FROM {table}").fetchall()
        assert before
        with pytest.raises(sqlite3.IntegrityError):
            raw.execute(change.format(table))
        assert raw.execute(f"SELECT * FROM {table}").fetchall() == before


RECORD = {"claim": {}, "measures": ["clean", "intervened"], "slot": 1, "threshold": 4000.0, "battery": {"n_max": 128}}


@pytest.fixture
def registered(store):
    """A claim whose battery measures two runs."""
    run = add_run(store)
    return store.register(*unregistered(store, run, add_proposal(store, run)))


def pair(uid="one", clean="A prompt"):
    return PromptPair(uid, "t", clean, "Another", " x", " y", {}, {})


def share(row, number=0, e_after=1.0, own=None):
    own = {"intervened": [0.5]} if own is None else own
    return Share(row.id, number, {name: np.array(x) for name, x in own.items()}, e_after, "suffix", 0.0, 0.0)


COMMON = {"logit_diff.clean": np.array([1.0])}


def draw(store, stream, number, shares, uid=None, drawn_at=None, common=COMMON, **changes):
    prompts = [pair(uid or f"{stream.id}-{number}", **changes)]
    store.add_draw(stream, number, drawn_at or store.time(), prompts, common, shares)


@pytest.fixture
def stream(store, registered):
    return store.open_stream([registered.claim_hash])


@pytest.mark.parametrize("early", ["long ago", "registration", "opening"])
def test_a_draw_cannot_come_before_its_stream_or_the_registration(store, registered, stream, early):
    moments = {"registration": registered.registered_at, "opening": stream.at}
    with pytest.raises(Conflict, match=r"follow its opening|after its hypothesis was registered"):
        draw(store, stream, 0, [share(registered)], drawn_at=moments.get(early, "2000-01-01T00:00:00.000000+00:00"))


def test_one_bet_per_claim_and_prompt(store, registered, stream):
    draw(store, stream, 0, [share(registered)], uid="same")
    with pytest.raises(Conflict, match="uid"):
        draw(store, stream, 1, [share(registered, 1)], uid="same")
    assert len(store.batches(registered.id)) == 1, "a refused draw leaves nothing behind"


def test_a_prompt_without_its_whole_battery_is_refused(store, registered, stream):
    for own, common in (({}, COMMON), ({"other": [1.0]}, COMMON), ({"intervened": [1.0]}, {})):
        with pytest.raises(Conflict, match="whole battery"):
            draw(store, stream, 0, [share(registered, own=own)], common=common)
    other = {"prob_diff.clean": np.array([1.0])}
    with pytest.raises(Conflict, match="whole battery"):
        draw(store, stream, 0, [share(registered)], common=other)
    assert store.batches(registered.id) == []


def test_draws_follow_one_another_until_the_evidence_is_frozen(store, registered, stream):
    with pytest.raises(Conflict, match="follow its opening and one another"):
        draw(store, stream, 1, [share(registered)])
    draw(store, stream, 0, [share(registered)])
    with pytest.raises(Conflict, match=r"draws\.stream_id|follow"):
        draw(store, stream, 0, [share(registered, 1)])
    with pytest.raises(Conflict, match="batches of a test follow one another"):
        draw(store, stream, 1, [share(registered, 2)])
    store.freeze(registered.id, crashed("it failed", n=16))
    with pytest.raises(Conflict, match="frozen"):
        draw(store, stream, 1, [share(registered, 1)])


def second(store, registered, number=2):
    run = store.all(m.Run)[0]
    return store.register(*unregistered(store, run, add_proposal(store, run, number), f"sha256:{number}"))


def test_a_stream_serves_registered_claims_once(store, registered):
    for members in ([], ["sha256:nobody"], [registered.claim_hash, "sha256:nobody"]):
        with pytest.raises(Conflict, match="registered in its study"):
            store.open_stream(members)
    stream = store.open_stream([registered.claim_hash])
    with pytest.raises(Conflict, match="one stream"):
        store.open_stream([registered.claim_hash])
    assert [s.id for s in store.streams()] == [stream.id]
    late = second(store, registered)
    store.freeze(late.id, crashed("it failed", n=0))
    with pytest.raises(Conflict, match="frozen"):
        store.open_stream([late.claim_hash])


def test_nobody_joins_an_opened_stream(store, registered, stream):
    """Neither through the log's functions nor with SQL."""
    late = second(store, registered)
    with pytest.raises(Conflict, match="nobody joins"):
        draw(store, stream, 0, [share(registered), share(late)])
    with pytest.raises(Conflict, match="nobody joins"):
        draw(store, stream, 0, [share(late)])
    draw(store, stream, 0, [share(registered)])
    stored = store.batches(registered.id)[0]
    with pytest.raises(Conflict, match="nobody joins"):
        store.add(m.Batch(**{**stored.cells(), "id": None, "hypothesis_id": late.id}))
    with sqlite3.connect(store.engine.url.database) as raw, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        raw.execute("UPDATE streams SET members = json_insert(members, '$[#]', 'sha256:2')")


def test_a_claim_of_another_study_does_not_join(store, registered):
    other = open_store(str(store.engine.url.database), study="other")
    with pytest.raises(Conflict, match="registered in its study"):
        other.open_stream([registered.claim_hash])


def test_a_test_takes_every_draw_of_its_stream(store, registered):
    late = second(store, registered)
    stream = store.open_stream([registered.claim_hash, late.claim_hash])
    draw(store, stream, 0, [share(registered)])
    with pytest.raises(Conflict, match="takes every draw"):
        draw(store, stream, 1, [share(registered, 1), share(late)])


def test_prompts_have_no_rows_of_their_own_any_more(store, registered, stream):
    draw(store, stream, 0, [share(registered)])
    effect = {"claim_hash": registered.claim_hash, "place": 0, "uid": "u", "template": "t", "prompt": {}}
    with pytest.raises(Conflict, match="belong to draws"):
        store.add(m.Effect(batch_id=1, measured={"clean": 1.0, "intervened": 0.5}, **effect))
    told = {"hypothesis_id": registered.id, "number": 1, "seed": "1", "drawn_at": store.time(), "e_after": 1.0}
    with pytest.raises(Conflict, match="nobody joins"):
        store.add(m.Batch(engine="suffix", forwards=0.0, seconds=0.0, **told))


def frozen_at(e, stop="success"):
    return crashed("", n=16).model_copy(update={"e": e, "stop": stop})


def test_evidence_is_what_its_last_batch_says(store, registered, stream):
    with pytest.raises(Conflict, match=r"last prompt|has not stopped"):
        store.freeze(registered.id, frozen_at(5000.0))  # no prompt at all
    draw(store, stream, 0, [share(registered, e_after=5000.0)])
    with pytest.raises(Conflict, match="after the last prompt"):
        store.freeze(registered.id, frozen_at(6000.0))
    store.freeze(registered.id, frozen_at(5000.0))
    assert store.slots()[0].e == 5000.0
    with pytest.raises(Conflict, match="frozen"):
        store.freeze(registered.id, frozen_at(5000.0))


def go(store, stream, registered, path, first=0):
    for number, e in enumerate(path, first):
        draw(store, stream, number, [share(registered, number, e)])


@pytest.mark.parametrize(
    ("path", "fires"),
    [
        ([10.0], False),
        ([10.0, 4000.0], True),
        ([0.1, 0.1, 0.1], False),  # futile from 64 prompts on
        ([0.1, 0.1, 0.1, 0.1], True),
        ([0.3, 0.3, 0.3, 0.3], False),
        ([10.0] * 8, True),  # the registered maximum
    ],
)
def test_a_test_is_frozen_when_its_rule_stops_it_and_not_before_or_after(store, registered, stream, path, fires):
    go(store, stream, registered, path)
    if fires:
        with pytest.raises(Conflict, match="has stopped this test"):
            draw(store, stream, len(path), [share(registered, len(path), 9.0)])
        store.freeze(registered.id, frozen_at(path[-1]))
    else:
        with pytest.raises(Conflict, match="has not stopped this test"):
            store.freeze(registered.id, frozen_at(path[-1]))
        draw(store, stream, len(path), [share(registered, len(path), 9.0)])


def test_an_extension_lets_a_test_go_on(store, registered, stream):
    """On a stream of its own, from the e-value it had; futility counts anew, and the end comes with the new pairs."""
    go(store, stream, registered, [0.1] * 4)
    with pytest.raises(Conflict, match="want of pairs or for futility"):
        store.add_extension(registered.id, 64, 128)  # it has not ended
    store.freeze(registered.id, frozen_at(0.1, "futility"))
    for begun, pairs in ((48, 128), (64, 8), (64, 24)):
        with pytest.raises(Conflict, match="want of pairs or for futility"):
            store.add_extension(registered.id, begun, pairs)
    store.add_extension(registered.id, 64, 128)
    assert store.slots()[0].stop is None
    with pytest.raises(Conflict, match="want of pairs or for futility"):
        store.add_extension(registered.id, 64, 128)  # it goes on already
    more = store.open_stream([registered.claim_hash])
    with pytest.raises(Conflict, match="one stream"):
        store.open_stream([registered.claim_hash])
    for number in range(4):
        with pytest.raises(Conflict, match="has not stopped this test"):
            store.freeze(registered.id, frozen_at(0.1, "futility"))
        draw(store, more, number, [share(registered, 4 + number, 0.1)])
    with pytest.raises(Conflict, match="has stopped this test"):
        draw(store, more, 4, [share(registered, 8, 0.1)])
    store.freeze(registered.id, frozen_at(0.1, "futility"))
    assert (store.slots()[0].stop, store.slots()[0].e, store.slots()[0].batches) == ("futility", 0.1, 8)


def test_an_extension_ends_with_its_pairs(store, registered, stream):
    go(store, stream, registered, [10.0] * 8)
    store.freeze(registered.id, frozen_at(10.0, "exhausted"))
    store.add_extension(registered.id, 128, 32)
    more = store.open_stream([registered.claim_hash])
    for number in range(2):
        draw(store, more, number, [share(registered, 8 + number, 10.0)])
    with pytest.raises(Conflict, match="has stopped this test"):
        draw(store, more, 2, [share(registered, 10, 10.0)])
    store.freeze(registered.id, frozen_at(10.0, "exhausted"))


def test_no_prompt_is_bet_on_again_after_an_extension(store, registered, stream):
    go(store, stream, registered, [0.1] * 4)
    store.freeze(registered.id, frozen_at(0.1, "futility"))
    store.add_extension(registered.id, 64, 16)
    with pytest.raises(Conflict, match="bets once"):
        draw(store, store.open_stream([registered.claim_hash]), 0, [share(registered, 4)], uid=f"{stream.id}-2")


@pytest.mark.parametrize(("e", "stop"), [(5000.0, "success"), (0.0, "crashed")])
def test_neither_a_success_nor_a_crash_is_extended(store, registered, stream, e, stop):
    go(store, stream, registered, [5000.0])
    store.freeze(registered.id, frozen_at(e, stop))
    with pytest.raises(Conflict, match="want of pairs or for futility"):
        store.add_extension(registered.id, 16, 128)


def test_a_crash_has_no_e_value(store, registered):
    with pytest.raises(Conflict, match="after the last prompt"):
        store.freeze(registered.id, crashed("it failed", n=0).model_copy(update={"e": 1e9}))
    store.freeze(registered.id, crashed("it failed", n=0))
    assert store.slots()[0].e == 0.0


def test_a_slot_cannot_be_left_out_or_taken_twice(store, registered):
    run = store.all(m.Run)[0]
    for slot, number in ((1, 5), (3, 6)):
        build, *_ = unregistered(store, run, add_proposal(store, run, number), f"sha256:{slot}")
        row = build(slot)
        row.record, row.registered_at = {}, "2000"
        with pytest.raises(Conflict, match="next slot"):
            store.add(row)


def test_a_list_of_pairs_is_burned_once_its_numbers_are_seen(store, registered):
    run = store.all(m.Run)[0]
    early = unregistered(store, run, add_proposal(store, run, 1), "sha256:2")
    store.register(*early, unburned=["A prompt"])
    draw(store, store.open_stream([registered.claim_hash]), 0, [share(registered)])
    late = unregistered(store, run, add_proposal(store, run, 2), "sha256:3")
    with pytest.raises(Burned, match="fixed list"):
        store.register(*late, unburned=["Another", "A prompt"])
    store.register(*late, unburned=["Another"])
    assert [s.slot for s in store.slots()] == [1, 2, 3]


def test_studies_have_their_own_slots_error_and_secret(store, tmp_path):
    path = str(tmp_path / "log.db")
    run = add_run(store)
    store.register(*unregistered(store, run, add_proposal(store, run)))
    second = open_store(path, study="second", alpha=0.2)
    assert (second.study.alpha, store.study.alpha) == (0.2, 0.05)
    assert second.study.secret != store.study.secret
    assert second.slots() == []
    other = add_run(second)
    second.register(*unregistered(second, other, add_proposal(second, other), "sha256:d"))
    assert [s.slot for s in second.slots()] == [1]
    assert len(open_store(path).slots()) == 1
    assert (len(store.runs()), len(second.runs()), second.runs()[0].study) == (1, 1, "second")
    with pytest.raises(UserError, match="no study 'third'; it has main, second"):
        open_store(path, study="third", create=False)


def test_the_only_study_is_the_default(tmp_path):
    path = str(tmp_path / "named.db")
    named = open_store(path, study="named")
    assert open_store(path, create=False).study.id == named.study.id
    open_store(path, study="other")
    with pytest.raises(UserError, match="name one with --study"):
        open_store(path, create=False)


def test_slots_are_given_in_order_and_a_claim_has_one(store):
    run = add_run(store)
    rows = [store.register(*unregistered(store, run, add_proposal(store, run, k), f"sha256:{k}")) for k in range(3)]
    assert [row.slot for row in rows] == [1, 2, 3]
    assert [row.record["slot"] for row in rows] == [1, 2, 3]
    with pytest.raises(Exception, match="registered already, as hypothesis 2") as caught:
        store.register(*unregistered(store, run, add_proposal(store, run, 3), "sha256:1"))
    assert caught.value.duplicate_of == 2


def test_many_writers_make_one_chain(store, tmp_path):
    run = add_run(store)
    stores = [open_store(str(tmp_path / "log.db")) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda s: [s.event(run.id, "note", {}) for _ in range(10)], stores))
    ledger = store._read(lambda s: list(s.scalars(sa.select(m.LedgerEntry).order_by(m.LedgerEntry.id))))
    assert len(store.all(m.Event)) == 40
    assert [entry.id for entry in ledger] == list(range(1, len(ledger) + 1))
    assert all(b.previous == a.entry_hash for a, b in pairwise(ledger))
    assert store.verify() == []


@pytest.mark.heavy
def test_two_processes_make_one_chain(store, tmp_path):
    run = add_run(store)
    code = (
        "import sys; from lakatos.experiments_db import open_store; s = open_store(sys.argv[1]);"
        f"[s.event({run.id}, 'note', {{}}) for _ in range(25)]"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "log.db")]) for _ in range(2)]
    assert [p.wait() for p in processes] == [0, 0]
    assert len(store.all(m.Event)) == 50
    assert store.verify() == []


def test_a_full_disk_is_a_clear_error_and_loses_nothing(store):
    run = add_run(store)
    raw = store.engine.raw_connection()
    pages = raw.execute("PRAGMA page_count").fetchone()[0]
    raw.close()

    @sa.event.listens_for(store.engine, "begin")
    def _limit(connection):
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 2}")

    def write_much():
        for _ in range(50):
            store.event(run.id, "note", {"text": "x" * 5000})

    with pytest.raises(StoreError, match="full"):
        write_much()
    assert store.verify() == []


def test_what_cannot_be_opened_says_why(tmp_path):
    with pytest.raises(UserError, match="no database"):
        open_store(str(tmp_path / "none.db"), create=False)
    with pytest.raises(UserError, match="no folder"):
        open_store(str(tmp_path / "no" / "where.db"))
    (tmp_path / "text.db").write_text("this is no database, it is a text of more than a few bytes" * 50)
    with pytest.raises(UserError, match="not a database"):
        open_store(str(tmp_path / "text.db"))
    with sqlite3.connect(tmp_path / "other.db") as raw:
        raw.execute("CREATE TABLE tracks (id INTEGER)")
    with pytest.raises(UserError, match="another program"):
        open_store(str(tmp_path / "other.db"))
    with pytest.raises(UserError, match="Cannot open"):
        open_store("nonsense://x")


def test_another_schema_is_refused(toy_copy):
    with sqlite3.connect(toy_copy) as raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(UserError, match="another lakatos"):
        open_store(str(toy_copy))


def test_the_migrations_give_the_models(store):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with store.engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), m.Base.metadata)
    assert differences == []


def test_reading_the_log_loads_nothing_heavy(toy_log):
    code = (
        "import sys; from lakatos.experiments_db import open_store; s = open_store(sys.argv[1]);"
        "assert s.hypotheses() and s.verify() == [];"
        "print([n for n in ('torch', 'transformer_lens', 'transformers', 'langgraph', 'openai') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(toy_log)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
