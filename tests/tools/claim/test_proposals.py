"""Reading an LLM's answer: the one JSON object with hypotheses, whatever stands around it."""

from __future__ import annotations

import json
import time

import pytest

from lakatos.tools.claim import read_proposals
from lakatos.tools.errors import ProposalError

CLAIM = {"kind": "node_effect", "components": ["m1"]}
ONE = json.dumps({"hypotheses": [{"claim": CLAIM}]})
OTHER = json.dumps({"hypotheses": []})


@pytest.mark.parametrize(
    "text",
    [
        ONE,
        f"\n{ONE}\n",
        f"```json\n{ONE}\n```",
        f"```\n{ONE}\n```",
        f"Sure! Here is what I propose:\n\n```json\n{ONE}\n```\nTell me if {{more}} is wanted.",
        f"<think>perhaps {OTHER}, or {{not}}</think>{ONE}",
        f"it was thought of {OTHER}</think>\n\n{ONE}",
        f'{{"note": "this is no proposal"}} {ONE}',
        f"a set {{1, 2}} and {ONE}",
        json.dumps({"plan": "first", "hypotheses": [{"claim": CLAIM}]}),
    ],
)
def test_what_stands_around_the_one_object_is_passed_over(text):
    assert read_proposals(text) == [{"claim": CLAIM}]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (f"{ONE}\n{ONE}", "holds 2 JSON objects"),
        (f"<think>{ONE}", "in the midst of thinking"),
        (f"<think>{ONE}</think> that is it", "not JSON"),
        ("It is head 3.", "no object"),
        ("", "no object"),
        ("```json\n" + ONE[:-3] + "\n```", "line 3 column 1"),
        (ONE[:-2], "Expecting ',' delimiter: line 1"),
        (f'{{"answer": {ONE}}}', "must be a JSON object"),
        (f'Here: {{"answer": {ONE}}}', "no object"),
        ('fenced {"hypotheses": [{"predicted": Infinity}]}', "Infinity is not a number"),
        ('fenced {"hypotheses": [{"predicted": 1e999}]}', "not JSON"),
        ('fenced {"hypotheses": ["\\ud800"]}', "not JSON"),
        ('fenced {"hypotheses": 3}', "no object"),
        ("{ " * 300 + ONE, "not JSON"),
    ],
)
def test_what_is_ambiguous_or_broken_is_refused_with_the_reason(text, why):
    with pytest.raises(ProposalError, match=why):
        read_proposals(text)


@pytest.mark.parametrize("text", ["{" * 10**6, '{"a":' * 10**5, '{"a": [' * 10**5, "[" * 10**5, "{}" * 10**6])
def test_hostile_nesting_is_refused_in_time(text):
    began = time.monotonic()
    with pytest.raises(ProposalError):
        read_proposals(text)
    assert time.monotonic() - began < 5


def test_alone_refuses_what_stands_around():
    assert read_proposals(ONE, alone=True) == read_proposals(ONE)
    with pytest.raises(ProposalError, match="nothing else"):
        read_proposals(f"```json\n{ONE}\n```", alone=True)
