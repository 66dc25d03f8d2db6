"""Rows that are not what lakatos writes: verify names them, other commands say who does, nothing is a traceback."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest
from fastapi.testclient import TestClient
from tampering import tell
from typer.testing import CliRunner

from lakatos.agent.cli import app
from lakatos.experiments_db import open_store
from lakatos.experiments_db.index import Index
from lakatos.experiments_db.log import Unreadable
from lakatos.experiments_db.log.migrations.guards import APPEND_ONLY
from lakatos.experiments_db.regression import file_of
from lakatos.experiments_db.site import create_app
from lakatos.tools.errors import UserError

pytestmark = pytest.mark.heavy

CELLS = {  # what is written into one cell, and how verify names the row
    "UPDATE batches SET own = 'oops' WHERE id = 5": "batches row 5: its own is no JSON",
    "UPDATE draws SET common = '[1]' WHERE id = 2": "draws row 2: its common is [1]",
    "UPDATE prompts SET prompt = '{}' WHERE id = 20": "prompts row 20: is not what was appended",
    "UPDATE events SET payload = 'null' WHERE id = 2": "events row 2: its payload is None",
    "UPDATE events SET payload = 7 WHERE id = 2": "events row 2: its payload is 7",
    "UPDATE events SET payload = '{}' WHERE kind = 'finished'": "events row {finished}: names no ledger head",
    "UPDATE runs SET config = '{' WHERE id = 1": "runs row 1: its config is no JSON",
    "UPDATE runs SET behaviour_definition = '{}' WHERE id = 1": "runs row 1: cannot be derived again (name: Field",
    "UPDATE hypotheses SET record = '\"x\"' WHERE id = 1": "hypotheses row 1: its record is 'x'",
    "UPDATE hypotheses SET record = '{}' WHERE id = 1": "hypotheses row 1: cannot be derived again",
    "UPDATE hypotheses SET slot = 'first' WHERE id = 1": "hypotheses row 1: its slot is 'first'",
    "UPDATE hypotheses SET calibration = '{}' WHERE id = 1": "hypotheses row 1: cannot be derived again",
    "UPDATE hypotheses SET rationale = CAST(X'ff' AS TEXT) WHERE id = 1": "hypotheses row 1: cannot be read",
    "UPDATE evidence SET e = 'much' WHERE id = 1": "evidence row 1: its e is 'much'",
    "UPDATE evidence SET record = '{}' WHERE id = 1": "hypotheses row {first_tested}: cannot be derived again (",
    "UPDATE reviews SET blind = 7 WHERE id = 1": "reviews row 1: its blind is 7",
    "UPDATE reruns SET prompts = '{}' WHERE id = 1": "reruns row 1: its prompts is {}",
    "UPDATE reruns SET record = '{}' WHERE id = 1": "reruns row 1: cannot be derived again",
    "UPDATE proposals SET proposal = '{\"claim\": NaN}' WHERE id = 1": "proposals row 1: has no digest",
    "UPDATE ledger SET rows = '{}' WHERE id = 2": "ledger row 2: its rows is {}",
    "UPDATE ledger SET rows = '[1]' WHERE id = 2": "ledger row 2: names rows in another form",
    'UPDATE ledger SET rows = \'[["songs", 1, "x"]]\' WHERE id = 2': "ledger: names songs row 1",
}
NUMBERS = {  # rows that the tests speak of, whichever they are
    "{finished}": "SELECT MIN(id) FROM events WHERE kind = 'finished'",
    "{first_tested}": "SELECT hypothesis_id FROM evidence WHERE id = 1",
    "{evidence}": "SELECT id FROM evidence WHERE hypothesis_id = 5",
}
COMMANDS = (
    ("log",),
    ("show", "5"),
    ("runs",),
    ("reviews",),
    ("correct",),
    ("drift",),
    ("rerun", "5", "--quiet"),
    ("assess", "5", "accept", "--reason", "r", "--author", "A"),
    ("export", "--csv", "{folder}/x.csv"),
    ("export", "--html", "{folder}/x.html", "--run", "1"),
    ("export", "--tests", "{folder}/tests"),
)


def lakatos(*args):
    """The command in this process: status and standard output. Errors of the user's are raised."""
    result = CliRunner().invoke(app, list(map(str, args)), standalone_mode=False, catch_exceptions=False)
    return result.return_value, result.stdout


def numbered(db, query):
    """The number that a query finds, as text."""
    with closing(sqlite3.connect(db)) as raw:
        return str(raw.execute(query).fetchone()[0])


@pytest.mark.parametrize("change", CELLS)
def test_verify_names_what_cannot_be_read_and_goes_on(full_copy, change):
    tell(full_copy, change, "UPDATE prompts SET uid = 'chosen' WHERE id = (SELECT MAX(id) FROM prompts)")
    status, out = lakatos("verify", "--db", full_copy, "--json")
    told = json.loads(out)["problems"]
    assert status == 1
    named = CELLS[change]
    for number, query in NUMBERS.items():
        named = named.replace(number, numbered(full_copy, query))
    assert any(lie.startswith(named) for lie in told), told
    assert any("is not what was appended" in lie and "prompt chosen" in lie for lie in told) or len(told) > 50
    assert not any("pydantic.dev" in lie or "Traceback" in lie for lie in told)


@pytest.mark.parametrize("table", APPEND_ONLY)
@pytest.mark.parametrize(
    "harm", ["DROP TABLE {0}", "ALTER TABLE {0} RENAME TO other", "ALTER TABLE {0} RENAME COLUMN {1} TO x"]
)
def test_verify_names_a_table_that_is_gone_or_lacks_a_column(full_copy, table, harm):
    column = "previous" if table == "ledger" else "at"
    with closing(sqlite3.connect(full_copy)) as raw, raw:
        raw.execute("PRAGMA legacy_alter_table = ON")
        raw.execute(harm.format(table, column))
    status, out = lakatos("verify", "--db", full_copy, "--json")
    assert status == 1
    assert any(lie.startswith(f"table {table}: ") for lie in json.loads(out)["problems"])


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("UPDATE hypotheses SET record = json_remove(record, '$.claim') WHERE id = 5", "hypotheses row 5"),
        ("UPDATE hypotheses SET record = json_set(record, '$.claim.kind', 'vibes') WHERE id = 5", "hypotheses row 5"),
        ("UPDATE hypotheses SET record = json_set(record, '$.battery', 7) WHERE id = 5", "hypotheses row 5"),
        ("UPDATE hypotheses SET record = 'oops' WHERE id = 5", "hypotheses row 5"),
        ("UPDATE hypotheses SET record = json_remove(record, '$.model') WHERE id = 5", "hypotheses row 5"),
        ("UPDATE evidence SET record = '{}' WHERE hypothesis_id = 5", "evidence row {evidence}"),
        ("UPDATE evidence SET record = 'null' WHERE hypothesis_id = 5", "evidence row {evidence}"),
    ],
)
@pytest.mark.parametrize("command", COMMANDS[:2])
def test_a_forged_row_is_named_by_every_command_that_reads_it(full_copy, tmp_path, command, change, named):
    tell(full_copy, change)
    named = named.replace("{evidence}", numbered(full_copy, NUMBERS["{evidence}"]))
    with pytest.raises(UserError, match=named) as caught:
        lakatos(*(part.format(folder=tmp_path) for part in command), "--db", full_copy)
    assert "lakatos verify" in str(caught.value)
    assert "pydantic" not in str(caught.value)


@pytest.mark.parametrize("command", [c for c in COMMANDS[2:] if c[0] in ("rerun", "export", "drift")])
def test_a_row_without_its_claim_is_named_by_the_others_too(full_copy, tmp_path, command):
    change = "UPDATE hypotheses SET record = json_remove(record, '$.claim') WHERE id = 5"
    test_a_forged_row_is_named_by_every_command_that_reads_it(full_copy, tmp_path, command, change, "hypotheses row 5")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("table", ["hypotheses", "effects", "events"])
def test_a_table_that_is_gone_is_no_traceback(full_copy, tmp_path, command, table):
    with closing(sqlite3.connect(full_copy)) as raw, raw:
        raw.execute(f"DROP TABLE {table}")
    try:
        lakatos(*(part.format(folder=tmp_path) for part in command), "--db", full_copy)
    except UserError as error:
        assert f"table {table}" in str(error) or "disk" in str(error), str(error)  # noqa: PT017 - some need no such table


def test_a_claim_that_is_not_that_of_its_hash_is_not_run_again(full_copy):
    tell(full_copy, "UPDATE hypotheses SET record = json_set(record, '$.claim.threshold', 0.01) WHERE id = 5")
    store = open_store(str(full_copy))
    with pytest.raises(Unreadable, match="hypotheses row 5 has not the hash of its claim"):
        file_of(store, store.hypothesis("5"))


@pytest.mark.parametrize("rows", ["oops", "[7]", "{}"])
def test_nothing_is_appended_to_a_ledger_that_cannot_be_read(full_copy, rows):
    tell(full_copy, f"UPDATE ledger SET rows = '{rows}' WHERE id = (SELECT MAX(id) FROM ledger)")
    with pytest.raises(UserError, match="newest ledger row cannot be read"):
        lakatos("assess", "5", "accept", "--reason", "r", "--author", "A", "--db", full_copy)


def test_the_site_names_a_forged_row(full_copy, tmp_path):
    store = open_store(str(full_copy))
    client = TestClient(create_app(store, index=Index(store, tmp_path / "index")), base_url="http://127.0.0.1:8000")
    assert client.get("/hypotheses/5").status_code == 200
    tell(full_copy, "UPDATE hypotheses SET record = json_remove(record, '$.claim') WHERE id = 5")
    page = client.get("/hypotheses/5")
    assert page.status_code == 422
    assert "hypotheses row 5" in page.text


# -- heads -----------------------------------------------------------------------------------------------------------


def test_a_head_is_accepted_with_and_without_the_name_of_its_algorithm(full_copy):
    head = open_store(str(full_copy)).ledger_head()
    for text in (head, head.removeprefix("sha256:"), head.upper().replace("SHA256", "sha256")):
        assert lakatos("verify", "--db", full_copy, "--head", text)[0] == 0
    other = "sha256:" + "0" * 63 + "1"
    status, out = lakatos("verify", "--db", full_copy, "--head", other.removeprefix("sha256:"))
    assert (status, other in out) == (1, True)


@pytest.mark.parametrize("text", ["", "7", "sha256:", "sha256:12", "md5:" + "0" * 64, "0" * 65, "latest"])
def test_a_head_that_is_none_is_refused(full_copy, text):
    with pytest.raises(UserError, match="64 hex digits"):
        lakatos("verify", "--db", full_copy, "--head", text)
