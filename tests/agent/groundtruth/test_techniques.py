"""What techniques say of a model with a backup, worked out from how it was built; and phi, by hand and beside numpy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakatos.agent.groundtruth.correlations import correlated, phi
from lakatos.agent.groundtruth.techniques import Asked, Said, ask
from lakatos.tools.model import load_model
from lakatos.tools.model.planted import truth_of

YES_NO = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=40)


def test_a_model_with_a_backup():
    """a0.h0 looks back, a1.h0 recalls, a2.h0 steps in, m0 is read by all and the same in both prompts."""
    name = "planted:backup#1"
    asked = ask(load_model(name), truth_of(name))
    missed = {said.technique: set(said.used) - set(said.positive) for said in asked.said}
    ablation = {"a1.h0", "a2.h0"}  # a1.h0 is backed up, and a2.h0 does nothing while a1.h0 works
    patching = {"a2.h0", "m0"}  # m0 writes the same in both prompts wherever it matters
    assert missed == {
        "denoising": patching,
        "noising": patching,
        "zero ablation": ablation,
        "mean ablation": ablation,
        "resample ablation": ablation,
        "direct effect": {"a0.h0", "a2.h0", "m0"},  # of these nothing is read by the logits
        "path patching": patching,
        "attribution patching": {"a0.h0", *patching},  # attention is saturated where a0.h0 is read
        "integrated gradients": patching,
        "attention reading": {"a2.h0"},  # it rests on the first token, and MLPs look nowhere
    }
    assert not any(set(said.inert) & set(said.positive) for said in asked.said)
    assert all("m0" not in said.used for said in asked.said if said.technique == "attention reading")


def said(technique, *positive):
    return Said(technique=technique, used=("a0.h0", "a0.h1"), inert=("m0", "m1"), positive=positive)


def test_the_matrix_by_hand():
    """Two models: "one" and "other" miss the same, "third" the opposite, and "other" alone raises false alarms."""
    asked = [
        Asked(model=name, said=(said("one", "a0.h0"), said("other", "a0.h0", "m0"), said("third", "a0.h1")))
        for name in ("planted:x#1", "planted:y#1")
    ]
    found = correlated(asked)
    assert found["rates"]["one"]["misses"]["mean"] == 0.5
    assert found["rates"]["other"]["false_alarms"] == {"mean": 0.5, "low": 0.5, "high": 0.5}
    by_pair = {(pair["first"], pair["second"]): pair for pair in found["pairs"]}
    assert by_pair["one", "other"]["misses"] == {"phi": 1.0, "low": 1.0, "high": 1.0}
    assert by_pair["one", "third"]["misses"]["phi"] == -1.0
    assert by_pair["one", "other"]["false_alarms"] is None, "one of them never raises any"


@given(YES_NO)
def test_phi_is_the_correlation_of_two_yes_or_no_variables(pairs):
    one, other = zip(*pairs, strict=True)
    if len(set(one)) == 1 or len(set(other)) == 1:
        assert phi(one, other) is None
    else:
        assert phi(one, other) == pytest.approx(np.corrcoef(one, other)[0, 1], abs=1e-9)
        assert phi(one, other) == pytest.approx(phi(other, one))
