"""Documents of a stored log: their JSON has the keys, the order and the values that it had as plain dictionaries."""

from __future__ import annotations

import gzip
import json
from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path

import pytest
from commands import lakatos_here

from lakatos.experiments_db import open_store
from lakatos.experiments_db.documents import Line, entry_line, hypothesis_document, run_document

GOLDEN = json.loads(gzip.decompress((Path(__file__).parents[2] / "data" / "stored_documents.json.gz").read_bytes()))
COMMANDS = {
    "show1": ["show", 1],
    "show9": ["show", 9],
    "show10": ["show", 10],
    "log": ["log"],
    "runs": ["runs"],
    "study": ["study", "list"],
}


def assert_same(found, expected, where=""):
    """Keys in their order, kinds and values; numbers up to what another processor may round otherwise."""
    assert type(found) is type(expected), where
    if isinstance(expected, dict):
        assert list(found) == list(expected), where
        for name, value in expected.items():
            assert_same(found[name], value, f"{where}.{name}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), where
        for place, value in enumerate(expected):
            assert_same(found[place], value, f"{where}.{place}")
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=1e-9), where
    else:
        assert found == expected, where


@pytest.mark.parametrize("name", COMMANDS)
def test_the_command_prints_what_it_printed(stored_log, name):
    status, out, err = lakatos_here(*COMMANDS[name], "--json", "--db", stored_log)
    assert status == 0, err
    assert_same(json.loads(out), GOLDEN[name], name)


def test_a_run_is_what_it_was(stored_log):
    found = run_document(open_store(str(stored_log)), 3).as_dict()
    assert_same(json.loads(json.dumps(found)), GOLDEN["run3"], "run3")


def test_a_whole_hypothesis_begins_with_its_row(stored_log):
    store = open_store(str(stored_log))
    entry = store.hypotheses()[0]
    whole = hypothesis_document(store, entry)
    assert whole.row() == entry_line(entry)
    assert list(whole.as_dict())[: len(fields(Line))] == list(whole.row())
    assert Line.read(json.loads(json.dumps(whole.row()))) == Line.of(entry)
    assert [prompt.main for prompt in whole.prompts] == [p["effects"]["effect"] for p in whole.as_dict()["prompts"]]


def test_a_document_cannot_be_changed(stored_log):
    store = open_store(str(stored_log))
    whole = hypothesis_document(store, store.hypotheses()[0])
    with pytest.raises(FrozenInstanceError):
        whole.state = "confirmed"
    assert replace(whole, rationale="").rationale == ""
