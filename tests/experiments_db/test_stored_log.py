"""A log of an earlier release: it verifies and says what it said, and what it names means what it meant.

`stored_log.db.gz` is the log of `full_log.py` as that release wrote it. `stored_log.json` is what it said of it, the
hashes of a claim of each kind, and those of the built-in behaviours with the first prompts of a stream of each.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tampering import rechain, tell

from lakatos.experiments_db import open_store
from lakatos.tools.behaviour import load_behaviour
from lakatos.tools.claim import KINDS, claim_hash, parse_claim

DATA = Path(__file__).parents[1] / "data"
GOLDEN = json.loads((DATA / "stored_log.json").read_text("utf-8"))


@pytest.fixture
def stored(stored_log):
    return open_store(str(stored_log), create=False)


def test_it_verifies(stored):
    assert stored.verify() == []


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("measured = json_set(measured, '$.intervened', 99.5)", "its e-value is not that of its prompts"),
        ("measured = json_remove(measured, '$.intervened')", "is not of its claim, or lacks a number of its battery"),
        ("uid = 'chosen'", "effects row 3: is not the prompt that the seed gives"),
        ("prompt = json_set(prompt, '$.clean', 'another')", "effects row 3: is not the prompt that the seed gives"),
        ("batch_id = 2", "has 15 prompts, not 16 in their places"),
    ],
)
def test_lies_about_its_prompts_are_named(stored, stored_log, change, named):
    tell(stored_log, f"UPDATE effects SET {change} WHERE id = 3")
    assert any(named in lie for lie in rechain(stored_log))


def test_it_says_what_it_said(stored):
    said = [
        {"claim": e.text, "hash": e.claim_hash, "state": e.state, "e": e.evidence.e if e.evidence else None}
        for e in stored.hypotheses()
    ]
    assert said == GOLDEN["log"]


def test_a_claim_of_each_kind_has_the_hash_that_it_had():
    kinds = set()
    for text, known in GOLDEN["claims"].items():
        claim, _ = parse_claim(text)
        kinds.add(type(claim))
        assert claim_hash(claim, weights="w", behaviour="b", controls={}, study="main") == known, text
    assert kinds <= set(KINDS)


@pytest.mark.parametrize("name", GOLDEN["behaviours"])
def test_a_behaviour_has_the_hash_and_the_prompts_that_it_had(name):
    behaviour = load_behaviour(name)
    assert behaviour.hash == GOLDEN["behaviours"][name]
    for split, prompts in GOLDEN["prompts"][name].items():
        assert [pair.clean for pair in behaviour.sample(2, 7, split)] == prompts
