"""A claim's battery on exploration prompts: what it promises of its test."""

from __future__ import annotations

import numpy as np
import pytest

from lakatos.tools.behaviour import load_behaviour
from lakatos.tools.claim import AttentionRole, Mediation, NodeEffect, draw_matched
from lakatos.tools.component import Shape
from lakatos.tools.evidence import Battery, parts_of
from lakatos.tools.experiment import draw_prompts, measure, probe
from lakatos.tools.model.planted import RECALL as BEHAVIOUR
from lakatos.tools.model.planted import load_planted


@pytest.fixture(scope="module")
def model():
    return load_planted("induction").bridge


@pytest.fixture(scope="module")
def sample(model):
    behaviour = load_behaviour(BEHAVIOUR)
    return draw_prompts(
        behaviour, [], model.tokenizer, n=12, skip=0, split="exploration", seeds=lambda _purpose: 1, donors=True
    ).on(model)


def test_a_true_claim_promises_and_a_false_one_does_not(model, sample):
    true = probe(NodeEffect(components=("a1.h0@END",)), model, sample, 16.0, "seed")
    false = probe(NodeEffect(components=("a2.h1@END",)), model, sample, 16.0, "seed")
    assert true.effect == pytest.approx(16.0, rel=0.1)
    assert true.promise > 3
    assert false.promise < 0


def test_it_is_that_of_the_weakest_line(model, sample):
    claim = Mediation(components=("a0.h0",), receivers=("a1.g0.k",))
    shown = probe(claim, model, sample, 16.0, "seed")
    matched = draw_matched(claim, Shape.of(model.cfg), "seed")
    values = measure(claim, matched, model, sample).values
    parts = parts_of(claim, Battery.draft(16.0, {}, matched), values)
    each = [(p.effect.mean() - p.delta) / p.effect.std(ddof=1) for p in parts if p.decides]
    assert shown.promise == pytest.approx(min(each))
    assert shown.effect == pytest.approx(float(np.mean(parts[0].effect)))


def test_a_claim_that_the_model_or_the_behaviour_cannot_have_is_none(model, sample):
    assert probe(NodeEffect(components=("a7.h0@END",)), model, sample, 16.0, "seed") is None
    claim = AttentionRole(components=("a1.h0",), attends_from="KEY", attends_to="END")
    assert probe(claim, model, sample, 16.0, "seed") is None
