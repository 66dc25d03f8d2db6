"""A log that lies is caught, and the row is named. Each lie is told with the triggers dropped, as a cheat would."""

from __future__ import annotations

import sqlite3

import pytest
from forging import drop_empty_draws
from tampering import rechain, redigest, tamper, unguarded

from lakatos.experiments_db import open_store
from lakatos.experiments_db.log import tables as m
from lakatos.experiments_db.log import to_data
from lakatos.experiments_db.log.migrations.guards import APPEND_ONLY, triggers
from lakatos.experiments_db.verify.triggers import trigger_lies
from lakatos.tools.evidence import conclude


def test_an_honest_log_verifies(toy_copy):
    seen = []
    assert open_store(str(toy_copy)).verify(lambda done, of: seen.append((done, of))) == []
    assert seen[-1][0] == seen[-1][1] > 0


RAISED = "UPDATE batches SET own = json_set(own, '$.intervened[3]', json_extract(own, '$.intervened[3]') + 0.5)"


def test_one_altered_number_is_named(toy_copy):
    lies = tamper(toy_copy, f"{RAISED} WHERE id = 2")
    assert any(lie.startswith("batches row 2:") for lie in lies)


def test_an_altered_number_is_found_although_every_hash_was_computed_anew(toy_copy):
    tamper(toy_copy, f"{RAISED} WHERE id = 2")
    lies = rechain(toy_copy)
    assert lies, "the numbers alone must give it away"
    assert not any("ledger" in lie or "appended" in lie for lie in lies)
    assert any("e-value" in lie or "do not follow" in lie for lie in lies)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("UPDATE evidence SET e = 1e6 WHERE id = 1", "evidence row 1"),
        ("UPDATE evidence SET record = json_set(record, '$.e', 1e6) WHERE id = 1", "evidence row 1"),
        ("UPDATE evidence SET record = json_set(record, '$.lines[0].mean', 9.0) WHERE id = 2", "evidence row 2"),
        ("UPDATE batches SET seed = '1' WHERE id = 2", "batches row 2"),
        ("UPDATE batches SET e_after = 7.0 WHERE id = 1", "batches row 1"),
        ("UPDATE prompts SET uid = 'chosen' WHERE id = 3", "prompts row 3"),
        ("UPDATE prompts SET prompt = json_set(prompt, '$.clean', 'another') WHERE id = 3", "prompts row 3"),
        ("UPDATE hypotheses SET record = json_set(record, '$.threshold', 10) WHERE id = 1", "hypotheses row 1"),
        ("UPDATE hypotheses SET record = json_set(record, '$.claim.threshold', 0.01) WHERE id = 1", "hypotheses row 1"),
        (
            "UPDATE hypotheses SET record = json_set(record, '$.battery.lines[0].delta', 0.0) WHERE id = 1",
            "hypotheses row 1",
        ),
        (
            "UPDATE hypotheses SET record = json_set(record, '$.battery.lines[0].scale', 99.0) WHERE id = 1",
            "hypotheses row 1",
        ),
        ("UPDATE hypotheses SET record = json_set(record, '$.battery.gap', 0.5) WHERE id = 1", "hypotheses row 1"),
        ("UPDATE hypotheses SET record = json_set(record, '$.weight', 0.5) WHERE id = 2", "hypotheses row 2"),
        (
            "UPDATE hypotheses SET record = json_set(record, '$.battery.matched.random[0]', 'm2') WHERE id = 1",
            "hypotheses row 1",
        ),
        (
            "UPDATE hypotheses SET record = json_set(record, '$.battery.unit', 'template') WHERE id = 1",
            "hypotheses row 1",
        ),
        ("UPDATE hypotheses SET record = json_set(record, '$.templates', 99) WHERE id = 1", "hypotheses row 1"),
        ("UPDATE hypotheses SET record = json_remove(record, '$.measures[0]') WHERE id = 1", "hypotheses row 1"),
        ("UPDATE hypotheses SET subject = 'm9' WHERE id = 1", "hypotheses row 1"),
        ("UPDATE hypotheses SET atoms = '[]' WHERE id = 1", "hypotheses row 1"),
        ("UPDATE hypotheses SET kind = 'no_effect' WHERE id = 1", "hypotheses row 1"),
        ("UPDATE evidence SET p = 0.0 WHERE id = 1", "evidence row 1"),
        ("UPDATE hypotheses SET record = json_set(record, '$.model', 'gpt2') WHERE id = 1", "hypotheses row 1"),
        ("UPDATE hypotheses SET record = json_set(record, '$.predicted', 0.99) WHERE id = 1", "hypotheses row 1"),
        ("UPDATE hypotheses SET record = json_set(record, '$.alpha', 0.5) WHERE id = 1", "hypotheses row 1"),
        ("UPDATE hypotheses SET behaviour = 'another' WHERE id = 1", "hypotheses row 1"),
        ("UPDATE prompts SET prompt = json_set(prompt, '$.answer', 'another') WHERE id = 3", "prompts row 3"),
        ("UPDATE streams SET nonce = replace(nonce, substr(nonce, 1, 4), '0000')", "streams row 1"),
        ("UPDATE streams SET seed = '1' WHERE id = 1", "streams row 1"),
        ("UPDATE draws SET common = json_set(common, '$.\"logit_diff.clean\"[3]', 99.0) WHERE id = 1", "draws row 1"),
        ("UPDATE hypotheses SET registered_at = '9999-01-01' WHERE id = 1", "hypotheses row 1"),
        ("UPDATE studies SET secret = replace(secret, substr(secret, 1, 4), '0000')", "streams row 1"),
        ("UPDATE runs SET behaviour_definition = json_set(behaviour_definition, '$.answer', ' A')", "runs row 1"),
        ("DELETE FROM evidence WHERE id = 2", "evidence row 2"),
        ("DELETE FROM refusals WHERE id = 1", "refusals row 1"),
    ],
)
def test_each_lie_is_named_before_and_after_rechaining(toy_copy, change, named):
    if "refusals" in change:
        open_store(str(toy_copy)).add(m.Refusal(proposal_id=1, kind="malformed", reason="r", duplicate_of=None))
    lies = tamper(toy_copy, change)
    assert any(lie.startswith(named) for lie in lies), lies
    if not change.startswith("DELETE") and "rationale" not in change:
        assert rechain(toy_copy), "derived facts must give it away without the hashes"


def test_a_forged_crash_is_neither_confirmed_nor_believed(toy_copy):
    tampered = tamper(
        toy_copy,
        "UPDATE evidence SET record = json_set(record, '$.stop', 'crashed', '$.e', 1e9, '$.error', 'x') WHERE id = 2",
        "UPDATE evidence SET e = 1e9, stop = 'crashed' WHERE id = 2",
    )
    assert tampered
    assert any(lie.startswith("evidence row 2 (hypothesis 2): claims a crash") for lie in rechain(toy_copy))
    assert open_store(str(toy_copy)).hypotheses()[1].state == "inconclusive"


def test_a_test_that_went_on_after_its_rule_fired_is_named(toy_copy):
    lies = tamper(toy_copy, "UPDATE hypotheses SET record = json_set(record, '$.battery.n_max', 16) WHERE id = 1")
    assert any("the stopping rule fired here" in lie for lie in lies)


def test_evidence_of_a_test_that_was_stopped_early_is_named(toy_copy):
    """Its last batch goes, and everything else says what follows from the prompts that are left."""
    store = open_store(str(toy_copy))
    entry = next(e for e in store.hypotheses() if e.state == "inconclusive" and len(store.batches(e.id)) > 1)
    last, prediction = store.batches(entry.id)[-1], entry.prediction
    left = [prompt for prompt in store.prompts(entry.id) if prompt.batch != last.number]
    early = conclude(prediction.claim, prediction.battery, prediction.threshold, to_data(left), entry.claim_hash)
    assert early.stop == "interrupted"
    with unguarded(toy_copy) as raw:
        raw.execute("DELETE FROM batches WHERE id = ?", (last.id,))
        drop_empty_draws(raw)
        frozen = (early.e, early.p, early.stop, early.model_dump_json(), entry.id)
        raw.execute("UPDATE evidence SET e = ?, p = ?, stop = ?, record = ? WHERE hypothesis_id = ?", frozen)
    [lie] = rechain(toy_copy, renumber=True)
    assert lie.endswith("was frozen although its stopping rule had not fired")


def test_records_that_cannot_be_read_are_lies_and_no_tracebacks(toy_copy):
    assert tamper(toy_copy, "UPDATE evidence SET record = '{}' WHERE id = 1")
    assert rechain(toy_copy)


def test_a_lie_that_the_digests_follow_is_told_by_the_hash_of_its_entry(toy_copy):
    """What nothing else contradicts: the engine of a batch. Entries still follow one another, as none was hashed."""
    assert redigest(toy_copy) == []
    with sqlite3.connect(toy_copy) as raw:
        number = raw.execute("SELECT MIN(id) FROM ledger WHERE rows LIKE '%batches%'").fetchone()[0]
    tamper(toy_copy, "UPDATE batches SET engine = 'another' WHERE id = 1")
    assert redigest(toy_copy) == [f"ledger row {number}: does not follow from the entry before it"]
    assert rechain(toy_copy) == []


def test_the_hash_of_the_last_entry_is_its_own(toy_copy):
    """No other entry names it."""
    with sqlite3.connect(toy_copy) as raw:
        last = raw.execute("SELECT MAX(id) FROM ledger").fetchone()[0]
    lies = tamper(toy_copy, f"UPDATE ledger SET entry_hash = 'sha256:{'0' * 64}' WHERE id = {last}")
    assert lies == [f"ledger row {last}: does not follow from the entry before it"]


def test_a_row_that_bypassed_the_ledger_is_named(toy_copy):
    with sqlite3.connect(toy_copy) as raw:
        raw.execute(
            "INSERT INTO events (id, run_id, kind, payload, forwards, seconds, at, digest) "
            "VALUES (999, 1, 'x', '{}', 0, 0, '', '')"
        )
    assert any(lie.startswith("events row 999: was not appended") for lie in open_store(str(toy_copy)).verify())


@pytest.mark.parametrize("table", APPEND_ONLY)
def test_a_missing_guard_is_named(toy_copy, table):
    with sqlite3.connect(toy_copy) as raw:
        raw.execute(f"DROP TRIGGER {table}_no_update")
    assert open_store(str(toy_copy)).verify() == [
        f"trigger {table}_no_update is missing: rows could have been changed without a word"
    ]


def test_a_confirmation_that_rows_do_not_give_is_named(toy_copy):
    store = open_store(str(toy_copy))
    inconclusive = next(e for e in store.hypotheses() if e.state == "inconclusive")
    store.event(1, "finished", {"confirmed": [inconclusive.id]})
    assert any(f"reported hypothesis {inconclusive.id} as confirmed" in lie for lie in store.verify())


# -- triggers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(triggers("sqlite")))
def test_a_trigger_that_does_nothing_under_its_old_name_is_named(toy_copy, name):
    with sqlite3.connect(toy_copy) as raw:
        table = raw.execute("SELECT tbl_name FROM sqlite_master WHERE name = ?", (name,)).fetchone()[0]
        raw.execute(f"DROP TRIGGER {name}")
        raw.execute(f"CREATE TRIGGER {name} BEFORE UPDATE ON {table} BEGIN SELECT 1; END")
    with open_store(str(toy_copy)).engine.connect() as connection:
        assert list(trigger_lies(connection)) == [
            f"trigger {name} is not the one that lakatos makes: rows could have been changed without a word"
        ]


def test_a_trigger_that_swallows_rows_is_named(toy_copy):
    with sqlite3.connect(toy_copy) as raw:
        raw.execute(
            "CREATE TRIGGER helper BEFORE INSERT ON reviews WHEN NEW.decision = 'retract' "
            "BEGIN SELECT RAISE(IGNORE); END"
        )
    assert open_store(str(toy_copy)).verify() == [
        "trigger helper is not one of lakatos: rows may be changed or swallowed without a word"
    ]


def test_white_space_in_a_trigger_is_no_lie(toy_copy):
    with sqlite3.connect(toy_copy) as raw:
        sql = raw.execute("SELECT sql FROM sqlite_master WHERE name = 'runs_no_update'").fetchone()[0]
        raw.execute("DROP TRIGGER runs_no_update")
        raw.execute(sql.replace(" BEFORE ", "\n  BEFORE "))
    assert open_store(str(toy_copy)).verify() == []


# -- time ------------------------------------------------------------------------------------------------------------


def test_a_clock_that_is_set_back_makes_no_liar_of_the_log(toy_copy, monkeypatch):
    store = open_store(str(toy_copy))
    monkeypatch.setattr("lakatos.experiments_db.log.log.now", lambda: "2001-01-01T00:00:00.000000+00:00")
    before = store.all(m.Event)[-1].at
    store.event(1, "note", {})
    store.event(1, "note", {})
    assert store.time() > store.all(m.Event)[-1].at >= before
    assert store.verify() == []


def test_appending_goes_on_while_a_log_is_verified(toy_copy):
    store = open_store(str(toy_copy))
    assert store.verify(lambda done, of: store.event(1, "note", {})) == []
    assert store.verify() == []
