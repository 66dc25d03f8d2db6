"""From values to evidence, worked out by hand; no model."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from lakatos.tools.claim import (
    AnyClaim,
    AttentionRole,
    Generalisation,
    Mediation,
    Minimality,
    Necessity,
    NodeEffect,
    NoEffect,
    Sufficiency,
)
from lakatos.tools.evidence import Battery, Data, Values, conclude, e_process, fixed, gaps, parts_of, stopped
from lakatos.tools.evidence import battery as battery_module
from lakatos.tools.evidence.battery import choose_unit
from lakatos.tools.evidence.constants import Line
from lakatos.tools.statistics import FRACTIONS

DRAFT = Battery.draft(4.0, {}, {"random": ("a1", "a2")})


def line_effects(claim: AnyClaim, battery: Battery, values: Values) -> Values:
    """Name -> oriented effects."""
    return {part.name: part.effect for part in parts_of(claim, battery, values)}


def data(values: Values) -> Data:
    """All of one template."""
    return Data(values, ("t",) * len(next(iter(values.values()))))


def with_lines(claim: AnyClaim, battery: Battery, values: Values, cap: int) -> Battery:
    """Constants where templates play no part."""
    return fixed(claim, battery, data(values), cap, templates=1)


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
        battery = DRAFT.model_copy(update={"control_gaps": {"text": 2.0}, "matched": {}})
        values = VALUES | pair_values(
            control_text_clean=[1.0, 1.0], control_text_intervened=[1.5, 0.8], direct=[1.0, 4.5]
        )
        lines = line_effects(claim, battery, values)
        assert lines["effect"].tolist() == [1.0, 4.0]  # logit difference lost
        assert lines["direct beyond total"].tolist() == [2.0, -3.5]  # lost directly: 3 and .5
        assert lines["direct above -margin"].tolist() == [3.0, 0.5]
        assert lines["total below margin"].tolist() == [-1.0, -4.0]
        # 1/4 and 4/4 of the gap lost here; loss risen by .5/2 and -.2/2 there, times three
        assert lines["specific against text"].tolist() == pytest.approx([0.25 - 0.75, 1.0 + 0.3])
        assert lines["not specific against text"].tolist() == (-lines["specific against text"]).tolist()
        deltas = {part.name: (part.delta, part.decides) for part in parts_of(claim, battery, values)}
        assert [name for name, (_, decides) in deltas.items() if decides] == ["effect", "specific against text"]
        assert deltas["effect"][0] == deltas["direct beyond total"][0] == pytest.approx(0.4)
        assert deltas["total above -margin"][0] == pytest.approx(-0.4)

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
            if e_process(claim, with_lines(claim, DRAFT, values, 128), data(values))[-1] >= 1e3:
                found.add((claim.intervention, claim.direction))
        return found

    def test_only_the_true_direction_is_confirmed(self) -> None:
        assert self.confirmed() == {("denoising", "supports"), ("noising", "supports")}

    def test_a_flipped_twin_is_caught(self, monkeypatch) -> None:
        def flipped(*args: Any) -> Any:
            return [part._replace(effect=-part.effect) for part in parts_of(*args)]

        monkeypatch.setattr(battery_module, "parts_of", flipped)
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
        names = ("clean", "corrupted", "intervened", "direct", "control.text.clean", "control.text.intervened")
        found = with_lines(claim, battery, {name: rng.normal(size=64) for name in names}, 128)
        assert [(line.name, line.delta, line.unit) for line in found.deciding] == [
            ("effect", 0.4, "logits"),
            ("specific against text", 0.0, "fraction of baseline"),
        ]


class TestEvidence:
    LINES = (
        Line(name="effect", delta=0.4, scale=8.0, unit="logits", decides=True),
        Line(name="beyond matched random", delta=0.4, scale=6.0, unit="logits", decides=True),
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
        return conclude(self.CLAIM, self.BATTERY, threshold, self.halves(values), identity)

    @staticmethod
    def halves(values: Values) -> Data:
        return Data(values, ("s", "l") * (len(values["clean"]) // 2))

    def test_the_e_value_is_the_weakest_lines(self) -> None:
        values = self.values(48)
        effects = line_effects(self.CLAIM, self.BATTERY, values)
        paths = [e_of(effects[line.name], line) for line in self.LINES]
        assert (paths[0] > paths[1]).any()
        assert (paths[0] < paths[1]).any()
        assert e_process(self.CLAIM, self.BATTERY, self.halves(values)) == pytest.approx(np.minimum(*paths))
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
        assert (evidence.n, evidence.bets, evidence.templates, evidence.effect) == (48, 48, 2, evidence.lines[0])

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
        halves = [self.halves({k: x[i : i + 16] for k, x in values.items()}) for i in range(0, n, 16)]
        assert stopped(self.CLAIM, battery, threshold, halves) == reason
        evidence = conclude(self.CLAIM, battery, threshold, self.halves(values), "sha256:c")
        assert evidence.stop == (reason or "interrupted")

    def test_nothing_measured_stops_nothing(self) -> None:
        assert stopped(self.CLAIM, self.BATTERY, 20.0, []) is None
        assert len(Data.join([])) == 0

    def test_constant_effects_give_no_infinities(self) -> None:
        values = {name: np.ones(16) for name in ("clean", "corrupted", "intervened", "random.0", "random.1")}
        evidence = self.conclude(values)
        assert evidence.effect.standardised is None  # sd is 0
        assert evidence.intraclass_correlation is None
        assert evidence.e < 1


class TestOtherKinds:
    """Two prompts, gap 4, by hand."""

    def test_sufficiency(self) -> None:
        claim = Sufficiency(components=("m5",), faithfulness=0.75, threshold=0.5)
        battery = DRAFT.model_copy(update={"matched": {"random": ("m1", "m2", "m3"), "shuffled": ("m4",)}})
        values = pair_values(clean=[4.0, 8.0], corrupted=[0.0, 0.0], circuit=[3.5, 9.0], shuffled_0=[1.0, 9.5])
        values |= pair_values(random_0=[0.0, 1.0], random_1=[3.0, 0.0], random_2=[-1.0, 0.0])
        parts = {part.name: (part.effect.tolist(), part.delta) for part in parts_of(claim, battery, values)}
        assert parts == {
            "keeps the behaviour": ([0.5, 3.0], 0.0),  # 3.5 - 3 and 9 - 6
            "not beyond the model": ([1.5, 1.0], 0.0),  # 5 - 3.5 and 10 - 9
            "beyond random circuit 0": ([3.5, 8.0], 2.0),
            "beyond random circuit 1": ([0.5, 9.0], 2.0),
            "beyond random circuit 2": ([4.5, 9.0], 2.0),
            "beyond the shuffled search": ([2.5, -0.5], 2.0),
        }

    def test_minimality_leaves_a_member_out_together_with_its_backups(self) -> None:
        claim = Minimality(components=("a1.h0", "a2.h0", "m0"), backups={"a1.h0": ("a2.h0",)})
        arms = {arm.name: (arm.components, arm.keep) for arm in claim.arms({})}
        assert arms == {
            "circuit": (("m0", "a1.h0", "a2.h0"), True),
            "without.a1.h0": (("m0",), True),
            "without.a2.h0": (("m0", "a1.h0"), True),
            "without.m0": (("a1.h0", "a2.h0"), True),
            "spared.a1.h0": (("m0", "a1.h0"), True),
        }
        values = {"clean": np.array([4.0]), "corrupted": np.zeros(1), "circuit": np.array([3.0])}
        values |= {"spared.a1.h0": np.array([1.5])}
        values |= {"without.a1.h0": np.array([1.0]), "without.a2.h0": np.array([3.0]), "without.m0": np.array([-1.0])}
        parts = {part.name: (part.effect.tolist(), part.delta) for part in parts_of(claim, DRAFT, values)}
        assert parts == {
            "needs a1.h0 with a2.h0": ([2.0], 0.4),
            "needs a2.h0": ([0.0], 0.4),
            "needs m0": ([4.0], 0.4),
            "needs a1.h0 without a2.h0": ([0.5], 0.4),
        }

    @pytest.mark.parametrize(
        ("intervention", "direction", "total", "path"),
        [
            ("denoising", "supports", [3.0, 2.0], [2.0, 1.5]),
            ("denoising", "opposes", [-3.0, -2.0], [-2.0, -1.5]),
            ("noising", "supports", [1.0, 4.0], [2.0, 4.5]),
        ],
    )
    def test_mediation(self, intervention: Any, direction: Any, total: list[float], path: list[float]) -> None:
        claim = Mediation(
            components=("m5",), receivers=("m6",), intervention=intervention, direction=direction, share=0.5
        )
        values = VALUES | pair_values(path=[2.0, 0.5])
        parts = {part.name: (part.effect.tolist(), part.delta) for part in parts_of(claim, DRAFT, values)}
        assert parts["total"] == (total, 0.4)
        assert parts["share of the path"] == ([p - 0.5 * t for p, t in zip(path, total, strict=True)], 0.0)
        others = {"denoising": [0.5, 0.5], "noising": [3.5, 5.5]}[intervention]
        sign = 1 if direction == "supports" else -1
        assert parts["beyond random receivers"] == ([p - sign * o for p, o in zip(path, others, strict=True)], 0.2)

    def test_attention_beats_every_other_role(self) -> None:
        claim = AttentionRole(components=("a1.h0",), attends_from="END", attends_to="IO", threshold=0.2)
        battery = DRAFT.model_copy(update={"gap": 1.0, "matched": {"positions": ("S1", "elsewhere")}})
        values = {"attention.IO": np.array([0.7, 0.5]), "attention.S1": np.array([0.2, 0.4])}
        values["attention.elsewhere"] = np.array([0.0, 0.1])
        parts = {part.name: (part.effect.tolist(), part.delta) for part in parts_of(claim, battery, values)}
        assert parts == {
            "more than to S1": (pytest.approx([0.5, 0.1]), 0.2),
            "more than to elsewhere": (pytest.approx([0.7, 0.4]), 0.2),
        }
        assert gaps(values, {}) == (1.0, {})

    @pytest.mark.parametrize(("size", "confirmed"), [(0.0, True), (0.3, True), (0.5, False), (-0.5, False)])
    @pytest.mark.parametrize("which", ["intervened", "direct"])
    def test_no_effect_needs_both_sides_of_both_effects(self, which, size, confirmed) -> None:
        rng, claim = np.random.default_rng(0), NoEffect(components=("m5",))
        clean = rng.normal(4, 1, 64)
        values = {"clean": clean, "corrupted": clean - 4, "intervened": clean, "direct": clean}
        values |= {name: clean + rng.normal(0, 0.05, 64) for name in ("intervened", "direct")}
        values[which] = values[which] - size  # the margin is .4
        battery = with_lines(claim, DRAFT, values, 128)
        assert len(battery.deciding) == 4
        assert (e_process(claim, battery, data(values))[-1] >= 4000) == confirmed

    def test_a_generalisation_is_judged_by_its_parents_battery(self) -> None:
        parent = node("denoising")
        claim = Generalisation(parent=parent, family="distant")
        assert line_effects(claim, DRAFT, VALUES).keys() == line_effects(parent, DRAFT, VALUES).keys()

    @pytest.mark.parametrize(
        ("total", "direct", "text", "reading"),
        [
            (2.0, 2.0, 0.0, None),  # confirmed: no other reading holds
            (2.0, 2.0, 2.0, "necessary, not specific"),
            (0.0, 2.0, 0.0, "backed up"),
            (0.0, 0.0, 0.0, "inert"),
            (0.38, 0.42, 0.0, None),  # about the threshold: nothing is shown
            (-4.0, 0.0, 0.0, None),  # the ablation helps, through what comes later: nothing is backed up
        ],
    )
    def test_the_readings_of_a_necessity_battery(self, total, direct, text, reading) -> None:
        rng, claim = np.random.default_rng(0), Necessity(components=("m5",))
        clean = rng.normal(4, 1, 64)

        def noise() -> np.ndarray:
            return rng.normal(0, 0.1, 64)

        values = {"clean": clean, "corrupted": clean - 4, "intervened": clean - total + noise()}
        values |= {"direct": clean - direct + noise(), "control.text.clean": 2 + noise()}
        values["control.text.intervened"] = values["control.text.clean"] + text + noise()
        draft = DRAFT.model_copy(update={"control_gaps": {"text": 2.0}, "matched": {}})
        battery = with_lines(claim, draft, values, 128)
        evidence = conclude(claim, battery, 4000.0, data(values), "sha256:c")
        assert evidence.reading(4000.0) == reading
        assert (evidence.e >= 4000) == (total == 2.0 and text == 0.0)


class TestUnits:
    def test_the_rule(self) -> None:
        assert choose_unit(0.2, 64) == "template"
        assert choose_unit(0.2, 63) == "prompt"
        assert choose_unit(0.1, 100) == "prompt"
        assert choose_unit(None, 100) == "prompt"

    def test_means_of_templates_in_the_order_of_their_appearance(self) -> None:
        found = Data({"x": np.array([1.0, 3.0, 10.0, 20.0, 5.0])}, ("b", "b", "a", "a", "c")).by("template")
        assert found.templates == ("b", "a", "c")
        assert found.values["x"].tolist() == [2.0, 15.0, 5.0]

    def test_a_template_is_one_bet(self) -> None:
        """64 templates of two prompts: 64 bets on their means, whatever the prompts of a template do."""
        rng, claim = np.random.default_rng(0), node("denoising")
        templates = tuple(f"t{k // 2}" for k in range(128))
        shift = np.repeat(rng.normal(0, 1, 64), 2)
        base = rng.normal(0, 0.1, 128)
        values = {"clean": base + 4, "corrupted": base, "intervened": base + 2 + shift + rng.normal(0, 0.2, 128)}
        values |= {f"random.{k}": base for k in range(2)}
        explored = Data({name: x[:64] for name, x in values.items()}, templates[:64])
        battery = fixed(claim, DRAFT, explored, cap=256, templates=64)
        assert battery.unit == "template"
        assert battery.intraclass_correlation > 0.9
        assert battery.n_max == 128  # two prompts of each of 64 templates
        whole = Data(values, templates)
        path = e_process(claim, battery, whole)
        means = (values["intervened"] - base).reshape(64, 2).mean(1)
        assert path == pytest.approx(e_of(means, battery.lines[0]))
        evidence = conclude(claim, battery, 1e9, whole, "sha256:c")
        assert (evidence.n, evidence.bets, len(evidence.e_by_batch)) == (128, 64, 8)
        assert evidence.e_by_batch[-1] == evidence.e

    def test_betting_on_prompts_where_templates_differ_would_be_caught(self) -> None:
        """Eight templates of 16 prompts, none of them an effect on average: as in the protocol, V4."""
        rng = np.random.default_rng(1)
        claim, hits = node("denoising", threshold=0.0001), {"prompt": 0, "template": 0}
        for _ in range(300):
            shift = rng.normal(0, 0.5, 8).repeat(16)  # intraclass correlation .2
            zero = np.zeros(128)
            values = {"clean": zero + 4, "corrupted": zero, "intervened": shift + rng.normal(0, 1, 128)}
            values |= {f"random.{k}": zero for k in range(2)}
            whole = Data(values, tuple(f"t{k // 16}" for k in range(128)))
            for unit in hits:
                lines = tuple(
                    Line(name=name, delta=0.0, scale=4.0, unit="logits", decides=True)
                    for name in ("effect", "beyond matched random")
                )
                battery = DRAFT.model_copy(update={"lines": lines, "unit": unit})
                hits[unit] += bool(e_process(claim, battery, whole).max() >= 20)
        assert hits["template"] <= 300 * 0.05
        assert hits["prompt"] > 300 * 0.1
