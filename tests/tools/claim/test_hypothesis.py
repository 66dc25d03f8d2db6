"""The identity of a claim: every field counts, no prose does, and there is one way to write it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError

from lakatos.tools.claim import (
    CLAIM,
    KINDS,
    AnyClaim,
    Hypothesis,
    Necessity,
    NodeEffect,
    atoms,
    claim_fields,
    claim_hash,
    describe,
    in_words,
    opposes,
    parse_claim,
)
from lakatos.tools.errors import UserError
from lakatos.tools.records import canonical_json, content_hash

texts = st.sampled_from(["a9.h6@END", "a9.h6", "m5", "m5.n12@3", "r3@S2", "a0", "a2.h1.q", "a10.g0.k@IO"])
members = st.lists(st.sampled_from(["a9.h6@END", "a3.h2", "m5", "m0@S2", "a0", "a10.h1"]), min_size=2, max_size=5)
fractions = st.integers(1, 20_000).map(lambda k: k / 10_000)
patches, ablations = st.sampled_from(["denoising", "noising"]), st.sampled_from(["resample", "zero"])
directions, counts = st.sampled_from(["supports", "opposes"]), st.integers(3, 8)
measured = {"metric": st.sampled_from(["logit_diff", "prob_diff"]), "threshold": fractions}


def fields_of(kind: str, required: dict[str, Any], **optional: Any) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"kind": st.just(kind)} | required, optional=optional)


anywhere = {"components": st.lists(texts, min_size=1, max_size=5)}
node = fields_of("node_effect", anywhere, **measured, intervention=patches, direction=directions, matched_random=counts)
necessity = fields_of(
    "necessity",
    anywhere,
    **measured,
    ablation=ablations,
    specificity=st.integers(30_000, 90_000).map(lambda k: k / 1e4),
)
sufficiency = fields_of(
    "sufficiency",
    {"components": members},
    **measured,
    ablation=ablations,
    faithfulness=st.integers(1, 10_000).map(lambda k: k / 10_000),
    matched_random=counts,
)
mediation = fields_of(
    "mediation",
    anywhere | {"receivers": st.sampled_from([["logits"], ["a9.h6.q", "m11"], ["a8.g1.v@END"]])},
    **measured,
    intervention=patches,
    direction=directions,
    share=fractions,
    matched_random=counts,
)
attention = fields_of(
    "attention_role",
    {
        "components": st.sampled_from([["a9.h6"], ["a0.h1"]]),
        "attends_from": st.sampled_from(["END", "S2"]),
        "attends_to": st.sampled_from(["IO", "S1"]),
    },
    threshold=st.integers(1, 9_999).map(lambda k: k / 10_000),
)
margins = {"metric": measured["metric"], "threshold": st.integers(1, 2_000).map(lambda k: k / 10_000)}
no_effect = fields_of("no_effect", anywhere, **margins, intervention=patches | ablations)


backup = fields_of(
    "backup",
    {
        "components": st.sampled_from([["a10.h1"], ["a9.h6@END", "m8"], ["a10.h1@END", "a10.h2@END"]]),
        "backed_up": st.lists(st.sampled_from(["a3.h2", "m5", "m0@S2", "a0"]), min_size=1, max_size=3),
    },
    **measured,
    ablation=ablations,
    matched_random=counts,
)


@st.composite
def minimality_fields(draw: Any) -> dict[str, Any]:
    found = draw(fields_of("minimality", {"components": members}, **measured, ablation=ablations))
    assume(len(set(found["components"])) > 1)
    one, *others = dict.fromkeys(found["components"])
    return found | draw(st.sampled_from([{}, {"backups": {one: others}}]))


plain = node | necessity | sufficiency | mediation | attention | no_effect | minimality_fields() | backup
fields = plain | st.builds(
    lambda parent, family: {"kind": "generalisation", "parent": parent, "family": family},
    plain,
    st.sampled_from(["distant", "letters"]),
)
claims = fields.map(CLAIM.validate_python)


def hash_of(claim: AnyClaim, weights: str = "sha256:w", behaviour: str = "sha256:b") -> str:
    return claim_hash(claim, weights=weights, behaviour=behaviour, controls={})


@given(claims, claims)
def test_claims_share_a_hash_only_if_every_field_is_equal(one: AnyClaim, other: AnyClaim) -> None:
    assert (hash_of(one) == hash_of(other)) == (one == other)


@given(plain, plain, st.data())
def test_changing_any_one_field_changes_the_hash(fields: dict[str, Any], others: dict[str, Any], data: Any) -> None:
    claim = CLAIM.validate_python(fields)
    name = data.draw(st.sampled_from(sorted(set(type(claim).model_fields) - {"kind"})))
    changed = {**claim.model_dump(), name: others.get(name, "zero")}
    try:
        other = CLAIM.validate_python(changed)
    except ValidationError:
        assume(False)
    assert (hash_of(other) == hash_of(claim)) == (getattr(other, name) == getattr(claim, name))


@given(claims)
def test_model_and_behaviour_are_part_of_it(claim: AnyClaim) -> None:
    hashes = {hash_of(claim), hash_of(claim, weights="sha256:x"), hash_of(claim, behaviour="sha256:x")}
    assert len(hashes) == 3


def test_what_a_claim_is_controlled_against_is_part_of_it() -> None:
    """The names of the controls and what they are; not the order in which they are given."""
    claim = Necessity(components=("m5",))
    named: list[dict[str, str]] = [
        {},
        {"text": "sha256:1"},
        {"text": "sha256:2"},
        {"code": "sha256:1"},
        {"text": "sha256:1", "code": "sha256:2"},
        {"code": "sha256:2", "text": "sha256:1"},
    ]
    hashes = [claim_hash(claim, weights="sha256:w", behaviour="sha256:b", controls=controls) for controls in named]
    assert len(set(hashes)) == 5
    assert hashes[-1] == hashes[-2]


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
    assert one.components == ("m5", "a9.h6@END", "a10.h1")
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
    claim = Necessity(components=("a9.h6@END",), specificity=4)
    expected = (
        '{"behaviour":"sha256:b","claim":{"components":["a9.h6@END"],"kind":"necessity","specificity":4.0},'
        '"controls":{},"weights":"sha256:w"}'
    )
    record = {"weights": "sha256:w", "behaviour": "sha256:b", "controls": {}, "claim": claim_fields(claim)}
    assert canonical_json(record) == expected
    assert hash_of(claim) == content_hash(record)
    assert hash_of(claim) == "sha256:64ead417eb3ea79e18724fd23cf5df08cc7c3c181887359d476b95979d7ff112"
    elsewhere = claim_hash(claim, weights="sha256:w", behaviour="sha256:b", controls={}, study="second")
    assert elsewhere != hash_of(claim), "another study, another registration"


@pytest.mark.parametrize(
    ("one", "same"),
    [
        ({"kind": "necessity", "components": ["m5", "m5@END"]}, {"kind": "necessity"}),
        ({"kind": "necessity", "components": ["a5", "a5.h1", "a5.h2@S2"]}, {"kind": "necessity", "components": ["a5"]}),
        (
            {"kind": "minimality", "components": ["m5", "m6"], "backups": {"m5": ["m5"]}},
            {"kind": "minimality", "components": ["m5", "m6"]},
        ),
        (
            {"kind": "self repair", "components": ["a2.h1"], "backed_up": ["m1@END", "a1", "a1.h0", "m1"]},
            {"kind": "backup", "components": ["a2.h1"], "backed_up": ["a1", "m1"]},
        ),
        ({"kind": "activation patching"}, {"kind": "node_effect"}),
        ({"kind": "Node-Effect"}, {"kind": "node_effect"}),
        (
            {"kind": "generalization", "family": "f", "parent": {"kind": "ablation", "components": ["m5"]}},
            {"kind": "generalisation", "family": "f", "parent": {"kind": "necessity", "components": ["m5"]}},
        ),
        ({"kind": "ablation", "ablation": "Resample ablation"}, {"kind": "necessity"}),
        ({"kind": "node_effect", "direction": "positive"}, {"kind": "node_effect"}),
        ({"kind": "node_effect", "metric": "logit difference"}, {"kind": "node_effect"}),
        ({"kind": "node_effect", "threshold": 0.10000001}, {"kind": "node_effect"}),
        ({"kind": "equivalence", "intervention": "zero ablation"}, {"kind": "no_effect", "intervention": "zero"}),
    ],
)
def test_synonyms_are_one_claim(one: dict[str, Any], same: dict[str, Any]) -> None:
    shared = {} if "parent" in one else {"components": ["m5"]}
    first, second = (CLAIM.validate_python(shared | fields) for fields in (one, same))
    assert hash_of(first) == hash_of(second)


@given(claims)
def test_the_text_form_is_read_back(claim: AnyClaim) -> None:
    text = describe(claim, "ioi")
    assert parse_claim(text) == (claim, "ioi")
    assert in_words(claim, "ioi")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a9.h6 does everything", "is not a claim"),
        ("a9.h6 carries ioi (sideways)", "'sideways' is not understood"),
        ("a9.h6 necessary for ioi through m10", "through belongs to carries"),
        ("a9.h6 necessary for ioi (denoising)", "ablation"),
        ("a9.h6 backs up ioi", "is not a claim"),
        ("a9.h6 backs up a9.h7 for ioi", "cannot tell that it is missing"),
        ("a9.h6.x carries ioi", "not a component"),
        ("a9.h6 carries ioi (>= 0% of gap)", "greater than or equal"),
        ("m5 attends from END to IO in ioi", "heads without a position"),
        ("a1.h0 attends from END to END in ioi", "attends to itself"),
        ("a1.h0 + a1.h1 attends from END to IO in ioi", "at most 1 components"),
        ("a9.h6 carries ioi (< 10% of gap)", "'< 10% of gap' is not understood"),
        ("a9.h6 has no effect on ioi (>= 10% of gap)", "is not understood"),
        ("a9.h6 carries ioi (>= 10% of gap, >= 20% of gap)", "a second time"),
        ("+".join(["a1.h0"] * 40) + " carry ioi", "is not a claim"),
    ],
)
def test_what_is_no_claim_says_why(text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        parse_claim(text)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name())
def test_every_kind_shows_itself_in_text(kind: Any) -> None:
    claim, behaviour = parse_claim(kind.example)
    assert type(claim) is kind
    assert describe(claim, behaviour) == kind.example


@pytest.mark.parametrize(
    ("claim", "other", "refuted"),
    [
        ("m5 carries ioi", "m5 opposes ioi", True),
        ("m5 carries ioi", "m5 opposes ioi (>= 30% of gap, 5 random)", True),
        ("m5 carries ioi", "m5 opposes ioi (noising)", False),
        ("m5 carries ioi", "m4 opposes ioi", False),
        ("m5 carries ioi", "m5 carries ioi (>= 30% of gap)", False),
        ("m5 carries ioi", "m5 has no effect on ioi (denoising)", True),
        ("m5 carries ioi", "m5 has no effect on ioi (denoising, < 20% of gap)", False),
        ("m5 carries ioi (>= 20% of gap)", "m5 has no effect on ioi (denoising)", True),
        ("m5 carries ioi", "m5 has no effect on ioi", False),
        ("m5 necessary for ioi", "m5 has no effect on ioi", True),
        ("m5 necessary for ioi (zero)", "m5 has no effect on ioi", False),
        ("m5 has no effect on ioi", "m5 necessary for ioi", True),
        ("m5 has no effect on ioi (< 20% of gap)", "m5 necessary for ioi", False),
        ("m5 carries ioi through m6", "m5 opposes ioi through m6", True),
        ("m5 carries ioi through m6", "m5 opposes ioi through m7", False),
        ("m5 carries ioi/distant", "m5 opposes ioi/distant", True),
        ("m5 carries ioi/distant", "m5 opposes ioi", False),
        ("m5 carries ioi", "m5 opposes ioi/distant", False),
    ],
)
def test_what_refutes_what(claim: str, other: str, refuted: bool) -> None:
    assert opposes(parse_claim(claim)[0], parse_claim(other)[0]) == refuted


def test_claims_overlap_in_heads_whatever_their_positions_and_parts() -> None:
    claim = NodeEffect(components=("a2", "a9.h6@END", "a9.h6.q", "a3.g1.v", "m5@S2", "m5.n7"))
    assert atoms(claim, 2) == ("a2.h0", "a2.h1", "a3.g1", "a9.h6", "m5", "m5.n7")


@pytest.mark.parametrize(
    "fields",
    [
        {"components": []},
        {"components": ["a9.h"]},
        {"components": [f"m{k}" for k in range(17)]},
        {"components": ["m5"], "threshold": 0},
        {"components": ["m5"], "kind": "minimality"},
        {"components": ["m5"], "kind": "no_effect", "threshold": 0.6},
        {"components": ["a1.h0.pattern"], "kind": "no_effect"},
        {"components": ["a1.h0.pattern@END"], "kind": "necessity"},
        {"components": ["m5"], "threshold": 0.00001},
        {"components": ["m5"], "threshold": True},
        {"components": ["m5"], "kind": "mediation", "receivers": ["m6"], "share": 0.00001},
        {"components": ["m5"], "kind": "sufficiency", "faithfulness": 0.00001},
        {
            "components": ["a1.h0"],
            "kind": "attention_role",
            "attends_from": "END",
            "attends_to": "IO",
            "threshold": 0.99999,
        },
        {"components": ["m5", "m6"], "kind": "minimality", "backups": {"m5": ["m7"]}},
        {"components": ["m5.n1"], "kind": "sufficiency"},
        {"components": ["m5"], "kind": "mediation"},
        {"components": ["m5"], "kind": "mediation", "receivers": ["logits", "m6"]},
        {"components": ["a1.h0@END"], "kind": "attention_role", "attends_from": "END", "attends_to": "IO"},
        {"kind": "generalisation", "parent": {"kind": "generalisation"}, "family": "x"},
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
