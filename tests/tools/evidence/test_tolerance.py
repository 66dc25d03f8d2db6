"""How far a confirmed effect may fall, and how many prompts it takes to tell."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from lakatos.tools.claim import NodeEffect, NoEffect
from lakatos.tools.evidence import BEHAVIOUR, Battery, Data, Tolerance, effects_of, fixed, pairs_needed, tolerances

GAP = 10.0


def node_effect(n, seed, mean=2.0, sd=1.0):
    rng = np.random.default_rng(seed)
    corrupted = rng.standard_normal(n) - 5
    values = {"clean": corrupted + GAP, "corrupted": corrupted}
    values["intervened"] = corrupted + mean + sd * rng.standard_normal(n)
    values |= {f"random.{k}": corrupted + 0.1 * rng.standard_normal(n) for k in range(3)}
    return Data(values, ("t",) * n)


def calibrated(mean=2.0, sd=1.0):
    claim = NodeEffect(components=("a1.h0",))
    draft = Battery.draft(GAP, {}, {"random": ("a1.h1", "a1.h2", "a1.h3")})
    explored = node_effect(64, 0, mean, sd)
    return claim, fixed(claim, draft, explored, 128, 1), explored


def test_levels_are_shares_of_the_clipped_confirmed_mean():
    claim, battery, explored = calibrated()
    confirmed = node_effect(96, 1)
    found = tolerances(claim, battery, explored, confirmed)
    assert [t.line for t in found] == ["effect", "beyond matched random"]
    for t, x in zip(found, effects_of(claim, battery, confirmed).values(), strict=True):
        assert t.confirmed == pytest.approx(np.clip(x, -t.scale, t.scale).mean(), rel=1e-5)
        assert t.kept == pytest.approx(0.7 * t.confirmed, rel=1e-5)
        assert t.lost == pytest.approx(0.5 * t.confirmed, rel=1e-5)


def test_an_outlier_beyond_the_scale_does_not_raise_what_must_be_kept():
    claim, battery, explored = calibrated()
    confirmed = node_effect(96, 1)
    before = tolerances(claim, battery, explored, confirmed)[0]
    confirmed.values["intervened"][0] += 1000
    after = tolerances(claim, battery, explored, confirmed)[0]
    assert after.confirmed - before.confirmed < before.scale / 40


def test_equivalence_is_measured_from_its_margin_and_needs_the_behaviour():
    claim = NoEffect(components=("a1.h0",), intervention="denoising")
    rng = np.random.default_rng(0)

    def data(n):
        corrupted = rng.standard_normal(n) - 5
        silent = {name: corrupted + 0.01 * rng.standard_normal(n) for name in ("intervened", "direct")}
        return Data({"clean": corrupted + GAP, "corrupted": corrupted, **silent}, ("t",) * n)

    explored = data(64)
    battery = fixed(claim, Battery.draft(GAP, {}, {}), explored, 128, 1)
    found = tolerances(claim, battery, explored, data(32))
    assert [t.line for t in found][-1] == BEHAVIOUR
    margin = 0.1 * GAP
    assert found[0].lost == pytest.approx(-margin / 2, abs=0.02)
    assert found[0].kept == pytest.approx(-0.3 * margin, abs=0.02)
    assert found[-1].lost == pytest.approx(GAP / 2, rel=1e-3)


def test_what_was_not_confirmed_has_no_tolerance():
    claim, battery, explored = calibrated()
    with pytest.raises(ValueError, match="does not exceed"):
        tolerances(claim, battery, explored, node_effect(96, 1, mean=-1.0))


def test_the_noisier_an_effect_the_more_pairs_are_needed():
    needed = []
    for sd in (0.5, 1.0, 2.0):
        claim, battery, explored = calibrated(sd=sd)
        confirmed = node_effect(128, 1, sd=sd)
        needed.append(pairs_needed(claim, battery, tolerances(claim, battery, explored, confirmed), confirmed))
    assert needed == sorted(needed)
    assert needed[-1] > 2 * needed[0]
    assert all(n % 16 == 0 for n in needed)


@pytest.mark.parametrize("change", [{"lost": 1.6}, {"kept": 2.5}, {"scale": 1.0}, {"lost": -7.0}])
def test_levels_out_of_order_are_refused(change):
    fields = {"line": "effect", "unit": "logits", "scale": 6.0, "confirmed": 2.0, "kept": 1.5, "lost": 1.0} | change
    with pytest.raises(ValidationError, match="scale"):
        Tolerance(**fields)
