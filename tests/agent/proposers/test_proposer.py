"""Proposals from attributions, from chance and from files. Whether they hold is not theirs to say."""

from __future__ import annotations

import pytest

from lakatos.agent.proposers import at_random, from_attribution, from_file, to_replicate
from lakatos.agent.view import Explored
from lakatos.tools.claim import Hypothesis, describe, parse_claim
from lakatos.tools.errors import UserError

ROWS = [
    ("a1.h0@END", 4.0),
    ("a1.h0", 3.9),
    ("m2@END", -3.0),
    ("m2", -2.5),
    ("a1.h3@END", 1.5),
    ("a1.h3", 1.4),
    ("m1@S2", 1.0),
    ("m1", 0.9),
    ("a0.h1@END", 0.5),
    ("a1.h1@END", 0.2),
    ("a0.h1", 0.4),
    ("a2.h2@S2", 0.001),
    ("a0.h2@END", 0.002),
    ("a2.h1@END", 0.003),
    ("a0.h3@S2", 0.0001),
]
EXPLORED = Explored(10.0, [{"component": c, "score": s, "sd": 1.0} for c, s in ROWS], ["S2", "END"], 3, 4)


@pytest.mark.parametrize("how_many", [1, 2, 3, 8, 12])
def test_attribution_gives_valid_distinct_claims_with_a_null_and_a_rival(how_many):
    proposals = from_attribution(EXPLORED, how_many, 0.1)
    parsed = [Hypothesis.model_validate(p) for p in proposals]
    assert len(parsed) <= how_many
    assert len({p.claim.model_dump_json() for p in parsed}) == len(parsed)
    roles = [p.role for p in parsed]
    assert ("null" in roles) == (how_many > 1)
    assert ("rival" in roles) == (how_many > 3)


def test_direction_follows_the_sign_and_necessity_wants_support():
    parsed = [Hypothesis.model_validate(p) for p in from_attribution(EXPLORED, 8, 0.1)]
    effects = {p.claim.components[0]: p.claim.direction for p in parsed if p.claim.kind == "node_effect"}
    assert effects["a1.h0@END"] == "supports"
    assert effects["m2@END"] == "opposes"
    assert [p.claim.components[0] for p in parsed if p.claim.kind == "necessity"][:2] == ["a1.h0", "a1.h3"]
    null = next(p for p in parsed if p.role == "null")
    assert null.claim.components == ("a2.h1@END",), "the weakest head where the answer is read"
    rival = next(p for p in parsed if p.role == "rival")
    assert rival.claim.components == ("a1.h1@END",), "a neighbour in the layer before a stronger head elsewhere"


def test_random_proposals_are_seeded_valid_and_inside_the_model():
    first, again, other = (at_random(EXPLORED, 40, 0.1, seed) for seed in ("1", "1", "2"))
    assert first == again != other
    for proposal in first:
        hypothesis = Hypothesis.model_validate(proposal)
        for component in hypothesis.claim.parsed():
            assert component.layer < 3
            assert component.index is None or component.index < 4
            assert component.position in (None, "S2", "END")


def test_a_file_of_claims(tmp_path):
    path = tmp_path / "claims.yaml"
    path.write_text("hypotheses:\n- claim: {kind: necessity, components: [m1]}\n- just words\n")
    assert from_file(str(path)) == [{"claim": {"kind": "necessity", "components": ["m1"]}}, {"claim": "just words"}]


def test_what_is_confirmed_is_proposed_on_every_family():
    claim, _ = parse_claim("m1 carries toy")
    found = to_replicate([("m1 carries toy", claim)], ["far", "near"], 9)
    assert [describe(Hypothesis.model_validate(p).claim, "toy").split(" (")[0] for p in found] == [
        "m1 carries toy/far",
        "m1 carries toy/near",
    ]
    assert len(to_replicate([("m1 carries toy", claim)], ["far", "near"], 1)) == 1
    with pytest.raises(UserError, match="no prompt families"):
        to_replicate([("m1 carries toy", claim)], [], 9)
    with pytest.raises(UserError, match="Nothing is confirmed"):
        to_replicate([], ["far"], 9)


@pytest.mark.parametrize(
    "content", ["", "a: 1", "[", "[]", "hypotheses: {}", "!!python/object/apply:os.system ['true']"]
)
def test_files_that_are_no_list_of_claims(tmp_path, content):
    path = tmp_path / "claims.yaml"
    path.write_text(content)
    with pytest.raises(UserError):
        from_file(str(path))


def test_no_file_says_which_option():
    with pytest.raises(UserError, match="--claims"):
        from_file(None)
    with pytest.raises(UserError, match="Cannot read"):
        from_file("/nowhere/claims.yaml")
