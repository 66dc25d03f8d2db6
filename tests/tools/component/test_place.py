"""The text form of places in a model, and the question whether a model has them."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakatos.tools.component import Component
from lakatos.tools.errors import UserError

CFG = SimpleNamespace(n_layers=30, n_heads=9, n_key_value_heads=3, d_mlp=1536)
number = st.integers(0, 10_000)
position = st.none() | number | st.from_regex(r"[A-Za-z][A-Za-z0-9_]*", fullmatch=True).filter(str.isascii)
components = st.one_of(
    st.builds(Component, number, st.sampled_from(["attention", "mlp", "residual"]), st.none(), position),
    st.builds(
        Component, number, st.sampled_from(["head", "neuron", "query", "pattern", "key", "value"]), number, position
    ),
    st.builds(Component, st.just(0), st.just("embedding"), st.none(), position),
)


@given(components)
def test_printing_and_parsing_are_inverse(component: Component) -> None:
    assert Component.parse(str(component)) == component


@pytest.mark.parametrize(
    ("text", "expected", "hook"),
    [
        ("a9.h6@END", Component(9, "head", 6, "END"), "blocks.9.attn.hook_z"),
        ("a2", Component(2, "attention"), "blocks.2.hook_attn_out"),
        ("m5@S2", Component(5, "mlp", None, "S2"), "blocks.5.hook_mlp_out"),
        ("m5.n12", Component(5, "neuron", 12), "blocks.5.mlp.hook_post"),
        (" r3@4 ", Component(3, "residual", None, 4), "blocks.3.hook_resid_pre"),
        ("r30", Component(30, "residual"), "blocks.29.hook_resid_post"),
        ("a9.h6.q@END", Component(9, "query", 6, "END"), "blocks.9.attn.hook_q"),
        ("a9.h6.pattern", Component(9, "pattern", 6), "blocks.9.attn.hook_pattern"),
        ("a9.g2.k", Component(9, "key", 2), "blocks.9.attn.hook_k"),
        ("a9.g2.v@S2", Component(9, "value", 2, "S2"), "blocks.9.attn.hook_v"),
        ("e@S2", Component(0, "embedding", None, "S2"), "hook_embed"),
    ],
)
def test_each_form_by_hand(text: str, expected: Component, hook: str) -> None:
    parsed = Component.parse(text)
    assert (parsed, parsed.hook_name(30), str(parsed)) == (expected, hook, text.strip())


def test_leading_zeros_are_not_another_component() -> None:
    assert str(Component.parse("a09.h06@007")) == "a9.h6@7"


@pytest.mark.parametrize(
    "text",
    [
        *["", "a", "h6", "a9.h", "a9.n6", "m5.h1", "r3.h1", "9.6", "a-1", "a9.h6@", "a9.h6@-1", "a9@S 2", "A9"],
        *["a9 h6", "a1.5", "a9.h6@END@S", "a٣", "a9\nm5", "L9H6", "a" + "9" * 5000],
    ],
)
def test_what_is_no_component_is_refused_with_the_forms_that_are(text: str) -> None:
    with pytest.raises(UserError, match=r"is not a component.*a9\.h6 \(head\)"):
        Component.parse(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a9.h99", "layer 9 has heads 0 to 8, not 99"),
        ("a30", "layers 0 to 29, not 30"),
        ("m5.n1536", "neurons 0 to 1535"),
        ("r31", "layers 0 to 29, not 31"),
        ("a9.h9.q", "heads 0 to 8, not 9"),
        ("a9.g3.k", "layer 9 has key-value groups 0 to 2, not 3"),
        ("a9.h6@S3", "no position 'S3'; it has END, S2"),
    ],
)
def test_a_hallucinated_component_is_named_with_what_there_is(text: str, says: str) -> None:
    with pytest.raises(UserError) as caught:
        Component.parse(text).check(CFG, {"END", "S2"})
    assert says in str(caught.value)
    assert text in str(caught.value)


@pytest.mark.parametrize(
    "text", ["a0.h0", "a29.h8@END", "m29.n1535@3", "r29@S2", "r30", "a0", "m0", "a3.g2.v", "a3.h8.q", "e"]
)
def test_what_is_there_passes(text: str) -> None:
    Component.parse(text).check(CFG, {"END", "S2"})


@pytest.mark.parametrize("text", ["a9.h6.k", "a9.h6.v@END"])
def test_keys_and_values_are_asked_for_by_group(text: str) -> None:
    group = text.replace(".h6.", ".g6.")
    with pytest.raises(UserError, match=f"key-value groups. Write {group}, the group's"):
        Component.parse(text)
