"""What claims are compared with: like their own, never their own, decided by the seed alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakatos.tools.claim import (
    AttentionRole,
    Mediation,
    NodeEffect,
    Sufficiency,
    draw_matched,
    roles_to_compare,
    shuffled_circuits,
)
from lakatos.tools.component import Component, Shape
from lakatos.tools.errors import UserError

SHAPE = Shape(n_layers=12, n_heads=8, n_key_value_heads=4, d_mlp=64)
places = st.builds(
    "{}{}".format,
    st.sampled_from(["a0.h1", "a5.h7", "a11.h3", "m0", "m6", "m3.n9", "r2", "r11", "a4", "a3.h2.q", "a3.g1.k"]),
    st.sampled_from(["", "@END", "@S2"]),
)


def bare(component: Component) -> Component:
    return Component(component.layer, component.kind, component.index)


def random_of(claim: Any, shape: Shape, seed: str) -> list[list[Component]]:
    return [[Component.parse(c) for c in text.split("+")] for text in draw_matched(claim, shape, seed)["random"]]


class TestComponents:
    @given(st.lists(places, min_size=1, max_size=4, unique=True), st.integers(3, 8), st.text(max_size=8))
    def test_are_like_the_claims_and_never_its_own(self, texts, wanted, seed) -> None:
        claim = NodeEffect(components=tuple(texts), matched_random=wanted)
        chosen = random_of(claim, SHAPE, seed)
        assert 1 <= len(chosen) <= wanted
        assert len({tuple(map(str, c)) for c in chosen}) == len(chosen)
        assert chosen == random_of(claim, SHAPE, seed)
        own = claim.parsed()
        for matched in chosen:
            assert not {bare(c) for c in matched} & {bare(c) for c in own}, "not even at another position"
            assert sorted((c.kind, str(c.position)) for c in matched) == sorted((c.kind, str(c.position)) for c in own)
            for component in matched:
                component.check(SHAPE)
                assert any(component.kind == c.kind and abs(component.layer - c.layer) <= 3 for c in own)

    def test_the_seed_decides(self) -> None:
        claim = NodeEffect(components=("a5.h7",))
        assert len({draw_matched(claim, SHAPE, str(i))["random"] for i in range(20)}) > 10

    def test_as_many_as_the_claim_has_even_where_few_are_left(self) -> None:
        """A smaller set would be easier to beat."""
        claim = NodeEffect(components=("a0.h0", "a0.h1", "a0.h2"), matched_random=8)
        chosen = random_of(claim, Shape(1, 7, 7, 1), "x")
        assert len(chosen) == 4  # three of the four heads that are left
        assert all(len(matched) == 3 for matched in chosen)

    @pytest.mark.parametrize("heads", [3, 4, 5])
    def test_a_model_without_any_is_refused(self, heads) -> None:
        claim = NodeEffect(components=("a0.h0", "a0.h1", "a0.h2"))
        with pytest.raises(UserError, match="to compare with"):
            draw_matched(claim, Shape(1, heads, heads, 1), "x")


class TestReceivers:
    def test_are_of_the_same_layer_where_it_has_others(self) -> None:
        claim = Mediation(components=("a1.h0",), receivers=("a9.h6.q", "a9.g2.k"))
        for matched in random_of(claim, SHAPE, "s"):
            assert {(c.layer, c.kind) for c in matched} == {(9, "query"), (9, "key")}
            assert not {"a9.h6.q", "a9.g2.k"} & {str(c) for c in matched}

    def test_an_mlp_is_compared_with_near_ones_after_the_sender(self) -> None:
        claim = Mediation(components=("a4.h0",), receivers=("m6",))
        assert {c.layer for matched in random_of(claim, SHAPE, "s") for c in matched} <= {5, 7, 8, 9}

    def test_logits_have_no_like_so_senders_are_compared(self) -> None:
        claim = Mediation(components=("a9.h6@END",), receivers=("logits",))
        for (matched,) in random_of(claim, SHAPE, "s"):
            assert (matched.kind, matched.position) == ("head", "END")
            assert matched != claim.parsed()[0]

    def test_none_left(self) -> None:
        claim = Mediation(components=("a0.h0",), receivers=("m1",))
        with pytest.raises(UserError, match="to compare with"):
            draw_matched(claim, Shape(2, 4, 4, 8), "s")


class TestCircuits:
    @given(st.text(max_size=8))
    def test_are_of_the_same_size(self, seed) -> None:
        claim = Sufficiency(components=("a1.h0@END", "a5.h2", "a6.h2", "m3", "a2"))
        for matched in random_of(claim, SHAPE, seed):
            assert sorted((c.kind, str(c.position)) for c in matched) == sorted(
                (c.kind, str(c.position)) for c in claim.parsed()
            )
            assert len(set(matched)) == 5
            assert {str(c) for c in matched} != set(claim.components)

    def test_a_circuit_of_everything_has_no_other_of_its_size(self) -> None:
        claim = Sufficiency(components=("a0.h0", "a0.h1", "m0"))
        with pytest.raises(UserError, match="to compare with"):
            draw_matched(claim, Shape(1, 2, 2, 8), "s")

    def test_the_shuffled_search_takes_the_largest_of_shuffled_attributions(self) -> None:
        claim = Sufficiency(components=("a0.h0", "m0"))
        # two pairs: what agrees on both survives equal signs, what differs survives opposite ones
        scores = {"a0.h0": [1, 1], "a0.h1": [3, -3], "a1.h0": [-2, -2], "m0": [5, 5], "m1": [0, 0]}
        table = {Component.parse(c): np.array(x, float) for c, x in scores.items()}
        found = {circuit for seed in map(str, range(20)) for circuit in shuffled_circuits(claim, table, seed)}
        # signs ++ give the claim itself, which is left out; --: a1.h0, m1; +-: a0.h1 and, of equals, m0; -+: the claim
        assert found == {("a1.h0", "m1"), ("a0.h1", "m0")}
        assert shuffled_circuits(claim, table, "7") == shuffled_circuits(claim, table, "7")


def test_roles_that_fall_on_the_same_token_are_no_comparison() -> None:
    claim = AttentionRole(components=("a1.h0",), attends_from="END", attends_to="IO")
    positions = {"IO": np.array([3, 4]), "S1": np.array([4, 5]), "SAME": np.array([9, 4]), "END": np.array([9, 9])}
    assert roles_to_compare(claim, positions | {"LATE": np.array([9, 10])}) == ("END", "S1", "elsewhere")


def test_embeddings_have_no_like() -> None:
    with pytest.raises(UserError, match="to compare with"):
        draw_matched(NodeEffect(components=("e@END",)), SHAPE, "s")
