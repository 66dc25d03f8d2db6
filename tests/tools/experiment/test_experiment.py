"""A claim's test from calibration to the last batch, on tiny models and on made-up measurements."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from models import TOY, TOY_TEXT, tiny

from lakatos.tools.behaviour import encode
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
    control_names,
    draw_matched,
    shuffled_circuits,
)
from lakatos.tools.component import Shape
from lakatos.tools.errors import Stop, UserError
from lakatos.tools.evidence import Battery, Data, e_process, gaps, parts_of, run_tests, stopped
from lakatos.tools.evidence.constants import Line
from lakatos.tools.experiment import (
    Draw,
    MeasuredDraw,
    Measurement,
    Member,
    Sample,
    calibrate,
    draw_prompts,
    measure,
    measure_draws,
    needs_donors,
)
from lakatos.tools.experiment.measuring import unigram_loss
from lakatos.tools.exploration import node_scores
from lakatos.tools.intervention import Intervention, run_interventions

NODE = NodeEffect(components=("a1.h2@END", "m0@S2"), matched_random=3)
NEED = Necessity(components=("a1.h2@END", "m0@S2"))
KINDS = [
    NODE,
    NEED,
    Sufficiency(components=("a1.h2", "m0")),
    Minimality(components=("a1.h2", "m0")),
    Mediation(components=("a0.h1",), receivers=("a2.h0.q",)),
    Mediation(components=("a0.h1",), receivers=("logits",)),
    AttentionRole(components=("a1.h2",), attends_from="END", attends_to="IO"),
    NoEffect(components=("m1",)),
    Backup(components=("a2.h0",), backed_up=("a1.h2", "m0@S2")),
]


def seeds(purpose: str) -> int:
    return zlib.crc32(purpose.encode())


def draw(claim: AnyClaim, n: int, skip: int = 0, split: Any = "exploration") -> Sample:
    controls = [TOY_TEXT] if control_names(claim, TOY) else []
    bridge = tiny("llama").bridge
    return draw_prompts(
        TOY, controls, bridge.tokenizer, n=n, skip=skip, split=split, seeds=seeds, donors=needs_donors(claim)
    ).on(bridge)


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
        values = measure(NODE, {"random": ("a0.h1@END+m1@S2", "a2.h0@END+m2@S2")}, bridge, sample).values
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
        assert measure(claim, {"random": ()}, bridge, sample).values["intervened"] == pytest.approx(expected.values[0])

    @pytest.mark.parametrize("ablation", ["resample", "zero"])
    def test_necessity_ablates_the_controls_everywhere(self, ablation) -> None:
        claim = NEED.model_copy(update={"ablation": ablation})
        sample, bridge = draw(claim, 8), tiny("llama").bridge
        values = measure(claim, {}, bridge, sample).values
        here = run_interventions(bridge, sample.runs, [Intervention(claim.components, ablation)], base="clean")
        there = run_interventions(
            bridge, sample.controls["toy_text"], [Intervention(["a1.h2", "m0"], ablation)], base="clean"
        )
        assert values["intervened"] == pytest.approx(here.values[0])
        assert values["control.toy_text.intervened"] == pytest.approx(there.values[0])
        assert values["control.toy_text.clean"] == pytest.approx(there.clean)
        frozen = Intervention(claim.components, ablation, to="logits")
        direct = run_interventions(bridge, sample.runs, [frozen], base="clean")
        assert values["direct"] == pytest.approx(direct.values[0])

    def test_circuits_keep_what_is_theirs_and_ablate_the_rest(self) -> None:
        circuit, other = ("a1.h2", "m0", "m2"), "a0.h1+m0+m1"
        claim = Sufficiency(components=circuit)
        sample, bridge = draw(claim, 8), tiny("llama").bridge
        values = measure(claim, {"random": (other,), "shuffled": ()}, bridge, sample).values
        plan = [Intervention(c, "resample", keep=True) for c in (circuit, other.split("+"), ("a1.h2", "m2"))]
        expected = run_interventions(bridge, sample.runs, plan, base="clean").values
        assert np.stack([values["circuit"], values["random.0"]]) == pytest.approx(expected[:2])
        without = measure(Minimality(components=circuit), {}, bridge, sample).values["without.m0"]
        assert without == pytest.approx(expected[2])

    def test_mediation_sends_along_the_path_alone(self) -> None:
        claim = Mediation(components=("a0.h1",), receivers=("a2.h0.q",))
        sample, bridge = draw(claim, 8), tiny("llama").bridge
        values = measure(claim, {"random": ("a2.h1.q",)}, bridge, sample).values
        paths = [Intervention("a0.h1", "clean", to=to) for to in ((), "a2.h0.q", "a2.h1.q")]
        expected = run_interventions(bridge, sample.runs, paths, base="corrupted").values
        assert np.stack([values[n] for n in ("intervened", "path", "random.0")]) == pytest.approx(expected)

    @pytest.mark.parametrize("ablation", ["resample", "zero"])
    def test_backups_are_ablated_with_and_without_what_they_back_up(self, ablation) -> None:
        claim = Backup(components=("a2.h0", "m2"), backed_up=("a1.h2@END",), ablation=ablation)
        sample, bridge = draw(claim, 8), tiny("llama").bridge
        values = measure(claim, {"random": ("a2.h1+m1",)}, bridge, sample).values
        names = ("intervened", "backed_up", "backups", "random.0", "random_alone.0")
        sets = (
            ["a1.h2@END", "a2.h0", "m2"],
            ["a1.h2@END"],
            ["a2.h0", "m2"],
            ["a1.h2@END", "a2.h1", "m1"],
            ["a2.h1", "m1"],
        )
        expected = run_interventions(bridge, sample.runs, [Intervention(c, ablation) for c in sets], base="clean")
        assert list(values) == ["clean", "corrupted", *names]
        assert np.stack([values[name] for name in names]) == pytest.approx(expected.values)

    def test_no_effect_is_total_and_direct(self) -> None:
        claim = NoEffect(components=("m1",), intervention="noising")
        sample, bridge = draw(claim, 8), tiny("llama").bridge
        values = measure(claim, {}, bridge, sample).values
        plan = [Intervention("m1", "corrupted", to=to) for to in ((), "logits")]
        expected = run_interventions(bridge, sample.runs, plan, base="clean").values
        assert np.stack([values["intervened"], values["direct"]]) == pytest.approx(expected)

    def test_attention_is_read_from_the_patterns(self) -> None:
        claim = AttentionRole(components=("a1.h2",), attends_from="END", attends_to="IO")
        sample, bridge = draw(claim, 8), tiny("llama").bridge
        values = measure(claim, {"positions": ("S2", "elsewhere")}, bridge, sample).values
        assert set(values) == {"attention.IO", "attention.S2", "attention.elsewhere"}
        for batch in encode(sample.runs.pairs, bridge.tokenizer):
            _, cache = bridge.run_with_cache(torch.from_numpy(batch.clean))
            for row, place in enumerate(batch.index):
                share = cache["blocks.1.attn.hook_pattern"][row, 2, -1].numpy()
                io, s2, end = (batch.positions[name][row] for name in ("IO", "S2", "END"))
                rest = [t for t in range(1, end + 1) if t not in (io, s2, end)]
                assert values["attention.IO"][place] == pytest.approx(share[io], abs=1e-6)
                assert values["attention.S2"][place] == pytest.approx(share[s2], abs=1e-6)
                assert values["attention.elsewhere"][place] == pytest.approx(share[rest].max(), abs=1e-6)

    def test_unigram_loss_is_the_entropy_of_the_tokens(self) -> None:
        pairs = TOY_TEXT.sample(20)
        tokens = np.concatenate([b.clean[:, 1:].ravel() for b in encode(pairs, tiny("llama").tokenizer)])
        shares = np.unique(tokens, return_counts=True)[1] / len(tokens)
        assert unigram_loss(pairs, tiny("llama").bridge) == pytest.approx(-(shares @ np.log(shares)))


class TestCalibrate:
    @pytest.mark.parametrize("claim", KINDS, ids=lambda claim: claim.kind)
    def test_every_constant_comes_from_the_exploration_pairs(self, claim) -> None:
        sample, bridge = draw(claim, 64), tiny("llama").bridge
        battery, measured = calibrate(claim, bridge, sample, "claim", 256, 2)
        controls = {n: unigram_loss(r.pairs, bridge) for n, r in sample.controls.items()}
        assert (battery.gap, battery.control_gaps) == gaps(measured.values, controls)
        for role, others in draw_matched(claim, Shape.of(bridge.cfg), "claim").items():
            assert battery.matched[role] == others
        parts = parts_of(claim, battery, measured.values)
        assert [line.name for line in battery.lines] == [part.name for part in parts]
        for line, part in zip(battery.lines, parts, strict=True):
            assert np.abs(part.effect).max() < line.scale
            assert line.delta == part.delta
            assert line.scale >= 2 * abs(line.delta)
        assert battery.deciding
        assert (battery.explored, battery.n_max <= 256, battery.n_max % 16) == (64, True, 0)
        again, _ = calibrate(claim, bridge, draw(claim, 64), "claim", 256, 2)
        assert again == battery

    def test_a_shuffled_search_is_the_best_of_several_on_the_true_labels(self) -> None:
        claim = Sufficiency(components=("a1.h2", "m0"))
        sample, bridge = draw(claim, 64), tiny("llama").bridge
        battery, measured = calibrate(claim, bridge, sample, "claim", 256, 2)
        (best,) = battery.matched["shuffled"]
        assert sorted(c.split(".")[0][0] for c in best.split("+")) == ["a", "m"], "of the claim's size"
        scores = node_scores(bridge, sample.runs.pairs, "logit_diff", [None])
        found = shuffled_circuits(claim, scores, "claim")
        plan = [Intervention(circuit, "resample", keep=True) for circuit in found]
        kept = run_interventions(bridge, sample.runs, plan, base="clean").values.mean(1)
        assert best == "+".join(found[int(kept.argmax())])
        assert measured.values["shuffled.0"].mean() == pytest.approx(kept.max())

    def test_too_few_pairs_are_refused(self) -> None:
        with pytest.raises((UserError, ValueError), match="at least 64"):
            calibrate(NODE, tiny("llama").bridge, draw(NODE, 16), "claim", 256, 2)

    @pytest.mark.parametrize(
        ("source", "target", "said"),
        [
            ("END", "PLACE", "no position 'PLACE'"),
            ("IO", "END", "which comes after it"),
            ("X", "IO", "no position 'X'"),
        ],
    )
    def test_a_role_that_is_not_there_is_refused(self, source, target, said) -> None:
        claim = AttentionRole(components=("a1.h2",), attends_from=source, attends_to=target)
        with pytest.raises(UserError, match=said):
            calibrate(claim, tiny("llama").bridge, draw(claim, 64), "claim", 256, 2)


class TestRunExperiment:
    CLAIM = NodeEffect(components=("m0",))
    BATTERY = Battery(
        gap=1.0,
        control_gaps={},
        matched={"random": ("m1",)},
        lines=(
            Line(name="effect", delta=0.1, scale=3.0, unit="logits", decides=True),
            Line(name="beyond matched random", delta=0.1, scale=3.0, unit="logits", decides=True),
        ),
        unit="prompt",
        intraclass_correlation=None,
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

    def run(self, effect: float, done: Any = (), stop_after: int = 99) -> tuple[str | None, list[Any]]:
        """The reason, and the number, the values and the e-value of each batch."""

        @dataclass
        class Numbered:
            number: int
            values: Data

            def data(self, _place: int, /) -> Data:
                return self.values

        def measured(numbers: range, _alive: Sequence[int]) -> list[Numbered]:
            return [Numbered(k, Data(self.measurement(k, effect).values, ("t",) * 16)) for k in numbers]

        seen: list[Any] = []

        def keep(draw: Numbered, alive: Sequence[int], data: Sequence[Sequence[Data]]) -> None:
            (so_far,) = data
            assert (list(alive), draw.number) == ([0], len(so_far) - 1)
            seen.append((draw.number, draw.values, e_process(self.CLAIM, self.BATTERY, Data.join(so_far))[-1]))
            if len(seen) == stop_after:
                raise Stop("the user's limit")

        stops = partial(stopped, self.CLAIM, self.BATTERY, 1e3)
        try:
            (reason,) = run_tests([stops], measured, keep, [done], first=len(done))
        except Stop:
            return None, seen
        assert isinstance(reason, str)
        return reason, seen

    @pytest.mark.parametrize(
        ("effect", "reason", "batches"), [(1.0, "success", None), (-0.5, "futility", 4), (0.2, "exhausted", 8)]
    )
    def test_stops_by_the_registered_rule(self, effect, reason, batches) -> None:
        found, seen = self.run(effect)
        assert found == reason
        assert [number for number, _, _ in seen] == list(range(len(seen)))
        assert len(seen) == batches or (batches is None and 1 < len(seen) < 8)
        path = e_process(self.CLAIM, self.BATTERY, Data.join([values for _, values, _ in seen]))
        assert [e for _, _, e in seen] == pytest.approx(path[15::16])
        assert reason != "success" or (path[15:-16:16] < 1e3).all()

    @pytest.mark.parametrize("effect", [1.0, -0.5, 0.2])
    @pytest.mark.parametrize("after", [1, 2, 3])
    def test_resumed_is_as_good_as_undisturbed(self, effect, after) -> None:
        reason, whole = self.run(effect)
        interrupted, first = self.run(effect, stop_after=after)
        resumed, rest = self.run(effect, done=[values for _, values, _ in first])
        assert interrupted is None or len(whole) <= after
        assert resumed == reason
        assert [(n, e) for n, _, e in first + rest] == [(n, e) for n, _, e in whole]

    def test_a_finished_test_draws_nothing_more(self) -> None:
        _, whole = self.run(1.0)
        assert self.run(1.0, done=[values for _, values, _ in whole]) == ("success", [])

    def test_on_a_model_from_end_to_end(self) -> None:
        """A residual stream at every position restores the whole gap, and so do the others it is compared with."""
        claim = NodeEffect(components=("r1",), direction="supports", threshold=0.05)
        bridge = tiny("qwen3").bridge
        sample = draw_prompts(
            TOY, [], bridge.tokenizer, n=64, skip=0, split="exploration", seeds=seeds, donors=False
        ).on(bridge)
        battery, _ = calibrate(claim, bridge, sample, "c", 64, 2)

        members = [Member(claim, battery)]

        def measured(numbers: range, _alive: Sequence[int]) -> list[MeasuredDraw]:
            draws = [Draw.of(members, TOY, [], number, seeds, unit="prompt") for number in numbers]
            return measure_draws(draws, members, tiny("qwen3"))

        kept: list[Data] = []
        stops = partial(stopped, claim, battery, 20.0)
        (reason,) = run_tests([stops], measured, lambda _draw, _alive, so_far: kept.append(so_far[0][-1]))
        assert reason in ("futility", "exhausted")
        data = Data.join(kept)
        assert data.values["intervened"] == pytest.approx(data.values["clean"], abs=1e-4)
        assert e_process(claim, battery, data)[-1] < 20
