"""From values to evidence, worked out by hand; no model."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from lakatos.tools import battery as battery_module
from lakatos.tools.battery import Values, conclude, e_process, gaps, line_effects, stack, stopped, with_lines
from lakatos.tools.hypothesis import AnyClaim, Battery, Line, Necessity, NodeEffect
from lakatos.tools.statistics import FRACTIONS

DRAFT = Battery(gap=4.0, control_gaps={}, controls=("a1", "a2"), lines=(), predicted_d=0.0, n_max=128, explored=64)


def node(intervention: Any, direction: Any = "supports", threshold: float = 0.1) -> NodeEffect:
    return NodeEffect(components=("m5",), intervention=intervention, direction=direction, threshold=threshold)


def pair_values(**values: list[float]) -> Values:
    return {name.replace("_", "."): np.array(numbers) for name, numbers in values.items()}


VALUES = pair_values(
    clean=[4.0, 5.0], corrupted=[0.0, -1.0], intervened=[3.0, 1.0], random_0=[1.0, 0.0], random_1=[0.0, -1.0]
)


def e_of(x: np.ndarray, line: Line) -> np.ndarray:
    """statistics.md, section 1, written out."""
    c, d = np.clip(x / line.scale, -1, 1), line.delta / line.scale
    return np.mean([np.cumprod(1 + f / (1 + d) * (c - d)) for f in FRACTIONS], axis=0)


class TestOrientation:
    """Every line reads: the larger, the more the claim is right."""

    @pytest.mark.parametrize(
        ("claim", "effect", "beyond"),
        [
            # clean into corrupted restores 3 and 2 of the logit difference; the random ones 1, 1 and 0, 0
            (node("denoising"), [3.0, 2.0], [2.5, 1.5]),
            (node("denoising", "opposes"), [-3.0, -2.0], [-2.5, -1.5]),
            # corrupted into clean costs 1 and 4 of it; the random ones 3, 5 and 4, 6
            (node("noising"), [1.0, 4.0], [-2.5, -1.5]),
            (node("noising", "opposes"), [-1.0, -4.0], [2.5, 1.5]),
        ],
    )
    def test_node_effect(self, claim, effect, beyond) -> None:
        lines = line_effects(claim, DRAFT, VALUES)
        assert list(lines) == ["effect", "beyond matched random"]
        assert lines["effect"].tolist() == effect
        assert lines["beyond matched random"].tolist() == beyond

    def test_necessity_is_damage_here_and_not_elsewhere(self) -> None:
        claim = Necessity(components=("m5",), specificity=3)
        battery = DRAFT.model_copy(update={"control_gaps": {"text": 2.0}, "controls": ()})
        values = VALUES | pair_values(control_text_clean=[1.0, 1.0], control_text_intervened=[1.5, 0.8])
        lines = line_effects(claim, battery, values)
        assert lines["effect"].tolist() == [1.0, 4.0]  # logit difference lost
        # 1/4 and 4/4 of the gap lost here; loss risen by .5/2 and -.2/2 there, times three
        assert lines["specific against text"].tolist() == pytest.approx([0.25 - 0.75, 1.0 + 0.3])

    @staticmethod
    def confirmed() -> set[tuple[str, str]]:
        """(intervention, direction) that are confirmed where the component does carry the behaviour."""
        n, rng = 64, np.random.default_rng(0)
        clean, corrupted = rng.normal(4, 0.3, n), rng.normal(0, 0.3, n)
        found = set()
        for claim in (node(*spec) for spec in product(("denoising", "noising"), ("supports", "opposes"))):
            base, half = (corrupted, 2.0) if claim.intervention == "denoising" else (clean, -2.0)
            values = {"clean": clean, "corrupted": corrupted, "intervened": base + half + rng.normal(0, 0.3, n)}
            values |= {f"random.{k}": base + rng.normal(0, 0.3, n) for k in range(2)}
            if e_process(claim, with_lines(claim, DRAFT, values, 128), values)[-1] >= 1e3:
                found.add((claim.intervention, claim.direction))
        return found

    def test_only_the_true_direction_is_confirmed(self) -> None:
        assert self.confirmed() == {("denoising", "supports"), ("noising", "supports")}

    def test_a_flipped_twin_is_caught(self, monkeypatch) -> None:
        def flipped(*args: Any) -> Values:
            return {name: -x for name, x in line_effects(*args).items()}

        monkeypatch.setattr(battery_module, "line_effects", flipped)
        assert self.confirmed() == {("denoising", "opposes"), ("noising", "opposes")}


class TestConstants:
    def test_the_gap_is_the_mean_difference_or_the_spread(self) -> None:
        assert gaps(VALUES, {})[0] == 5.0  # (4 + 6) / 2
        flat = VALUES | pair_values(clean=[0.0, 2.0], corrupted=[0.0, 2.0])
        assert gaps(flat, {})[0] == pytest.approx(2**0.5)  # sd of 0 and 2, ddof 1

    def test_a_controls_gap_is_unigram_loss_minus_clean_loss(self) -> None:
        values = VALUES | pair_values(control_text_clean=[1.0, 1.5])
        assert gaps(values, {"text": 4.25})[1] == {"text": 3.0}
        assert gaps(values, {"text": 1.25})[1] == {"text": pytest.approx(0.125**0.5)}

    def test_thresholds_scales_and_sample_size(self) -> None:
        rng = np.random.default_rng(1)
        values = {"clean": rng.normal(4, 1, 64), "corrupted": rng.normal(0, 1, 64)}
        values |= {name: values["corrupted"] + rng.normal(1.5, 1, 64) for name in ("intervened",)}
        values |= {f"random.{k}": values["corrupted"] + rng.normal(0, 1, 64) for k in range(2)}
        claim = node("denoising", threshold=0.25)
        battery = with_lines(claim, DRAFT, values, cap=1000)
        ds = []
        for line in battery.lines:
            x = line_effects(claim, DRAFT, values)[line.name]
            assert (line.delta, line.unit) == (1.0, "logits")  # a quarter of the gap of 4
            assert line.scale == max(3 * x.std(ddof=1), 1.1 * np.abs(x).max())
            ds.append((x.mean() - 1.0) / x.std(ddof=1))
        assert battery.predicted_d == pytest.approx(min(ds))
        assert 0 < min(ds) < 0.5
        assert battery.n_max == 16 * np.ceil(32 / min(ds) ** 2 / 16)
        assert with_lines(claim, DRAFT, values, cap=100).n_max == 96  # whole batches

    @pytest.mark.parametrize("effect", [20.0, -20.0])
    def test_large_predictions_are_not_believed(self, effect) -> None:
        """Exploration picks winners: the sample is never planned for more than half a standard deviation."""
        rng = np.random.default_rng(1)
        values = {name: rng.normal(0, 1, 64) for name in ("clean", "corrupted", "random.0", "random.1")}
        values["intervened"] = values["corrupted"] + rng.normal(effect, 1, 64)
        assert with_lines(node("denoising"), DRAFT, values, cap=1000).n_max == 128  # 32 / .5 ** 2

    def test_the_scale_never_falls_below_twice_the_threshold(self) -> None:
        values = {name: np.zeros(64) for name in ("clean", "corrupted", "intervened", "random.0", "random.1")}
        claim = node("denoising", threshold=1)
        assert [line.scale for line in with_lines(claim, DRAFT, values, 128).lines] == [8.0, 8.0]

    def test_specificity_is_tested_against_zero_in_fractions(self) -> None:
        claim = Necessity(components=("m5",))
        battery = DRAFT.model_copy(update={"control_gaps": {"text": 2.0}})
        rng = np.random.default_rng(2)
        names = ("clean", "corrupted", "intervened", "control.text.clean", "control.text.intervened")
        lines = with_lines(claim, battery, {name: rng.normal(size=64) for name in names}, 128).lines
        assert [(line.name, line.delta, line.unit) for line in lines] == [
            ("effect", 0.4, "logits"),
            ("specific against text", 0.0, "fraction of baseline"),
        ]


class TestEvidence:
    LINES = (
        Line(name="effect", delta=0.4, scale=8.0, unit="logits"),
        Line(name="beyond matched random", delta=0.4, scale=6.0, unit="logits"),
    )
    BATTERY = DRAFT.model_copy(update={"lines": LINES, "n_max": 48})
    CLAIM: AnyClaim = node("denoising")

    @staticmethod
    def values(n: int, effect: float = 2.0, seed: int = 3) -> Values:
        rng = np.random.default_rng(seed)
        corrupted = rng.normal(0, 1, n)
        values = {"clean": rng.normal(4, 1, n), "corrupted": corrupted}
        values["intervened"] = corrupted + rng.normal(effect, 1, n)
        return values | {f"random.{k}": corrupted + rng.normal(0.5, 1, n) for k in range(2)}

    def conclude(self, values: Values, identity: str = "sha256:claim", threshold: float = 1e9) -> Any:
        templates = ["s", "l"] * (len(values["clean"]) // 2)
        return conclude(self.CLAIM, self.BATTERY, threshold, values, templates, identity)

    def test_the_e_value_is_the_weakest_lines(self) -> None:
        values = self.values(48)
        effects = line_effects(self.CLAIM, self.BATTERY, values)
        paths = [e_of(effects[line.name], line) for line in self.LINES]
        assert (paths[0] > paths[1]).any()
        assert (paths[0] < paths[1]).any()
        assert e_process(self.CLAIM, self.BATTERY, values) == pytest.approx(np.minimum(*paths))
        evidence = self.conclude(values)
        assert evidence.e == pytest.approx(min(p[-1] for p in paths))
        assert [line.e for line in evidence.lines] == pytest.approx([p[-1] for p in paths])
        assert evidence.e_by_batch == pytest.approx(np.minimum(*paths)[[15, 31, 47]])
        weak = self.conclude(self.values(48, effect=0.8))
        assert weak.lines[0].p < 0.05 < weak.lines[1].p == weak.p  # all lines must hold

    def test_what_is_reported_beside_it(self) -> None:
        values = self.values(48)
        values["intervened"][0] = values["corrupted"][0] + 100.0  # clipped on both lines
        evidence = self.conclude(values)
        for line, x in zip(evidence.lines, line_effects(self.CLAIM, self.BATTERY, values).values(), strict=True):
            assert line.mean == pytest.approx(x.mean())
            assert line.standardised == pytest.approx((x.mean() - 0.4) / x.std(ddof=1))
            assert (line.clip_rate, line.flagged) == (1 / 48, True)
            assert line.low < np.clip(x, -6, 6).mean() < line.high
        assert (evidence.n, evidence.templates, evidence.effect) == (48, 2, evidence.lines[0])

    def test_it_is_a_pure_function_of_the_values(self) -> None:
        values = self.values(48)
        kept = {name: x.copy() for name, x in values.items()}
        first, again = self.conclude(values), self.conclude({k: values[k] for k in reversed(values)})
        assert first == again
        assert all((values[name] == kept[name]).all() for name in kept)
        assert self.conclude(self.values(48, seed=4)) != first

    def test_the_order_of_the_prompts_does_not_matter_for_e(self) -> None:
        values = self.values(48)
        turned = {name: x[::-1] for name, x in values.items()}
        assert self.conclude(turned).e == pytest.approx(self.conclude(values).e)

    @pytest.mark.parametrize(
        ("n", "effect", "threshold", "reason"),
        [(16, 4.0, 5.0, "success"), (64, -1.0, 20.0, "futility"), (48, 0.5, 20.0, "exhausted"), (32, 0.5, 20.0, None)],
    )
    def test_the_registered_rule(self, n, effect, threshold, reason) -> None:
        values = self.values(n, effect)
        battery = self.BATTERY.model_copy(update={"n_max": 128 if reason == "futility" else 48})
        halves = [{k: x[i : i + 16] for k, x in values.items()} for i in range(0, n, 16)]
        assert stopped(self.CLAIM, battery, threshold, halves) == reason
        evidence = conclude(self.CLAIM, battery, threshold, values, ["s", "l"] * (n // 2), "sha256:c")
        assert evidence.stop == (reason or "interrupted")

    def test_nothing_measured_stops_nothing(self) -> None:
        assert stopped(self.CLAIM, self.BATTERY, 20.0, []) is None
        assert stack([]) == {}

    def test_constant_effects_give_no_infinities(self) -> None:
        values = {name: np.ones(16) for name in ("clean", "corrupted", "intervened", "random.0", "random.1")}
        evidence = self.conclude(values)
        assert evidence.effect.standardised is None  # sd is 0
        assert evidence.intraclass_correlation is None
        assert evidence.e < 1
