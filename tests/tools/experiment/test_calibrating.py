"""The constants of several claims, fixed together: those that each would have by itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from models import TOY, TOY_TEXT, build_hf, build_tiny

from lakatos.tools.claim import (
    AnyClaim,
    AttentionRole,
    Backup,
    Mediation,
    Minimality,
    Necessity,
    NodeEffect,
    NoEffect,
    Sufficiency,
)
from lakatos.tools.errors import UserError
from lakatos.tools.experiment import Sample, Uncalibrated, calibrate, calibrate_all, calibrating, draw_prompts

CLAIMS: list[AnyClaim] = [
    NodeEffect(components=("a1.h2@END",)),
    NodeEffect(components=("m0@S2",), intervention="noising", metric="prob_diff"),
    Necessity(components=("a1.h2",)),
    Necessity(components=("m0",), ablation="zero"),
    Sufficiency(components=("a1.h2", "m0")),
    Minimality(components=("a1.h2", "m0")),
    Mediation(components=("a0.h1",), receivers=("a2.h0.q",)),
    AttentionRole(components=("a1.h2",), attends_from="END", attends_to="IO"),
    NoEffect(components=("m1",)),
    Backup(components=("a2.h0",), backed_up=("a1.h2", "m0@S2")),
]
ASKED = [Uncalibrated(claim, str(place), 256, 2) for place, claim in enumerate(CLAIMS)]
NOWHERE = Uncalibrated(AttentionRole(components=("a1.h2",), attends_from="END", attends_to="PLACE"), "s", 256, 2)
NO_HEAD = Uncalibrated(Necessity(components=("a1.h99",), ablation="zero"), "s", 256, 2)


@pytest.fixture(scope="module")
def bridge() -> Any:
    """In double precision: equal numbers are equal to many digits."""
    return build_tiny("llama", hf=build_hf("llama").double(), dtype=torch.float64).bridge


@pytest.fixture(scope="module")
def sample(bridge: Any) -> Sample:
    return draw(bridge, donors=True)


def draw(bridge: Any, n: int = 64, **told: Any) -> Sample:
    common: dict[str, Any] = {"skip": 0, "split": "exploration", "seeds": len}
    return draw_prompts(TOY, [TOY_TEXT], bridge.tokenizer, n=n, **common, **told).on(bridge)


def test_as_each_claim_by_itself(bridge, sample) -> None:
    for own, found in zip(ASKED, calibrate_all(ASKED, bridge, sample), strict=True):
        assert not isinstance(found, Exception)
        battery, measured = found
        alone, expected = calibrate(own.claim, bridge, sample, own.seed, own.cap, own.templates)
        assert battery.matched == alone.matched
        assert (battery.unit, battery.n_max, battery.explored) == (alone.unit, alone.n_max, 64)
        assert battery.control_gaps == pytest.approx(alone.control_gaps)
        assert [line.name for line in battery.lines] == [line.name for line in alone.lines]
        for line, other in zip(battery.lines, alone.lines, strict=True):
            assert (line.delta, line.scale) == pytest.approx((other.delta, other.scale))
        assert measured.unigram == expected.unigram
        assert list(measured.values) == list(expected.values)
        for name, column in measured.values.items():
            assert np.allclose(column, expected.values[name], atol=1e-6)


def test_a_sample_with_more_than_a_claim_needs_gives_the_same(bridge, sample) -> None:
    own = ASKED[0]
    bare = draw(bridge, donors=False)
    with_more, _ = calibrate(own.claim, bridge, sample, own.seed, own.cap, own.templates)
    alone, _ = calibrate(own.claim, bridge, replace(bare, controls={}), own.seed, own.cap, own.templates)
    assert with_more.control_gaps == alone.control_gaps == {}
    assert with_more.gap == pytest.approx(alone.gap)


def test_what_a_claim_is_at_fault_for_is_its_own(bridge, sample) -> None:
    first, nowhere, no_head, last = calibrate_all([ASKED[0], NOWHERE, NO_HEAD, ASKED[3]], bridge, sample)
    assert "no position 'PLACE'" in str(nowhere)
    assert "a1.h99" in str(no_head)
    assert isinstance(nowhere, UserError)
    assert isinstance(no_head, UserError)
    for own, found in ((ASKED[0], first), (ASKED[3], last)):
        assert not isinstance(found, Exception)
        assert found[0].matched == calibrate(own.claim, bridge, sample, own.seed, own.cap, own.templates)[0].matched


def test_anything_else_is_raised(bridge, sample, monkeypatch) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("no kernel")

    monkeypatch.setattr(calibrating, "measure_together", broken)
    with pytest.raises(RuntimeError, match="no kernel"):
        calibrate_all(ASKED[:2], bridge, sample)


def test_control_texts_are_counted_once_and_costs_add_up(bridge, sample, monkeypatch) -> None:
    counted = []
    real = calibrating.unigram_loss
    monkeypatch.setattr(calibrating, "unigram_loss", lambda *on: counted.append(1) or real(*on))
    found = calibrate_all([ASKED[2], ASKED[3], ASKED[2]], bridge, draw(bridge, donors=True))
    assert counted == [1]
    spent = [own[1].forwards for own in found if not isinstance(own, Exception)]
    assert len(spent) == 3
    assert spent[0] == pytest.approx(spent[1])
    alone = sum(calibrate(o.claim, bridge, draw(bridge, donors=True), *o[1:])[1].forwards for o in ASKED[2:4])
    assert sum(spent) < alone
