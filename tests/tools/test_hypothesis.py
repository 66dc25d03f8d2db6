"""The identity of a claim: every field counts, no prose does, and there is one way to write it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError

from lakatos.tools.canonical import canonical_json, content_hash
from lakatos.tools.hypothesis import CLAIM, AnyClaim, Hypothesis, Necessity, NodeEffect, claim_hash, describe

texts = st.sampled_from(["a9.h6@END", "a9.h6", "m5", "m5.n12@3", "r3@S2", "a0"])
shared = {
    "components": st.lists(texts, min_size=1, max_size=5),
    "metric": st.sampled_from(["logit_diff", "prob_diff"]),
    "threshold": st.floats(0, 2, exclude_min=True),
}
node = st.fixed_dictionaries(
    {"kind": st.just("node_effect")} | shared,
    optional={
        "intervention": st.sampled_from(["denoising", "noising"]),
        "direction": st.sampled_from(["supports", "opposes"]),
        "matched_random": st.integers(3, 8),
    },
)
necessity = st.fixed_dictionaries(
    {"kind": st.just("necessity")} | shared,
    optional={"ablation": st.sampled_from(["resample", "zero"]), "specificity": st.floats(3, 10)},
)
claims = (node | necessity).map(CLAIM.validate_python)


def hash_of(claim: AnyClaim, weights: str = "sha256:w", behaviour: str = "sha256:b") -> str:
    return claim_hash(claim, weights=weights, behaviour=behaviour, controls={})


@given(claims, claims)
def test_claims_share_a_hash_only_if_every_field_is_equal(one: AnyClaim, other: AnyClaim) -> None:
    assert (hash_of(one) == hash_of(other)) == (one == other)


@given(node | necessity, node | necessity, st.data())
def test_changing_any_one_field_changes_the_hash(fields: dict[str, Any], others: dict[str, Any], data: Any) -> None:
    claim = CLAIM.validate_python(fields)
    name = data.draw(st.sampled_from(sorted(set(type(claim).model_fields) - {"kind"})))
    changed = {**claim.model_dump(), name: others.get(name, 2)}
    try:
        other = CLAIM.validate_python(changed)
    except ValidationError:
        assume(False)
    assert (hash_of(other) == hash_of(claim)) == (getattr(other, name) == getattr(claim, name))


@given(claims)
def test_model_and_behaviour_are_part_of_it(claim: AnyClaim) -> None:
    hashes = {hash_of(claim), hash_of(claim, weights="sha256:x"), hash_of(claim, behaviour="sha256:x")}
    assert len(hashes) == 3


@given(claims)
def test_it_survives_json(claim: AnyClaim) -> None:
    again = CLAIM.validate_json(CLAIM.dump_json(claim))
    assert (again, hash_of(again)) == (claim, hash_of(claim))


def test_prose_prediction_and_role_are_not_part_of_it() -> None:
    claim = NodeEffect(components=("m5",))
    one = Hypothesis(claim=claim, rationale="because", predicted=0.5)
    other = Hypothesis(claim=claim, rationale="reworded", predicted=-1, role="rival")
    assert hash_of(one.claim) == hash_of(other.claim)


def test_there_is_one_way_to_write_the_components() -> None:
    one = NodeEffect(components=("m5", " a9.h06@END", "m5", "a10.h1"))
    assert one.components == ("a10.h1", "a9.h6@END", "m5")
    assert hash_of(one) == hash_of(NodeEffect(components=("a9.h6@END", "a10.h1", "m5")))


def test_defaults_may_be_left_out() -> None:
    written = CLAIM.validate_json(
        '{"kind": "node_effect", "components": ["m5"], "metric": "logit_diff", "threshold": 0.1,'
        ' "intervention": "denoising", "direction": "supports", "matched_random": 3}'
    )
    assert hash_of(written) == hash_of(NodeEffect(components=("m5",)))
    one, same = (NodeEffect(components=("m5",), threshold=number) for number in (1, 1.0))
    assert hash_of(one) == hash_of(same)


def test_the_hash_of_a_known_claim_stays_what_it_is() -> None:
    """Registered claims are found by their hash for ever: a new field needs a migration, not a silent change."""
    claim = Necessity(components=("a9.h6@END",))
    expected = (
        '{"behaviour":"sha256:b","claim":{"ablation":"resample","components":["a9.h6@END"],"kind":"necessity",'
        '"metric":"logit_diff","specificity":3.0,"threshold":0.1},"controls":{},"weights":"sha256:w"}'
    )
    record = {"weights": "sha256:w", "behaviour": "sha256:b", "controls": {}, "claim": claim.model_dump(mode="json")}
    assert canonical_json(record) == expected
    assert hash_of(claim) == content_hash(record)
    assert hash_of(claim) == "sha256:33803dd7785d25c35e3f212e99884758dd2f3728dff0ca912881c816dfed0604"


@pytest.mark.parametrize(
    "fields",
    [
        {"components": []},
        {"components": ["a9.h"]},
        {"components": ["m5"] * 17},
        {"components": ["m5"], "threshold": 0},
        {"components": ["m5"], "threshold": float("nan")},
        {"components": ["m5"], "metric": "kl"},
        {"components": ["m5"], "verdict": "confirmed"},
        {"components": ["m5"], "matched_random": 0},
        {"components": ["m5"], "direction": "either"},
        {"components": ["m5"], "kind": "necessity", "specificity": 0.5},
        {"components": ["m5"], "kind": "necessity", "specificity": float("inf")},
        {"components": ["m5"], "kind": "necessity", "direction": "supports"},
        {"components": ["m5"], "kind": "vibes"},
    ],
)
def test_what_is_no_claim_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        CLAIM.validate_python({"kind": "node_effect"} | fields)


def test_a_claim_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        NodeEffect(components=("m5",)).threshold = 0.01


@pytest.mark.parametrize(
    ("claim", "line"),
    [
        (
            Necessity(components=("a9.h6@END",)),
            "a9.h6@END necessary for ioi (resample, logit_diff, >= 10% of gap)",
        ),
        (
            NodeEffect(components=("m5", "a1"), direction="opposes", intervention="noising", threshold=0.125),
            "a1 + m5 opposes ioi (noising, logit_diff, >= 12.5% of gap)",
        ),
        (
            NodeEffect(components=("r3@S2",), metric="prob_diff"),
            "r3@S2 carries ioi (denoising, prob_diff, >= 10% of gap)",
        ),
    ],
)
def test_in_a_line(claim: AnyClaim, line: str) -> None:
    assert describe(claim, "ioi") == line


def test_canonical_json() -> None:
    assert canonical_json({"b": 0.1, "a": ["é", None, 1e300]}) == '{"a":["é",null,1e+300],"b":0.1}'
    assert content_hash({"a": 1, "b": 2}) == content_hash({"b": 2, "a": 1}) != content_hash({"a": 1, "b": 2.0})
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json(float("nan"))
