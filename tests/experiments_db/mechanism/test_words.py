"""Sentences about mechanisms: how many, what they rest on, and that they are English."""

from __future__ import annotations

import re
from dataclasses import fields, replace

import mechanisms as made
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakatos.experiments_db.mechanism import Backup, Circuit, Explained, Looks, Mechanism, Node, Open, Path, Share
from lakatos.experiments_db.mechanism.words import MOST, sentences

WITHOUT_BASIS = r"^(Nothing is confirmed|No .* is confirmed so far|No claim has been tested|Of .* tested|One claim was)"
PARTS = ("nodes", "paths", "looks", "backups", "circuits", "absent", "readings", "explained", "open")


def texts(found):
    return [sentence.text for sentence in sentences(found)]


def claims_of(value):
    if isinstance(value, tuple):
        return {n for part in value for n in claims_of(part)}
    known = getattr(value, "claims", None)
    return set(known) if known else {value.claim} - {None} if isinstance(value, Open) else set()


@st.composite
def any_mechanism(draw):
    """Some of the parts of a large one, so that every combination of what is there and missing turns up."""
    found = draw(st.sampled_from([made.like_ioi(), made.large(draw(st.integers(0, 5)))]))
    empty = {f.name: f.default for f in fields(Mechanism) if f.name in PARTS}
    kept = draw(st.sets(st.sampled_from(PARTS)))
    parts = {name: getattr(found, name) if name in kept else empty[name] for name in PARTS}
    for name in PARTS:
        if isinstance(parts[name], tuple) and parts[name]:
            parts[name] = parts[name][: draw(st.integers(1, len(parts[name])))]
    return replace(found, **parts)


@given(any_mechanism())
def test_every_sentence(found):
    told = list(sentences(found))
    assert (1 if found.empty else 3) <= len(told) <= MOST
    known = {n for name in PARTS for n in claims_of(getattr(found, name))}
    for sentence in told:
        assert set(sentence.claims) <= known
        assert list(sentence.claims) == sorted(set(sentence.claims))
        assert sentence.claims or re.match(WITHOUT_BASIS, sentence.text), sentence
        assert re.match(r"[A-Z0-9]", sentence.text), sentence
        assert not re.match(r"[AM]\d", sentence.text), "a component begins it, and is capitalised"
        assert sentence.text.endswith(".")
        assert not re.search(r"  |\(\)| ,|\.\.|\bNone\b|\bone [a-z]+s are\b|\btwo [a-z]+ is\b", sentence.text), sentence
        assert found.behaviour.capitalize() not in sentence.text


def test_a_sentence_ends_in_its_claims():
    assert str(next(sentences(made.one_node()))).endswith(" [1]")
    assert str(list(sentences(made.one_node()))[-1]).endswith(".")


def test_one_node():
    assert texts(made.one_node()) == [
        "One component carries ioi: a23.h3@END (+33% of the gap).",
        "No path, attention role or circuit is confirmed so far.",
        "One claim was tested, and is confirmed.",
    ]


def test_nothing():
    assert texts(made.nothing()) == [
        "Nothing is confirmed of how smollm2-135m does ioi.",
        "One claim was tested, and is not confirmed.",
    ]
    assert texts(made.mechanism(tested=0, confirmed=0))[-1] == "No claim has been tested yet."


def test_that_components_have_no_effect_is_not_nothing_and_is_not_a_mechanism():
    found = made.mechanism(absent=made.like_ioi().absent[:1])
    assert texts(found)[1] == "It is confirmed that a18.h8@END has no effect of 10% of the gap or more."


@pytest.mark.parametrize(
    ("parts", "wanted"),
    [
        (
            {"nodes": (Node((1,), component="m2", necessary=True, lost=0.22),), "behaviour": "toy"},
            "The model needs m2 for toy: its ablation costs 22% of the gap and hurts control behaviours far less.",
        ),
        (
            {"nodes": tuple(Node((n,), component=f"m{n}", necessary=True, lost=n / 10) for n in (2, 3))},
            "The model needs m2 and m3 for ioi: each ablation costs at least 20% of the gap and hurts control "
            "behaviours far less.",
        ),
        (
            {"nodes": (Node((1,), component="a1.h1", effect=-0.2, direction="opposes"),)},
            "One component opposes ioi: a1.h1 (-20% of the gap).",
        ),
        (
            {"nodes": tuple(Node((1,), component=c, effect=0.5, together=("a1", "m2")) for c in ("a1", "m2"))},
            "Two components carry ioi: a1 + m2 (+50% of the gap).",
        ),
        (
            {"paths": (Path((1,), senders=("a1.h1",), receivers=("a2.h2.q",)),)},
            "The effect of a1.h1 goes through a2.h2.q (at least 50% of it).",
        ),
        (
            {
                "paths": (
                    Path((1,), senders=("a1.h1",), receivers=("logits",), share=0.7),
                    Path((2,), senders=("a1.h3", "m0"), receivers=("m4",), share=0.6),
                )
            },
            "Effects go from a1.h1 straight to the logits and from a1.h3 + m0 through m4 (at least 60% of each).",
        ),
        (
            {"looks": tuple(Looks((n,), heads=(f"a1.h{n}",), attends_from="END", attends_to="IO") for n in (1, 2))},
            "Heads a1.h1 and a1.h2 attend from END to IO.",
        ),
        (
            {"looks": tuple(Looks((1,), heads=("a1.h1",), attends_from=f, attends_to="IO") for f in ("END", "S2"))},
            "Head a1.h1 attends from END to IO and from S2 to IO.",
        ),
        (
            {"nodes": tuple(Node((n,), component=f"m1@{at}", effect=n / 10) for n, at in ((1, "S2"), (2, "END")))},
            "One component carries ioi: m1@END (+20% of the gap) and m1@S2 (+10%).",
        ),
        (
            {"backups": (Backup((1,), components=("a5.h1",), of=("a1.h1", "a1.h2")),)},
            "When a1.h1 and a1.h2 are missing, a5.h1 does part of their work.",
        ),
        (
            {"circuits": (Circuit((1,), components=("m1",), faithfulness=0.8),)},
            "With everything else ablated, m1 keeps at least 80% of the metric.",
        ),
        (
            {"nodes": (Node((1,), (), ("distant",), component="m1", effect=0.2),)},
            "On the prompt family ioi/distant the one finding that was tested is not shown.",
        ),
        (
            {"nodes": tuple(Node((n,), ("distant",), component=f"m{n}", effect=0.2) for n in (1, 2))},
            "On the prompt family ioi/distant both findings that were tested hold too.",
        ),
        (
            {
                "nodes": made.one_node().nodes,
                "explained": Explained(1, ("m1",), (1,), 1, Share(1.2, 1, 1.4), Share(0.5, 0.4, 0.6)),
            },
            "On one fresh prompt pair all confirmed nodes together restore 120% (100% to 140%) of the gap, and "
            "ablating them costs 50% (40% to 60%); nothing of the gap is left to explain.",
        ),
        (
            {"nodes": made.one_node().nodes, "tested": 2, "open": (Open("a", "undecided", 2), Open("b", "not tested"))},
            "Of two claims tested, one is confirmed and one is undecided; one candidate was not tested for want of "
            "budget.",
        ),
    ],
)
def test_one_and_many(parts, wanted):
    assert wanted in texts(made.mechanism(**parts))


def test_long_lists_are_cut_and_say_how_many_more():
    found = made.large()
    assert " and 13 more." in texts(found)[0]
    assert len(next(sentences(found)).claims) == 18
