"""Verdicts are functions of rows: slots keep their weights, refutation needs a confirmed opposite, views are views."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakatos.experiments_db import open_store
from lakatos.experiments_db.documents import correction_document
from lakatos.experiments_db.verdict import Slot, confirmed, groups, judge
from lakatos.tools.claim import atoms, parse_claim
from lakatos.tools.errors import UserError
from lakatos.tools.multiplicity import online_ebh, slot_weights


def entry(slot, e=None, p=1.0, text="a1.h1@END carries toy", batches=4, stop="success", weights="w"):
    claim, behaviour = parse_claim(text)
    return Slot(
        id=slot,
        run_id=1,
        slot=slot,
        kind=claim.kind,
        behaviour=behaviour,
        behaviour_hash="b",
        weights=weights,
        subject="+".join(claim.tested.components),
        atoms=atoms(claim, 4),
        batches=0 if e is None else batches,
        stop=None if e is None else stop,
        frozen_e=e,
        frozen_p=None if e is None else p,
    )


def judged(*texts_and_e):
    """States of claims given as (text, e), in slot order."""
    slots = [entry(k, e, text=f"{text}") for k, (text, e) in enumerate(texts_and_e, 1)]
    claims = {k: parse_claim(text)[0] for k, (text, _) in enumerate(texts_and_e, 1)}
    found = judge(slots, 0.05, lambda ids: {key: claims[key] for key in ids})
    return [found[k] for k in range(1, len(slots) + 1)]


def test_verdicts_equal_online_ebh_over_all_slots():
    e = [5000.0, 1.0, None, 3000.0, 2500.0, 0.1]
    entries = [entry(k + 1, x, text=f"m{k} carries toy") for k, x in enumerate(e)]
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
    assert confirmed([entry(1, None), entry(2, 1e9, stop="crashed")], 0.05, "online-ebh") == [False, False]
    assert confirmed([entry(1, None)], 0.05, "none") == [False]


def test_states():
    found = judged(
        ("m5 carries toy", 1e6),
        ("m5 opposes toy", 0.1),
        ("m6 opposes toy", 0.1),
        ("m7 carries toy", None),
        ("m5 opposes toy (>= 50% of gap, 4 random)", 0.1),
        ("m5 necessary for toy", 0.1),
        ("m5 has no effect on toy (denoising)", 0.1),
    )
    assert [j.state for j in found] == [
        "confirmed",
        "refuted",
        "inconclusive",
        "registered",
        "refuted",
        "inconclusive",
        "refuted",
    ]
    assert found[1].contradicted_by == 1
    assert found[2].contradicted_by is None


def test_equivalence_refutes_only_once_it_is_confirmed():
    assert [j.state for j in judged(("m5 necessary for toy", 0.1), ("m5 has no effect on toy", 1e6))] == [
        "refuted",
        "confirmed",
    ]
    assert [j.state for j in judged(("m5 necessary for toy", 0.1), ("m5 has no effect on toy", 100.0))] == [
        "inconclusive",
        "inconclusive",
    ]


def test_two_confirmed_opposites_stay_confirmed_and_are_named():
    found = judged(("m5 carries toy", 1e6), ("m5 opposes toy", 1e6))
    assert [(j.state, j.contradicted_by) for j in found] == [("confirmed", 2), ("confirmed", 1)]


def test_a_confirmed_generalisation_replicates_its_parent():
    found = judged(("m5 carries toy", 1e6), ("m5 carries toy/distant", 1e6), ("m5 carries toy/far", 0.1))
    assert [(j.state, j.replicated_by) for j in found] == [
        ("confirmed", 2),
        ("confirmed", None),
        ("inconclusive", None),
    ]


def test_a_claim_is_not_refuted_by_its_own_kind_of_failure():
    assert [j.state for j in judged(("m5 carries toy", 0.0001), ("m5 opposes toy", 0.0001))] == ["inconclusive"] * 2


def test_another_models_verdict_refutes_nothing():
    slots = [entry(1, 1e6, text="m5 carries toy"), entry(2, 0.1, text="m5 opposes toy", weights="v")]
    assert judge(slots, 0.05, lambda ids: {})[2].state == "inconclusive"


def test_overlapping_claims_are_one_group_and_later_ones_change_nothing():
    texts = [
        "a1.h0 carries toy",
        "m9 carries toy",
        "a1.h0@END necessary for toy",  # the same head
        "a1.h0 + m1 carries toy",  # half of it
        "a1.h0 + m1 + m2 carries toy",  # a third of the first; two thirds of the fourth, which is of its group
        "a1 carries toy",  # four heads, of which one: a quarter
        "a1.h0 + m9 carries toy",  # half of either: the earlier one's
    ]
    slots = [entry(k, 1.0, text=text) for k, text in enumerate(texts, 1)]
    for some in range(1, len(slots) + 1):
        assert list(groups(slots[:some]).values()) == [1, 2, 1, 1, 1, 6, 1][:some]
    assert groups([*slots[:1], entry(2, 1.0, text=texts[0], weights="other")]) == {1: 1, 2: 2}


def test_wordings_of_one_finding_do_not_lower_the_bar():
    """Nine wordings of a truth, and something else at e = 500: nine rows would confirm it, one group does not."""
    same = [entry(k, 1e6, text=f"a1.h0 carries toy (>= {k}% of gap)") for k in range(1, 10)]
    other = entry(10, 500.0, text="m9 carries toy")
    assert confirmed([*same, other], 0.05) == [True] * 9 + [False]
    numbers = np.array([s.e for s in [*same, other]])
    assert online_ebh(numbers, slot_weights(10), 0.05).all(), "by rows it would be"
    padded = [entry(k, 1e6, text=f"a1.h0 + m{2 * k} + m{2 * k + 1} carries toy") for k in range(1, 9)]
    assert len(set(groups(padded).values())) == 8, "a fifth of each other"
    assert confirmed([*padded, entry(9, 500.0, text="m90 carries toy")], 0.05) == [True] * 8 + [False]
    easy = [entry(k, 1e6, text=f"m{k} has no effect on toy") for k in range(1, 9)]
    assert confirmed([*easy, entry(9, 500.0, text="m9 carries toy")], 0.05) == [True] * 8 + [False]
    apart = [entry(k, 1e6, text=f"m{k} carries toy") for k in range(1, 9)]
    assert confirmed([*apart, entry(9, 500.0, text="m9 carries toy")], 0.05) == [True] * 9


def test_views_are_marked_and_only_one_is_official(toy_log):
    store = open_store(str(toy_log))
    assert correction_document(store, "online-ebh", None, "study")["official"]
    for method in ("e-bh", "bh", "by", "holm", "bonferroni", "lord++", "saffron", "addis", "lond", "none"):
        assert not correction_document(store, method, None, "study")["official"]
    assert not correction_document(store, "online-ebh", 0.2, "study")["official"]
    assert not correction_document(store, "online-ebh", None, "kind")["official"]
    kinds = correction_document(store, "bh", None, "kind")["families"]
    assert sum(kinds.values()) == len(store.hypotheses())
    assert set(kinds) == {"node_effect", "necessity", "no_effect"}
    with pytest.raises(UserError, match="tukey"):
        correction_document(store, "tukey", None, "study")
    with pytest.raises(UserError, match="planet"):
        correction_document(store, "bh", None, "planet")


def test_stronger_corrections_confirm_no_more(toy_log):
    store = open_store(str(toy_log))
    counts = {
        m: correction_document(store, m, None, "study")["confirmed"] for m in ("none", "bh", "holm", "bonferroni")
    }
    assert counts["none"] >= counts["bh"] >= counts["holm"] >= counts["bonferroni"]
