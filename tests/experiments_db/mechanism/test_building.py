"""Mechanisms from logs: what each confirmed claim becomes, what is open, what is explained; of a run, of a study."""

from __future__ import annotations

import json

import pytest
from forging import forge

from lakatos.experiments_db import open_store
from lakatos.experiments_db.documents import COLUMNS
from lakatos.experiments_db.mechanism import mechanism_of, run_mechanism, runs_about, study_mechanism
from lakatos.tools.errors import UserError

EXPLAINED = {
    "clean": [3.0, 3.0, 4.0, 4.0],
    "corrupted": [0.0] * 4,
    "patched": [1.0, 2.0, 2.0, 1.0],
    "ablated": [2.0, 3.0, 3.0, 3.0],
    "templates": ["a", "a", "b", "b"],
    "components": ["m2@END"],
    "hypotheses": [1, 99],
}


@pytest.fixture
def store(stored_log):
    """Claim 5 is confirmed (m2 is necessary), and 8 (a head has no effect); run 3 failed before it tested anything."""
    return open_store(str(stored_log), create=False)


def test_a_run(store):
    found = run_mechanism(store, 1)
    (node,) = found.nodes
    assert (node.component, node.claims, node.necessary, node.effect) == ("m2", (5,), True, None)
    entry = store.hypothesis("5")
    assert node.lost == entry.evidence.effect.mean / entry.battery.gap
    assert [(a.components, a.claims) for a in found.absent] == [(("a0.h3@END",), (8,))]
    assert {o.claim: o.why for o in found.open} == dict.fromkeys([1, 2, 3, 4, 6], "undecided") | {7: "rival"}
    assert (found.tested, found.confirmed, found.empty, found.explained) == (8, 2, False, None)
    assert (found.n_layers, found.n_heads, found.n_groups) == (3, 4, 2)
    assert found.positions == ("IO", "S2", "END")
    assert found.question == "who was named once?"
    assert found.sentences


def test_every_number_of_it_is_that_of_a_claim_of_the_run(store):
    found = run_mechanism(store, 1)
    own = {entry.id for entry in store.hypotheses(1)}
    assert {n for sentence in found.sentences for n in sentence.claims} <= own
    assert {row["id"] for row in found.lines} == own


def test_a_run_that_failed_has_none(store):
    found = run_mechanism(store, 3)
    assert found.empty
    assert (found.tested, found.nodes, found.lines) == (0, (), ())


def test_a_study_takes_all_runs_of_the_same_question_and_no_others(store):
    newest = study_mechanism(store, "toy")
    assert newest.runs == (3,), "of the newest run's weights"
    model = store.run(1).model
    assert runs_about(store, "toy", model) == [1, 2]
    found = study_mechanism(store, "toy", model)
    assert found.runs == (1, 2)
    assert found.tested == 10
    assert found.nodes == run_mechanism(store, 1).nodes


def test_what_is_not_there_is_said(store):
    with pytest.raises(UserError, match="There is no run 9"):
        run_mechanism(store, 9)
    with pytest.raises(UserError, match="No run of this study is about other"):
        study_mechanism(store, "other")
    with pytest.raises(UserError, match="about toy on gpt2"):
        study_mechanism(store, "toy", "gpt2")


def test_effects_what_was_left_and_what_is_explained(stored_log):
    forge(stored_log, 1)
    store = open_store(str(stored_log))
    left = {"claim": {"kind": "node_effect", "components": ["a0.h1@END"]}, "role": "main"}
    store.event(1, "searched", {"left": [left], "stages": [{"left": [left]}]})
    store.event(1, "explained", EXPLAINED)
    found = run_mechanism(store, 1)
    node = found.nodes[1]
    entry = store.hypothesis("1")
    assert (node.component, node.direction, node.claims) == ("m2@END", "supports", (1,))
    assert node.effect == entry.evidence.effect.mean / entry.battery.gap > 0.5
    assert found.open[-1].text.startswith("a0.h1@END carries toy")
    assert (found.open[-1].why, found.open[-1].claim) == ("not tested", None)
    told = found.explained
    assert (told.run, told.pairs, told.components, told.claims) == (1, 4, ("m2@END",), (1,))
    assert told.restored.mean == pytest.approx(6 / 14)
    assert told.lost.mean == pytest.approx(3 / 14)


def test_a_document_is_json_and_a_frame_has_a_row_for_each_hypothesis(store):
    found = run_mechanism(store, 1)
    document = json.loads(json.dumps(found.document(), allow_nan=False))
    assert document["nodes"][0]["component"] == "m2"
    assert "lines" not in document
    frame = found.to_frame()
    assert list(frame.columns) == list(COLUMNS)
    assert len(frame) == 8


def test_entries_may_come_from_elsewhere(store):
    entries = [entry for entry in store.hypotheses(1) if entry.state == "confirmed"]
    found = mechanism_of(store, [1], entries)
    assert found.nodes == run_mechanism(store, 1).nodes
    assert found.open == ()


def test_effects_of_a_claim_alone_stand_before_those_of_several_together():
    from types import SimpleNamespace

    from lakatos.experiments_db.mechanism.building import _node
    from lakatos.tools.claim import NodeEffect

    alone, joint = NodeEffect(components=("m1",)), NodeEffect(components=("a0.h1", "m1"))

    def own(number, fraction):
        return SimpleNamespace(backing={"claims": (number,), "families": (), "unshown": ()}, fraction=fraction)

    first = _node(alone, "m1", own(1, 0.2), _node(joint, "m1", own(2, 0.7), None))
    second = _node(joint, "m1", own(2, 0.7), _node(alone, "m1", own(1, 0.2), None))
    assert first == second
    assert (first.effect, first.together, first.claims) == (0.2, (), (1, 2))
    assert _node(joint, "m1", own(2, 0.7), None).together == ("a0.h1", "m1")
