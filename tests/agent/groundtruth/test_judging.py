"""Whether claims about models with a known mechanism are true: each kind, worked out from how the model was built."""

from __future__ import annotations

import random

import pytest

from lakatos.agent.groundtruth.judging import holds, parts, why
from lakatos.agent.groundtruth.told import TOLD
from lakatos.tools.claim import parse_claim
from lakatos.tools.model.planted import MECHANISMS, planted_models, truth_of

R = "planted_recall"
BACKUP = {
    f"a0.h0 carries {R}": True,
    f"a0.h0@VALUE carries {R}": True,
    f"m0 carries {R}": False,  # the same in both prompts wherever it matters
    f"a2.h0 carries {R}": False,  # it writes nothing while a1.h0 does
    f"a1.h2 carries {R}": False,
    f"a0.h0 opposes {R}": False,
    f"a0 carries {R}": True,  # all heads of layer 0
    f"r1 carries {R}": None,
    f"a0.h0 necessary for {R}": True,
    f"a1.h0 necessary for {R}": False,
    f"a1.h0 + a2.h0 necessary for {R}": True,
    f"m0 necessary for {R}": False,  # and so is everything else
    f"a0.h0 + m0 necessary for {R}": False,
    f"a2.h0 has no effect on {R}": True,
    f"a1.h0 has no effect on {R}": False,  # its direct effect is large
    f"m0 has no effect on {R}": False,
    f"m0 has no effect on {R} (denoising)": True,
    f"a1.h2@END has no effect on {R}": True,
    f"a0.h0@END has no effect on {R}": None,  # true, as it happens: positions are not judged
    f"a2.h0 backs up a1.h0 for {R}": True,
    f"a2.h1 backs up a1.h0 for {R}": False,
    f"a0.h0 carries {R} through a1.g0.k": True,
    f"a0.h0 carries {R} through a2.g0.k": True,
    f"a0.h0 carries {R} through a1.g1.k": False,
    f"a0.h0 carries {R} through logits": False,
    f"a1.h0 attends from END to VALUE in {R}": True,
    f"a1.h0 attends from END to OTHER_VALUE in {R}": False,
    f"a1.h2 attends from END to VALUE in {R}": None,  # a decoy attends somewhere
    f"m0 + a0.h0 + a1.h0 sufficient for {R}": True,
    f"m0 + a0.h0 + a2.h0 sufficient for {R}": True,
    f"m0 + a0.h0 + a1.h1 sufficient for {R}": False,
    f"m0 + a0.h0 + a1.h0 + a1.h1 sufficient for {R}": True,
    f"m0 + a0.h0 + a1.h0 minimal for {R}": True,
    f"m0 + a0.h0 + a1.h0 + a1.h1 minimal for {R}": False,
}


def judged(text, model="backup"):
    return holds(parse_claim(text)[0].tested, MECHANISMS[model])


@pytest.mark.parametrize("text", BACKUP)
def test_each_kind_on_a_model_with_a_backup(text):
    assert judged(text) is BACKUP[text]


@pytest.mark.parametrize(
    ("model", "text", "true"),
    [
        ("negative", f"a2.h0 opposes {R}", True),
        ("negative", f"a2.h0 carries {R}", False),
        ("negative", f"a2.h0 has no effect on {R}", False),
        ("two_paths", f"a1.h0 carries {R}", True),
        ("two_paths", f"a1.h0 necessary for {R}", False),
        ("two_paths", f"a1.h0 + a2.h0 necessary for {R}", True),
        ("two_paths", f"a2.h0 backs up a1.h0 for {R}", True),
        ("none", f"m0 carries {R}", False),
        ("none", f"m0 necessary for {R}", False),
        ("none", f"m0 has no effect on {R}", True),
    ],
)
def test_other_mechanisms(model, text, true):
    assert judged(text, model) is true


def test_what_is_unclear_is_not_judged():
    truth = truth_of("planted:trained-induction")
    (unclear,) = truth.unclear
    assert parts([unclear], truth) is None
    assert holds(parse_claim(f"{unclear} carries {truth.behaviour}")[0], truth) is None
    together = parse_claim(f"{' + '.join(truth.redundant)} necessary for {truth.behaviour}")[0]
    assert holds(together, truth) is None, "nobody has measured them together"


@pytest.mark.parametrize("name", planted_models())
def test_the_oracle_tells_the_truth_and_the_saboteur_never_does(name):
    truth = truth_of(f"planted:{name}#1")
    for arm, expected in (("oracle", {True}), ("saboteur", {False})):
        claims = TOLD[arm](truth, random.Random(3))
        assert {holds(parse_claim(text)[0].tested, truth) for text in claims} == expected
        assert len(claims) == len(set(claims)) >= 10
    every = TOLD["exhaustive"](truth, random.Random(3))
    assert len(every) == 2 * len(truth.components)


def test_a_negative_head_that_seems_a_backup_is_explained():
    assert "negative head" in why(f"a2.h0 backs up a0.h0 for {R}", MECHANISMS["negative"])
    assert why(f"a2.h1 backs up a1.h0 for {R}", MECHANISMS["backup"]) == "-"
