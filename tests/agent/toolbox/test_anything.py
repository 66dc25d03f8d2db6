"""Whatever a stranger calls is answered: nothing ends a run, nothing is longer than it may be."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from workbench import CARRIES

from lakatos.agent.toolbox import TOOLS
from lakatos.tools.records import content_hash

WORDS = ["a0.h1", "a1.h2@END", "m1", "m2@S2", "r1@END", "r3", "a1.h0.q", "a1.g0.k", "logits", "END", "S2", "all", "m99"]
WORDS += [
    "a0.h1+m0",
    "short",
    "Ann",
    "zero",
    "noising",
    "previous",
    "head",
    "patching",
    CARRIES,
    "\ud800",
    "\0",
    "x" * 3000,
]
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 40),
    st.just(10**400),
    st.floats(),
    st.sampled_from(WORDS),
    st.text(max_size=9),
)
ANY = st.recursive(
    LEAVES, lambda own: st.lists(own, max_size=3) | st.dictionaries(st.text(max_size=4), own, max_size=3), max_leaves=6
)


def arguments_of(name):
    """Arguments by the names that a tool takes, of any type."""
    known = TOOLS[name].arguments.model_fields
    inner = {
        "interventions": ["components", "intervention", "to"],
        "claims": ["claim", "rationale", "role", "predicted"],
    }
    some = {key: ANY | st.lists(LEAVES, min_size=1, max_size=3) for key in known}
    if name in ("effects", "register"):
        (key,) = known
        words = st.lists(st.sampled_from(WORDS), max_size=3)
        one = st.fixed_dictionaries({}, optional=dict.fromkeys(inner[key], words | LEAVES))
        some[key] = st.lists(one, max_size=3)
    return st.fixed_dictionaries({}, optional=some)


CALLS = st.sampled_from(sorted(TOOLS)).flatmap(lambda name: st.tuples(st.just(name), arguments_of(name) | ANY))
DEEP = [("[" * n + "]" * n) for n in (90, 300, 900, 5000)]


@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(CALLS, st.booleans())
@example(("note", {"text": "\ud800"}), True)
@example(("note", {"text": "a\0b"}), True)
@example(("register", {"claims": [{"claim": CARRIES, "rationale": "", "predicted": float("nan")}]}), True)
@example(("effects", {"interventions": [{"components": ["m1", "m1"]}]}), True)
@example(("effects", {"interventions": [{"components": ["m1", "m1@END"], "intervention": "zero", "to": ["m1"]}]}), True)
def test_any_call_is_answered_and_kept(shared, call, as_text):
    name, arguments = call
    called = shared.call(name, json.dumps(arguments) if as_text else arguments)
    assert len(called.answer) < 16_000
    kept = shared.store.tool_calls(1)[-1]
    assert kept["answer"] == called.answer
    content_hash(kept)


@pytest.mark.parametrize(
    "text", [*DEEP, "", "null", "7", '"x"', "{", '{"n": 1e999}', '{"n": ' + "9" * 9000 + "}", "\0", "x" * 30_000]
)
@pytest.mark.parametrize("name", ["examples", "effects", "", "x" * 300, "\ud800", "overview"])
def test_any_text_for_arguments_is_answered(shared, name, text):
    called = shared.call(name, text)
    assert len(called.answer) < 5000
    assert shared.store.tool_calls(1)[-1]["answer"] == called.answer
    nested = shared.call(name, f'{{"{"interventions" if name == "effects" else "n"}": {text}}}')
    assert len(nested.answer) < 5000
