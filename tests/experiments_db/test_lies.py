"""Every lie of `lies.py` is found as it is told; after a thorough cheat, all but those that no row contradicts."""

from __future__ import annotations

from collections import Counter

import pytest
from lies import LIES
from tampering import TABLES, rechain, tell

from lakatos.experiments_db import open_store

# What is found only by somebody who kept the ledger's head: no other row says anything of it.
SILENT = {
    "a run that was given up never was",
    "the model had another name, in the claims and the configuration too",
    "another version of torch",
    "another question",
    "another reason to ask it",
    "the reason to give up was another",
    "giving up never happened",
    "exploration saw other scores",
    "a run never finished",
    "a failed request to the LLM was never made",
    "the LLM's prose was another",
    "another LLM was asked",
    "the LLM cost nothing",
    "the LLM failed otherwise",
    "another reason why a claim could not be tested",
    "another rationale, in its proposal too",
    "a claim's registration cost nothing",
    "a batch was measured by another engine",
    "a test crashed of something else",
    "a retraction never was",
    "another reviewer",
    "another decision",
    "another reason of a reviewer",
    "another score",
    "a re-run never was",
    "the newest re-run never was",
    "a re-run was of another model",
}
# What a cheat who computes every hash anew mends on the way.
MENDED = {"the run reported another head", "an entry names another digest", "the log begins later"}


def test_the_honest_log_has_every_kind_of_row_and_verifies(full_copy):
    store = open_store(str(full_copy))
    assert store.verify() == []
    assert all(store.all(table) for table in TABLES.values())
    assert rechain(full_copy, renumber=True) == []


def test_lies_have_names_and_are_told_in_every_table():
    names = Counter(lie.name for lie in LIES)
    assert max(names.values()) == 1
    assert {lie.table for lie in LIES} == {*TABLES, "ledger"}
    assert set(names) >= SILENT | MENDED


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.name.replace(" ", "-"))
def test_each_lie_is_found_as_told_and_after_everything_was_computed_anew(full_copy, lie):
    tell(full_copy, *lie.told)
    assert open_store(str(full_copy)).verify()
    lies = rechain(full_copy, renumber=True)
    assert (lies == []) == (lie.name in SILENT | MENDED), lies


@pytest.mark.parametrize(
    "name",
    [
        "a retraction never was",
        "a re-run never was",
        "a failed request to the LLM was never made",
        "a run never finished",
    ],
)
def test_a_deleted_row_leaves_a_hole_unless_ids_are_given_anew(full_copy, name):
    tell(full_copy, *next(lie.told for lie in LIES if lie.name == name))
    assert any("ids are given without holes" in lie for lie in rechain(full_copy))
