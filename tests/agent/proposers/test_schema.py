"""The schema of proposals: within the limits of servers, and nearly all that it admits can be registered."""

from __future__ import annotations

import json
import random
import re
import string
from types import SimpleNamespace

import pytest
from schemas import instance, matches, measured, nodes

from lakatos.agent.proposers import looks_back, proposal_schema
from lakatos.agent.proposers.schema import most_together
from lakatos.tools.behaviour import builtin_behaviours, load_behaviour
from lakatos.tools.claim import KINDS, AttentionRole, Mediation, draw_matched, read_hypothesis, read_proposals
from lakatos.tools.component import Shape
from lakatos.tools.errors import ProposalError, UserError

SMOLLM2, GPT2_XL = Shape(30, 9, 3, 1536), Shape(48, 25, 25, 6400)
TASKS = [name for name in builtin_behaviours() if load_behaviour(name).kind != "text"]
LIMITS = {  # of OpenAI's structured outputs
    "enum values": 1000,
    "enum values, written out": 1000,
    "properties": 5000,
    "depth": 10,
    "characters": 120_000,
}


def schema_of(name, shape, **how):
    behaviour = load_behaviour(name)
    return proposal_schema(
        shape, behaviour.named_positions, list(behaviour.families), earlier=looks_back(behaviour), **how
    )


@pytest.mark.parametrize("name", TASKS)
def test_it_stays_under_the_documented_limits_on_the_largest_shape(name):
    found = measured(schema_of(name, GPT2_XL))
    assert all(found[limited] <= limit for limited, limit in LIMITS.items()), found
    assert found["bytes"] < 20_000, found


def test_every_object_is_closed_and_every_list_and_text_is_bounded():
    for node in nodes(schema_of("ioi", SMOLLM2, how_many=5)):
        if node.get("type") == "object":
            assert node["additionalProperties"] is False
            assert node["required"] == list(node["properties"])
        if node.get("type") == "array":
            assert 1 <= node["minItems"] <= node["maxItems"] <= 40
        if node.get("type") == "string":
            assert "enum" in node or "pattern" in node or "maxLength" in node


def test_patterns_are_of_the_syntax_that_grammars_take():
    """Anchored; beside groups, alternatives and classes of digits only letters, digits, @ and an escaped dot."""
    plain = set(string.ascii_letters + string.digits + "_@|()")
    for node in nodes(schema_of("docstring", GPT2_XL)):
        if "pattern" in node:
            body = node["pattern"].removeprefix("^").removesuffix("$")
            assert body == node["pattern"][1:-1]
            rest = re.sub(r"\[[0-9]-[0-9]\]|\\\.|\)\?", "", body)
            assert set(rest) <= plain, node["pattern"]


def test_patterns_name_only_what_exists():
    schema = proposal_schema(Shape(3, 4, 2, 48), ["S2", "END"])
    heads, anything = (re.compile(several["items"]["pattern"]) for several in schema["$defs"]["anywhere"]["anyOf"])
    for good in ("a0", "a2.h3", "m1@S2", "r3@END", "a2.h0@S2"):
        assert anything.search(good), good
        assert bool(heads.search(good)) == (".h" in good), good
    for bad in ("a3", "a0.h4", "m3", "r4", "m1@IO", "m1@", "a0.h1.q", "m1.n3", "e", "xm1", "m1 ", "a00"):
        assert not anything.search(bad), bad
        assert not heads.search(bad), bad


def test_how_many_hypotheses_are_asked_for_is_their_most():
    assert schema_of("ioi", SMOLLM2, how_many=3)["properties"]["hypotheses"]["maxItems"] == 3


def test_a_head_looks_back_only():
    assert looks_back(load_behaviour("ioi")) == {
        "IO": [],  # the two orders of the names have no place before either
        "MID": [],
        "S1": [],
        "S2": ["IO", "MID", "S1"],
        "END": ["IO", "MID", "S1", "S2"],
    }


def test_shapes_at_the_edge_offer_what_they_have():
    one = proposal_schema(Shape(1, 1, 1, 4), ["END"])
    assert [name for name in one["$defs"] if name.startswith(("mediation", "attention"))] == ["mediation_logits"]
    two = proposal_schema(Shape(2, 1, 1, 4), ["A", "END"], ["far"])
    assert "mediation_1" in two["$defs"]
    assert "generalisation" in two["$defs"]


@pytest.mark.parametrize("shape", [SMOLLM2, GPT2_XL, Shape(12, 12, 12, 3072), Shape(6, 4, 2, 64), Shape(2, 2, 1, 8)])
def test_as_many_as_the_schema_admits_have_others_like_them_wherever_they_are(shape):
    heads, mixed = most_together(shape)
    for first in range(shape.n_layers):
        some = [f"a{layer}.h{head}" for layer in range(first, shape.n_layers) for head in range(shape.n_heads)]
        for components in (some[:heads], [f"m{layer}" for layer in range(first, shape.n_layers)][:mixed]):
            fields = {"intervention": "denoising", "direction": "supports", "threshold": 0.1}
            proposal = {"claim": {"kind": "node_effect", "components": components, **fields}, "rationale": ""}
            claim = read_hypothesis(proposal | {"predicted": 0, "role": "main"}, "ioi").claim
            assert draw_matched(claim.tested, shape, "1")["random"], components


@pytest.mark.parametrize("shape", [SMOLLM2, GPT2_XL, Shape(12, 12, 12, 3072), Shape(3, 4, 2, 64)])
def test_receivers_have_others_like_them_behind_every_cut(shape):
    fields = {"intervention": "noising", "direction": "supports", "share": 0.5, "threshold": 0.1}
    for name, schema in proposal_schema(shape, ["END"])["$defs"].items():
        if name.startswith("mediation_") and name != "mediation_logits":
            cut = int(name.removeprefix("mediation_"))
            most = schema["properties"]["receivers"]["maxItems"]
            for first in range(cut, shape.n_layers):
                receivers = [f"m{layer}" for layer in range(first, shape.n_layers)][:most]
                if not re.search(schema["properties"]["receivers"]["items"]["pattern"], receivers[0]):
                    continue
                claim = {"kind": "mediation", "components": [f"m{cut - 1}"], "receivers": receivers, **fields}
                proposal = {"claim": claim, "rationale": "", "predicted": 0, "role": "main"}
                tested = read_hypothesis(proposal, "ioi").claim.tested
                assert draw_matched(tested, shape, "1")["random"], receivers


def test_one_more_would_have_too_few():
    claim = {"kind": "node_effect", "intervention": "denoising", "direction": "supports", "threshold": 0.1}
    proposal = {"claim": claim | {"components": ["m26", "m27", "m28", "m29"]}, "rationale": "", "predicted": 0}
    with pytest.raises(UserError, match="not enough other components"):
        draw_matched(read_hypothesis(proposal | {"role": "main"}, "ioi").claim.tested, SMOLLM2, "1")


def test_nearly_every_instance_can_be_registered():
    """150 random answers of three: read, of components that exist, with opponents, along paths that there are."""
    schema = schema_of("ioi", SMOLLM2, how_many=3)
    positions = load_behaviour("ioi").named_positions
    strings = matches({node["pattern"] for node in nodes(schema) if "pattern" in node}, 40)
    cfg = SimpleNamespace(n_layers=30, n_heads=9, n_key_value_heads=3, d_mlp=1536)
    rng, good, refused, kinds = random.Random(1), 0, [], set()
    for _ in range(150):
        for proposal in read_proposals(json.dumps(instance(schema, schema, rng, strings))):
            try:
                claim = read_hypothesis(proposal, "ioi").claim
                for component in claim.tested.places():
                    component.check(cfg, set(positions))
                draw_matched(claim.tested, SMOLLM2, "1")
            except (ProposalError, UserError) as error:
                refused.append(str(error))
                continue
            kinds.add(claim.kind)
            good += 1
            if isinstance(claim, AttentionRole):
                assert claim.attends_to in looks_back(load_behaviour("ioi"))[claim.attends_from]
            if isinstance(claim, Mediation) and claim.receivers != ("logits",):
                senders, receivers = claim.parsed(), claim.places()[len(claim.components) :]
                assert max(c.layer for c in senders) < min(c.layer for c in receivers)
    share = good / (good + len(refused))
    print(f"{share:.1%} of {good + len(refused)}; refused: {set(refused)}")
    assert share >= 0.9
    assert kinds == {kind.name() for kind in KINDS}
