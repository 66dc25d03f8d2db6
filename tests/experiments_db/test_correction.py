"""Verdicts are functions of rows: slots keep their weights, refutation needs a confirmed opposite, views are views."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakatos.experiments_db import open_store
from lakatos.experiments_db.correction import confirmed, with_states
from lakatos.experiments_db.documents import correction_document
from lakatos.experiments_db.records import Entry
from lakatos.tools.errors import UserError
from lakatos.tools.evidence import Evidence
from lakatos.tools.multiplicity import online_ebh, slot_weights


def entry(slot, e=None, p=1.0, direction="supports", component="a1.h1@END", kind="node_effect", **claim):
    fields = {"kind": kind, "components": [component], **claim}
    if kind == "node_effect":
        fields["direction"] = direction
    evidence = None
    if e is not None:
        evidence = Evidence(
            n=64, e=e, p=p, e_by_batch=(), stop="success", lines=(), templates=1, intraclass_correlation=None
        )
    record = {"claim": fields, "behaviour": "toy", "behaviour_hash": "b", "weights": "w"}
    return Entry(slot, 1, slot, f"h{slot}", "", record, "", "file", 0, 0.0, evidence)


def test_verdicts_equal_online_ebh_over_all_slots():
    e = [5000.0, 1.0, None, 3000.0, 2500.0, 0.1]
    entries = [entry(k + 1, x) for k, x in enumerate(e)]
    numbers = np.array([x or 0.0 for x in e])
    assert confirmed(entries, 0.05) == online_ebh(numbers, slot_weights(6), 0.05).tolist()
    assert confirmed(entries, 0.05)[0]


@given(st.permutations(range(6)))
def test_the_order_in_which_entries_are_listed_does_not_matter(order):
    entries = [entry(k + 1, x) for k, x in enumerate([5000.0, 1.0, 4100.0, 3000.0, 2500.0, 0.1])]
    flags = dict(zip([e.slot for e in entries], confirmed(entries, 0.05), strict=True))
    shuffled = [entries[k] for k in order]
    assert dict(zip([e.slot for e in shuffled], confirmed(shuffled, 0.05), strict=True)) == flags


def test_a_part_of_the_study_keeps_the_weights_of_its_slots():
    late = entry(101, 7000.0)
    assert confirmed([late], 0.05) == [False], "slot 101 is in the second block: it needs 16,000"
    assert confirmed([entry(1, 7000.0)], 0.05) == [True]


def test_an_untested_or_crashed_claim_is_never_confirmed():
    assert confirmed([entry(1, None), entry(2, 0.0)], 0.05, "online-ebh") == [False, False]
    assert confirmed([entry(1, None)], 0.05, "none") == [False]


def test_states():
    states = with_states(
        [
            entry(1, 1e6),
            entry(2, 0.1, direction="opposes"),
            entry(3, 0.1, direction="opposes", component="a2.h0"),
            entry(4, None),
            entry(5, 0.1, direction="opposes", threshold=0.5, matched_random=4),
            entry(6, 0.1, kind="necessity"),
        ],
        0.05,
    )
    assert [s.state for s in states] == [
        "confirmed",
        "refuted",
        "inconclusive",
        "registered",
        "refuted",
        "inconclusive",
    ]
    assert states[1].contradicted_by == 1
    assert states[2].contradicted_by is None


def test_a_claim_is_not_refuted_by_its_own_kind_of_failure():
    states = with_states([entry(1, 0.0001), entry(2, 0.0001, direction="opposes")], 0.05)
    assert [s.state for s in states] == ["inconclusive", "inconclusive"]


def test_views_are_marked_and_only_one_is_official(toy_log):
    store = open_store(str(toy_log))
    assert correction_document(store, "online-ebh", None, "study")["official"]
    for method in ("e-bh", "bh", "by", "holm", "bonferroni", "lord++", "none"):
        assert not correction_document(store, method, None, "study")["official"]
    assert not correction_document(store, "online-ebh", 0.2, "study")["official"]
    assert not correction_document(store, "online-ebh", None, "kind")["official"]
    kinds = correction_document(store, "bh", None, "kind")["families"]
    assert sum(kinds.values()) == len(store.hypotheses())
    assert set(kinds) == {"node_effect", "necessity"}
    with pytest.raises(UserError, match="saffron"):
        correction_document(store, "saffron", None, "study")
    with pytest.raises(UserError, match="planet"):
        correction_document(store, "bh", None, "planet")


def test_stronger_corrections_confirm_no_more(toy_log):
    store = open_store(str(toy_log))
    counts = {
        m: correction_document(store, m, None, "study")["confirmed"] for m in ("none", "bh", "holm", "bonferroni")
    }
    assert counts["none"] >= counts["bh"] >= counts["holm"] >= counts["bonferroni"]
