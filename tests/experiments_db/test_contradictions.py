# ruff: noqa: E501 - one change a line
"""Every check of verify by itself: one change that only it can contradict, told with every hash computed anew."""

from __future__ import annotations

import json
import sqlite3

import pytest
from tampering import rechain, tell

from lakatos.experiments_db import open_store
from lakatos.experiments_db.log import tables as m

pytestmark = pytest.mark.heavy

LAST = "(SELECT MAX(id) FROM events)"
CONTRADICTED = {
    # studies and runs
    "UPDATE studies SET alpha = 0.9": "alpha is 0.9, which no study begins with",
    "UPDATE studies SET secret = 'abcd'": "its secret is not of 64 hex digits",
    "UPDATE studies SET secret_source = 'dice'": "its secret comes from 'dice'",
    "UPDATE runs SET behaviour_definition = json_set(behaviour_definition, '$.answer', ' A')": "does not have its hash",
    "UPDATE runs SET controls = '{}' WHERE id = 3": "its controls are not those that its behaviour names",
    "UPDATE runs SET controls = json_set(controls, '$.toy_text.kind', 'pair') WHERE id = 3": "runs row 3",
    "UPDATE runs SET environment = '{}' WHERE id = 3": "does not say what it ran on",
    # events
    "UPDATE events SET kind = 'finished', payload = '{\"confirmed\": []}' WHERE kind = 'failed'": "names no ledger head",
    f"UPDATE events SET run_id = 1 WHERE id = {LAST}": "failed of run 1, which had finished",
    "UPDATE events SET at = 'yesterday' WHERE id = 2": "its time 'yesterday' is none",
    "UPDATE events SET kind = 'checked' WHERE kind = 'explored' AND run_id = 1": "run 1 had checked before",
    "UPDATE events SET payload = json_set(payload, '$.accuracy', 0.1, '$.present', json('false')) "
    "WHERE kind = 'checked' AND run_id = 1": "run 1 went on without the behaviour, and was not told to",
    # requests to language models
    "UPDATE llm_calls SET attempt = 7 WHERE id = 2": "attempt 7 to propose is not the next one of round 1",
    "UPDATE llm_calls SET run_id = 1 WHERE purpose = 'interpret'": "run 1 asks no language model",
    "UPDATE llm_calls SET error = 'lost' WHERE response IS NOT NULL": "a request has an answer or an error",
    "UPDATE llm_calls SET tokens_out = -1 WHERE id = 2": "-1 tokens",
    "UPDATE llm_calls SET tokens_out = 9, prompt = 'propose@2' WHERE error IS NOT NULL": (
        "failed, and has tokens of an answer"
    ),
    "UPDATE llm_calls SET request = json_set(request, '$.schema', NULL) WHERE id = 2": "its request is not one to propose",
    "UPDATE llm_calls SET prompt = 'persuade@1' WHERE id = 2": "the prompt persuade@1 is not one to propose",
    # proposals and refusals
    "UPDATE proposals SET place = 40 WHERE id = 3": "place 40 of round 1 is not the next one of run 1",
    "UPDATE proposals SET llm_call_id = NULL WHERE run_id = 2": "names a request to a language model, or lacks one",
    "UPDATE hypotheses SET run_id = 2 WHERE id = 1": "comes from a proposal of run 1, not of run 2",
    "UPDATE refusals SET kind = 'boring' WHERE kind = 'untestable'": "there is no refusal of kind 'boring'",
    "UPDATE refusals SET duplicate_of = NULL WHERE kind = 'duplicate'": "is duplicate, and names None as its twin",
    "UPDATE refusals SET duplicate_of = 1 WHERE kind = 'untestable'": "is untestable, and names 1 as its twin",
    "UPDATE proposals SET proposal = json_set(proposal, '$.claim.threshold', 0.4) WHERE id = 11": "is not the same claim",
    # hypotheses
    "UPDATE hypotheses SET slot = 99 WHERE id = 10": "has slot 99, but is registered claim number 10",
    "UPDATE hypotheses SET record = json_set(record, '$.shape.n_layers', 9) WHERE id = 4": "its model has another shape",
    "UPDATE hypotheses SET record = json_set(record, '$.templates', 99) WHERE id = 1": "has another number of templates",
    "UPDATE hypotheses SET record = json_set(record, '$.nonce', 'abc') WHERE id = 1": "it has not 32 hex digits",
    "UPDATE hypotheses SET record = json_remove(record, '$.measures[0]') WHERE id = 1": "not the one that was calibrated",
    "UPDATE hypotheses SET forwards = -1 WHERE id = 1": "spent -1.0 forwards",
    "UPDATE hypotheses SET calibration = json_set(calibration, '$.templates[0]', 'x') WHERE id = 1": "on other prompts",
    # tests
    "UPDATE hypotheses SET record = json_set(record, '$.battery.n_max', 16) WHERE id = 1": "the stopping rule fired here",
    "UPDATE prompts SET place = 40 WHERE id = 16": "not 16 in their places",
    "UPDATE batches SET hypothesis_id = 9 WHERE hypothesis_id = 1": "speaks of hypotheses row 9, which was not there yet",
    # reviews and re-runs
    "UPDATE reviews SET reason = '' WHERE decision = 'retract'": "gives no reason",
    "UPDATE reviews SET score = 3 WHERE decision = 'retract'": "has the score 3 and the decision retract",
    "UPDATE reruns SET n = n + 1 WHERE id = 1": "prompts, and says",
    "UPDATE reruns SET environment = '{}' WHERE id = 1": "does not say what it ran on",
    "UPDATE reruns SET record = json_set(record, '$.tolerance[0].kept', json_extract(record, '$.tolerance[0].kept') * 0.999)": "its tolerances do not follow",
}


@pytest.mark.parametrize("change", CONTRADICTED)
def test_each_contradiction_is_named(full_copy, change):
    tell(full_copy, change)
    lies = rechain(full_copy)
    assert any(CONTRADICTED[change] in lie for lie in lies), lies


def _ledger(db, change):
    """Change the rows of entries, with no hash computed anew."""
    with sqlite3.connect(db) as raw:
        rows = {number: json.loads(rows) for number, rows in raw.execute("SELECT id, rows FROM ledger ORDER BY id")}
    change(rows)
    told = [f"UPDATE ledger SET rows = '{json.dumps(listed)}' WHERE id = {number}" for number, listed in rows.items()]
    tell(db, *told)


def test_a_row_that_two_entries_name_is_named(full_copy):
    _ledger(full_copy, lambda rows: rows[4].append(rows[3][0]))
    assert any("a second time" in lie for lie in rechain(full_copy))


def test_a_batch_that_was_appended_apart_from_its_draw_is_named(full_copy):
    with sqlite3.connect(full_copy) as raw:
        number = raw.execute("SELECT MIN(id) FROM ledger WHERE rows LIKE '%batches%'").fetchone()[0]

    def part(rows):
        rows[number + 1] = [rows[number].pop(), *rows[number + 1]]

    _ledger(full_copy, part)
    assert any("was not drawn and appended with draws row 1" in lie for lie in rechain(full_copy))


FINISHED = "WHERE id = (SELECT MIN(id) FROM events WHERE kind = 'finished')"


def test_work_between_the_head_that_a_run_names_and_its_end_is_named(full_copy):
    store = open_store(str(full_copy))
    with sqlite3.connect(full_copy) as raw:
        head = raw.execute("SELECT entry_hash FROM ledger WHERE id = 5").fetchone()[0]
    tell(full_copy, f"UPDATE events SET payload = json_set(payload, '$.ledger_head', '{head}') {FINISHED}")
    lies = store.verify()
    assert any("after the head that it names" in lie for lie in lies), lies


def test_a_head_that_is_not_in_the_ledger_is_named(full_copy):
    tell(full_copy, f"UPDATE events SET payload = json_set(payload, '$.ledger_head', 'sha256:{'0' * 63}1') {FINISHED}")
    assert any(
        "the head that it names is not in the ledger before it" in lie for lie in open_store(str(full_copy)).verify()
    )


def test_what_a_finished_run_appends_afterwards_is_named(full_copy):
    store = open_store(str(full_copy))
    proposal = store.all(m.Proposal)[0].proposal
    store.add(m.Proposal(run_id=1, round=1, place=8, proposal=proposal, llm_call_id=None))
    lies = store.verify()
    assert any("was appended after run 1 had finished" in lie for lie in lies), lies
    assert any("was neither registered nor refused" in lie for lie in lies), lies


def test_a_rechained_log_without_changes_is_honest(full_copy):
    assert rechain(full_copy) == []
