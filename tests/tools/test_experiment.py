"""A claim's test from calibration to the last batch, on tiny models and on made-up measurements."""

from __future__ import annotations

import zlib
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from models import TOY, TOY_TEXT, tiny

from lakatos.tools import experiment
from lakatos.tools.battery import e_process, gaps, line_effects, stack
from lakatos.tools.component import Component
from lakatos.tools.encoding import encode
from lakatos.tools.errors import Stop, UserError
from lakatos.tools.experiment import (
    Measurement,
    Sample,
    calibrate,
    draw_sample,
    matched_components,
    measure,
    needs_donors,
    run_experiment,
    unigram_loss,
)
from lakatos.tools.hypothesis import AnyClaim, Battery, Line, Necessity, NodeEffect, control_names
from lakatos.tools.intervention import Intervention, run_interventions

NODE = NodeEffect(components=("a1.h2@END", "m0@S2"), matched_random=3)
NEED = Necessity(components=("a1.h2@END", "m0@S2"))


def seeds(purpose: str) -> int:
    return zlib.crc32(purpose.encode())


def draw(claim: AnyClaim, n: int, skip: int = 0, split: Any = "exploration") -> Sample:
    controls = [TOY_TEXT] if control_names(claim, TOY) else []
    bridge = tiny("llama").bridge
    return draw_sample(TOY, controls, bridge, n=n, skip=skip, split=split, seeds=seeds, donors=needs_donors(claim))


class TestSamples:
    def test_batches_continue_the_stream_and_share_no_prompt(self) -> None:
        whole, first, second = draw(NEED, 32), draw(NEED, 16), draw(NEED, 16, skip=16)
        for runs in (lambda s: s.runs, lambda s: s.controls["toy_text"]):
            uids = [[pair.uid for pair in runs(sample).pairs] for sample in (whole, first, second)]
            assert uids[0] == uids[1] + uids[2]
            assert len(set(uids[0])) == 32

    def test_the_split_is_the_one_asked_for(self) -> None:
        assert {pair.template for pair in draw(NODE, 16, split="confirmation").runs.pairs} == {"short2", "long2"}

    def test_a_batch_can_be_drawn_again(self) -> None:
        one, other = draw(NEED, 16, skip=16), draw(NEED, 16, skip=16)
        for mine, same in zip(one.runs.batches, other.runs.batches, strict=True):
            assert (mine.tokens("resample") == same.tokens("resample")).all()

    def test_only_what_the_claim_needs_is_drawn(self) -> None:
        assert not draw(NODE, 4).controls
        assert draw(NODE, 4).runs.batches[0].donors is None
        assert not needs_donors(Necessity(components=("m0",), ablation="zero"))
        assert control_names(NEED, TOY) == ["toy_text"]


class TestMeasure:
    def test_node_effect(self) -> None:
        sample, bridge = draw(NODE, 8), tiny("llama").bridge
        values = measure(NODE, ["a0.h1@END+m1@S2", "a2.h0@END+m2@S2"], bridge, sample).values
        plan = [Intervention(c, "clean") for c in (NODE.components, ["a0.h1@END", "m1@S2"], ["a2.h0@END", "m2@S2"])]
        expected = run_interventions(bridge, sample.runs.pairs, plan, base="corrupted")
        assert list(values) == ["clean", "corrupted", "intervened", "random.0", "random.1"]
        assert np.stack([values[n] for n in ("intervened", "random.0", "random.1")]) == pytest.approx(expected.values)
        assert values["clean"] == pytest.approx(expected.clean)
        assert values["corrupted"] == pytest.approx(expected.corrupted)

    def test_noising_patches_the_other_way(self) -> None:
        claim = NODE.model_copy(update={"intervention": "noising", "metric": "prob_diff"})
        sample, bridge = draw(claim, 8), tiny("llama").bridge
        expected = run_interventions(
            bridge, sample.runs, [Intervention(claim.components, "corrupted")], base="clean", metric="prob_diff"
        )
        assert measure(claim, [], bridge, sample).values["intervened"] == pytest.approx(expected.values[0])

    @pytest.mark.parametrize("ablation", ["resample", "zero"])
    def test_necessity_ablates_the_controls_everywhere(self, ablation) -> None:
        claim = NEED.model_copy(update={"ablation": ablation})
        sample, bridge = draw(claim, 8), tiny("llama").bridge
        values = measure(claim, [], bridge, sample).values
        here = run_interventions(bridge, sample.runs, [Intervention(claim.components, ablation)], base="clean")
        there = run_interventions(
            bridge, sample.controls["toy_text"], [Intervention(["a1.h2", "m0"], ablation)], base="clean"
        )
        assert values["intervened"] == pytest.approx(here.values[0])
        assert values["control.toy_text.intervened"] == pytest.approx(there.values[0])
        assert values["control.toy_text.clean"] == pytest.approx(there.clean)

    def test_unigram_loss_is_the_entropy_of_the_tokens(self) -> None:
        pairs = TOY_TEXT.sample(20)
        tokens = np.concatenate([b.clean[:, 1:].ravel() for b in encode(pairs, tiny("llama").tokenizer)])
        shares = np.unique(tokens, return_counts=True)[1] / len(tokens)
        assert unigram_loss(pairs, tiny("llama").bridge) == pytest.approx(-(shares @ np.log(shares)))


class TestCalibrate:
    @pytest.mark.parametrize("claim", [NODE, NEED], ids=["node", "necessity"])
    def test_every_constant_comes_from_the_exploration_pairs(self, claim) -> None:
        sample, bridge = draw(claim, 64), tiny("llama").bridge
        battery, measured = calibrate(claim, bridge, sample, "sha256:claim", cap=256)
        controls = {n: unigram_loss(r.pairs, bridge) for n, r in sample.controls.items()}
        assert (battery.gap, battery.control_gaps) == gaps(measured.values, controls)
        assert list(battery.controls) == (
            matched_components(claim, bridge.cfg, "sha256:claim") if claim is NODE else []
        )
        effects = line_effects(claim, battery, measured.values)
        assert [line.name for line in battery.lines] == list(effects)
        for line in battery.lines:
            assert np.abs(effects[line.name]).max() < line.scale
            assert line.delta == (0 if line.name.startswith("specific") else 0.1 * battery.gap)
        assert (battery.explored, battery.n_max <= 256, battery.n_max % 16) == (64, True, 0)
        assert measured.engine == "suffix"
        again, _ = calibrate(claim, bridge, draw(claim, 64), "sha256:claim", cap=256)
        assert again == battery

    def test_too_few_pairs_are_refused(self) -> None:
        with pytest.raises((UserError, ValueError), match="at least 64"):
            calibrate(NODE, tiny("llama").bridge, draw(NODE, 16), "sha256:claim", cap=256)


class TestRunExperiment:
    CLAIM = NodeEffect(components=("m0",))
    BATTERY = Battery(
        gap=1.0,
        control_gaps={},
        controls=("m1",),
        lines=(
            Line(name="effect", delta=0.1, scale=3.0, unit="logits"),
            Line(name="beyond matched random", delta=0.1, scale=3.0, unit="logits"),
        ),
        predicted_d=0.5,
        n_max=128,
        explored=64,
    )

    @staticmethod
    def measurement(number: int, effect: float) -> Measurement:
        rng = np.random.default_rng(number)
        base = rng.normal(size=16)
        values = {"clean": base + 1, "corrupted": base, "intervened": base + rng.normal(effect, 0.3, 16)}
        return Measurement(values | {"random.0": base + rng.normal(0, 0.1, 16)}, "suffix", 1.0, {})

    def run(self, monkeypatch, effect: float, done: Any = (), stop_after: int = 99) -> tuple[str | None, list[Any]]:
        """The reason, and what `on_batch` was given; `draw` gives the batch's number in place of a sample."""
        monkeypatch.setattr(
            experiment, "measure", lambda _claim, matched, _model, number: self.measurement(number, effect)
        )
        seen: list[Any] = []

        def on_batch(number: int, sample: Any, measured: Measurement, e: float) -> None:
            assert sample == number
            seen.append((number, measured.values, e))
            if len(seen) == stop_after:
                raise Stop("the user's limit")

        try:
            return run_experiment(self.CLAIM, self.BATTERY, 1e3, None, lambda n: n, done, on_batch), seen
        except Stop:
            return None, seen

    @pytest.mark.parametrize(
        ("effect", "reason", "batches"), [(1.0, "success", None), (-0.5, "futility", 4), (0.2, "exhausted", 8)]
    )
    def test_stops_by_the_registered_rule(self, monkeypatch, effect, reason, batches) -> None:
        found, seen = self.run(monkeypatch, effect)
        assert found == reason
        assert [number for number, _, _ in seen] == list(range(len(seen)))
        assert len(seen) == batches or (batches is None and 1 < len(seen) < 8)
        path = e_process(self.CLAIM, self.BATTERY, stack([values for _, values, _ in seen]))
        assert [e for _, _, e in seen] == pytest.approx(path[15::16])
        assert reason != "success" or (path[15:-16:16] < 1e3).all()

    @pytest.mark.parametrize("effect", [1.0, -0.5, 0.2])
    @pytest.mark.parametrize("after", [1, 2, 3])
    def test_resumed_is_as_good_as_undisturbed(self, monkeypatch, effect, after) -> None:
        reason, whole = self.run(monkeypatch, effect)
        stopped, first = self.run(monkeypatch, effect, stop_after=after)
        resumed, rest = self.run(monkeypatch, effect, done=[values for _, values, _ in first])
        assert stopped is None or len(whole) <= after
        assert resumed == reason
        assert [(n, e) for n, _, e in first + rest] == [(n, e) for n, _, e in whole]

    def test_a_finished_test_draws_nothing_more(self, monkeypatch) -> None:
        _, whole = self.run(monkeypatch, 1.0)
        assert self.run(monkeypatch, 1.0, done=[values for _, values, _ in whole]) == ("success", [])

    def test_on_a_model_from_end_to_end(self) -> None:
        """A residual stream at every position restores the whole gap, and so do the others it is compared with."""
        claim = NodeEffect(components=("r1",), direction="supports", threshold=0.05)
        bridge = tiny("qwen3").bridge
        sample = draw_sample(TOY, [], bridge, n=64, skip=0, split="exploration", seeds=seeds, donors=False)
        battery, _ = calibrate(claim, bridge, sample, "sha256:c", cap=64)
        batches: list[Any] = []

        def next_batch(k: int) -> Sample:
            return draw_sample(TOY, [], bridge, n=16, skip=16 * k, split="confirmation", seeds=seeds, donors=False)

        reason = run_experiment(
            claim, battery, 20.0, bridge, next_batch, [], lambda k, s, m, e: batches.append((k, m, e))
        )
        assert reason in ("futility", "exhausted")
        values = stack([m.values for _, m, _ in batches])
        assert values["intervened"] == pytest.approx(values["clean"], abs=1e-4)
        assert e_process(claim, battery, values)[-1] == batches[-1][2] < 20


class TestMatchedComponents:
    CFG = SimpleNamespace(n_layers=12, n_heads=8, d_mlp=64)
    places = st.builds(
        "{}{}".format,
        st.sampled_from(["a0.h1", "a5.h7", "a11.h3", "m0", "m6", "m3.n9", "r2", "r11", "a4"]),
        st.sampled_from(["", "@END", "@S2"]),
    )

    @given(st.lists(places, min_size=1, max_size=4, unique=True), st.integers(3, 8), st.text(max_size=8))
    def test_are_like_the_claims_and_never_its_own(self, texts, wanted, identity) -> None:
        claim = NodeEffect(components=tuple(texts), matched_random=wanted)
        chosen = matched_components(claim, self.CFG, identity)
        assert 1 <= len(chosen) <= wanted
        assert len(set(chosen)) == len(chosen)
        assert chosen == matched_components(claim, self.CFG, identity)
        own = claim.parsed()
        for text in chosen:
            matched = [Component.parse(part) for part in text.split("+")]
            assert not set(matched) & set(own)
            assert sorted((c.kind, str(c.position)) for c in matched) == sorted((c.kind, str(c.position)) for c in own)
            for component in matched:
                component.check(self.CFG)
                assert any(component.kind == c.kind and abs(component.layer - c.layer) <= 3 for c in own)

    def test_the_claims_hash_decides(self) -> None:
        claim = NodeEffect(components=("a5.h7",))
        assert len({tuple(matched_components(claim, self.CFG, str(i))) for i in range(20)}) > 10

    def test_as_many_as_the_claim_has_even_where_few_are_left(self) -> None:
        """A smaller set would be easier to beat."""
        claim = NodeEffect(components=("a0.h0", "a0.h1", "a0.h2"), matched_random=8)
        cfg = SimpleNamespace(n_layers=1, n_heads=7, d_mlp=1)
        chosen = matched_components(claim, cfg, "x")
        assert len(chosen) == 4  # three of the four heads that are left
        assert all(len(text.split("+")) == 3 for text in chosen)

    @pytest.mark.parametrize("heads", [3, 4, 5])
    def test_a_model_without_any_is_refused(self, heads) -> None:
        claim = NodeEffect(components=("a0.h0", "a0.h1", "a0.h2"))
        with pytest.raises(UserError, match="nearby to compare with"):
            matched_components(claim, SimpleNamespace(n_layers=1, n_heads=heads, d_mlp=1), "x")
