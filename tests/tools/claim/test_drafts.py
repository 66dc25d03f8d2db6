"""Answers to narrow questions: what they choose, and the claims that come of them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakatos.tools.claim import Hypothesis
from lakatos.tools.claim.drafts import ANYWHERE, NONE, PREDICTED, WAYS, Exchange, drafted, question, read_choice
from lakatos.tools.errors import ProposalError

COMPONENTS = ["m2", "a1.h3", NONE]
WAY = {"position": ["END", ANYWHERE], "way": WAYS, "direction": ["supports", "opposes"], "predicted": PREDICTED}


def exchange(number, step, offered, **said):
    return Exchange(question(number, step, **offered), json.dumps({"rationale": f"{step} {number}", **said}))


def component(number, name, **more):
    offered = {"more": [True, False]} if more else {}
    return exchange(number, "component", {**offered, "component": COMPONENTS}, component=name, **more)


def way(number, position="END", way="enough", direction="supports"):
    return exchange(number, "way", WAY, position=position, way=way, direction=direction, predicted=0.3)


def claims(*exchanges, threshold=0.1):
    found = drafted(exchanges, threshold)
    return [(h.role, h.claim.kind, h.claim.components[0], h.claim.how) for h in map(Hypothesis.model_validate, found)]


@pytest.mark.parametrize(
    ("position", "how", "direction", "expected"),
    [
        ("END", "enough", "supports", ("node_effect", "m2@END", "denoising")),
        ("END", "needed", "supports", ("node_effect", "m2@END", "noising")),
        (ANYWHERE, "enough", "opposes", ("node_effect", "m2", "denoising")),
        (ANYWHERE, "needed", "supports", ("necessity", "m2", "resample")),
        (ANYWHERE, "needed", "opposes", ("node_effect", "m2", "noising")),
    ],
)
def test_position_way_and_direction_make_the_claim(position, how, direction, expected):
    assert claims(component(1, "m2"), way(1, position, how, direction)) == [("main", *expected)]


def test_a_draft_without_component_or_way_is_no_claim():
    assert claims(component(1, "m2")) == []
    assert claims(way(1)) == []
    assert claims(component(1, NONE), way(1)) == []
    assert claims(component(2, "m2", more=False), way(2)) == []
    assert [c[2] for c in claims(component(2, "m2", more=True), way(2))] == ["m2@END"]


def test_a_draft_that_is_begun_again_replaces_itself_and_those_after_it():
    again = claims(component(1, "m2"), way(1), component(2, "a1.h3"), way(2), component(1, "a1.h3"), way(1, ANYWHERE))
    assert [c[2] for c in again] == ["a1.h3"]


def test_a_null_keeps_within_the_margin_that_such_claims_have():
    null = exchange(1, "null", {"component": ["a0.h2@END"]}, component="a0.h2@END")
    assert claims(component(1, "m2"), way(1), null, threshold=1.5)[1] == ("null", "no_effect", "a0.h2@END", "denoising")


def test_a_choice_is_read_in_the_spelling_of_the_question():
    asked = question(1, "component", component=COMPONENTS, predicted=PREDICTED, more=[True, False])
    said = {"component": " A1.H3\n", "predicted": 1, "more": True, "rationale": "a \n b" * 400, "other": 3}
    chosen = read_choice(asked, json.dumps(said))
    assert (chosen["component"], chosen["predicted"], chosen["more"]) == ("a1.h3", 1.0, True)
    assert len(chosen["rationale"]) == 400
    assert set(chosen) == {"rationale", "component", "predicted", "more"}


@pytest.mark.parametrize("more", [1, 0, "true", None, [True]])
def test_what_is_alike_is_not_the_same(more):
    with pytest.raises(ProposalError, match="more is"):
        read_choice(question(1, "component", more=[True, False]), json.dumps({"more": more}))
    with pytest.raises(ProposalError, match="predicted is true"):
        read_choice(question(1, "way", predicted=PREDICTED), '{"predicted": true}')


_VALUES = st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists, max_leaves=4)


@given(st.dictionaries(st.sampled_from(["rationale", "component", "more", "predicted"]), _VALUES) | _VALUES)
def test_any_json_is_a_choice_or_none(said):
    asked = question(1, "component", component=COMPONENTS, more=[True, False])
    text = json.dumps(said)
    try:
        chosen = read_choice(asked, text)
    except ProposalError:
        assert drafted([Exchange(asked, text), way(1)], 0.1) == []
    else:
        assert chosen["component"] in COMPONENTS
