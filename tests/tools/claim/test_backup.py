"""Backup: more is lost together than apart, or it is not; on made-up numbers, and on models with a known mechanism."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from lakatos.tools.behaviour import load_behaviour
from lakatos.tools.claim import Backup, Part, draw_matched, in_words, parse_claim
from lakatos.tools.component import Component, Shape
from lakatos.tools.errors import UserError
from lakatos.tools.evidence import Battery, Values, gaps, parts_of
from lakatos.tools.experiment import Sample, draw_prompts, measure
from lakatos.tools.model.planted import MECHANISMS, load_planted
from lakatos.tools.model.planted import RECALL as BEHAVIOUR

CLAIM = Backup(components=("a2.h0",), backed_up=("a1.h0",))
GAUGE = Battery.draft(4.0, {}, {"random": ("a2.h1", "a1.h1")})
SHAPE = Shape(n_layers=12, n_heads=8, n_key_value_heads=4, d_mlp=64)
INERT = {"random.0": 0.0, "random.1": 0.0, "random_alone.0": 0.0, "random_alone.1": 0.0}
LINES = ["more than apart", "both", "beyond matched random"]


class Twin(Backup):
    """A battery that forgets what ablating the backups costs by itself."""

    def parts(self, gauge: Any, values: Values) -> list[Part]:
        harmless = {name: values["clean"] for name in values if name == "backups" or name.startswith("random_alone")}
        return super().parts(gauge, {**values, **harmless})


def lost(both: float, backed_up: float, backups: float, **others: float) -> Values:
    """Values of a clean metric of 4 and these losses. Random components are lost together with `backed_up`."""
    alone = {name: x for name, x in (INERT | others).items() if name.startswith("random_alone")}
    beside = {f"random.{k}": (INERT | others)[f"random.{k}"] + backed_up for k in range(2)}
    losses = {"intervened": both, "backed_up": backed_up, "backups": backups, **alone, **beside}
    return {"clean": np.full(8, 4.0), "corrupted": np.zeros(8)} | {k: np.full(8, 4.0 - x) for k, x in losses.items()}


def exceeded(claim: Backup, values: Values) -> list[str]:
    """The lines whose mean exceeds their delta."""
    return [part.name for part in claim.parts(GAUGE, values) if part.effect.mean() > part.delta]


class TestBattery:
    def test_every_arm_is_measured_under_its_own_name(self) -> None:
        measured = CLAIM.measured(GAUGE.matched)
        assert {arm.name: set(arm.components) for arm in measured.arms} == {
            "intervened": {"a1.h0", "a2.h0"},
            "backed_up": {"a1.h0"},
            "backups": {"a2.h0"},
            "random.0": {"a1.h0", "a2.h1"},
            "random.1": {"a1.h0", "a1.h1"},
            "random_alone.0": {"a2.h1"},
            "random_alone.1": {"a1.h1"},
        }
        assert {(arm.source, arm.base, arm.to, arm.keep) for arm in measured.arms} == {("resample", "clean", (), False)}
        assert CLAIM.shown(GAUGE.matched) == ["clean", "corrupted", "intervened", "backed_up", "backups"]

    def test_the_lines_by_hand(self) -> None:
        values = {
            "clean": np.array([4.0, 6.0]),
            "corrupted": np.array([0.0, 2.0]),
            "intervened": np.array([1.0, 2.0]),  # 3 and 4 lost
            "backed_up": np.array([3.5, 6.5]),  # 0.5 and -0.5
            "backups": np.array([3.0, 6.0]),  # 1 and 0
            "random.0": np.array([3.0, 6.0]),  # 1 and 0
            "random_alone.0": np.array([4.0, 5.0]),  # 0 and 1
            "random.1": np.array([3.0, 5.0]),  # 1 and 1
            "random_alone.1": np.array([4.5, 6.0]),  # -0.5 and 0
        }
        parts = CLAIM.parts(GAUGE, values)
        assert [(part.name, part.effect.tolist()) for part in parts] == [
            ("more than apart", [1.5, 4.5]),  # 3 - .5 - 1 and 4 + .5 - 0
            ("both", [3.0, 4.0]),
            ("beyond matched random", [0.75, 4.0]),  # less the means of .5 and 1, and of -.5 and 1.5
        ]
        assert {(part.delta, part.unit, part.decides) for part in parts} == {(0.4, "logits", True)}

    @pytest.mark.parametrize(
        ("values", "lines"),
        [
            (lost(2.0, 0.0, 0.0), LINES),  # neither is missed alone
            (lost(2.0, 1.0, 0.0), LINES),  # half of it is made up for
            (lost(2.0, 1.0, 1.0), ["both"]),  # each needed, apart from the other
            (lost(2.0, 2.0, 2.0), ["both"]),  # one path: without either nothing is left
            (lost(2.0, 0.0, 2.0), ["both"]),  # the "backups" do all of the work
            (lost(0.2, 0.0, 0.0), []),  # below the threshold
            (lost(0.0, -2.0, 0.0), ["more than apart", "beyond matched random"]),  # nothing is lost in the end
            (lost(2.0, 0.0, 0.0, **{"random.0": 2.0, "random.1": 2.0}), ["more than apart", "both"]),  # any would do
        ],
    )
    def test_what_exceeds_the_threshold(self, values: Values, lines: list[str]) -> None:
        assert exceeded(CLAIM, values) == lines

    def test_a_battery_that_forgets_the_loss_of_the_backups_would_be_caught(self) -> None:
        """Two components that are needed apart from one another pass it."""
        twin, apart = Twin(components=CLAIM.components, backed_up=CLAIM.backed_up), lost(2.0, 1.0, 1.0)
        assert exceeded(twin, apart) == LINES != exceeded(CLAIM, apart)
        assert exceeded(twin, lost(2.0, 0.0, 0.0)) == LINES


class TestClaim:
    def test_it_is_read_from_text(self) -> None:
        text = "a2.h0 backs up a1.h0 for planted_recall (resample, logit_diff, >= 10% of gap, 5 random)"
        claim, behaviour = parse_claim(text)
        assert (claim, behaviour) == (CLAIM.model_copy(update={"matched_random": 5}), BEHAVIOUR)
        assert claim.text(behaviour) == text
        several, _ = parse_claim("m6 + a7.h1 backs up a5.h2 + m5@END for ioi/distant (zero)")
        assert several.tested.backed_up == ("a5.h2", "m5@END")
        assert "When a1.h0 at every position is missing, a2.h0 at every position does its work" in in_words(CLAIM, "x")

    @pytest.mark.parametrize(
        ("components", "backed_up", "why"),
        [
            (("a2.h0",), (), "at least 1 item"),
            (("a2.h0",), ("a2.h0",), "among what it backs up"),
            (("a2.h0@END",), ("a2.h0@S2", "a1.h0"), "among what it backs up"),
            (("a2.h0",), ("a2", "a1.h0"), "among what it backs up"),
            (("a2",), ("a2.h0", "a1.h0"), "among what it backs up"),
            (("m3", "m2"), ("m2", "m1"), "m2 is among"),
            (("a1.h0",), ("a2.h0",), "comes before all that it backs up"),
            (("a1.h1",), ("a1.h0",), "cannot tell that it is missing"),
            (("a1.h1",), ("m1",), "comes before"),
            (("a3.h0", "a1.h1"), ("a1.h0",), "a1.h1 comes before"),
            (("r2",), ("a1.h0",), "not r2"),
            (("a2.h0.q",), ("a1.h0",), "not a2.h0.q"),
            (("a2.h0",), ("m1.n3",), "not m1.n3"),
            (("a9",), tuple(f"a1.h{k}" for k in range(9)), "at most 8"),
            (tuple(f"a2.h{k}" for k in range(9)), ("a1.h0",), "at most 8"),
        ],
    )
    def test_what_cannot_be_a_backup_is_refused(self, components: Any, backed_up: Any, why: str) -> None:
        with pytest.raises(ValidationError, match=why):
            Backup(components=components, backed_up=backed_up)

    def test_an_mlp_comes_after_the_attention_of_its_layer(self) -> None:
        assert Backup(components=("m1",), backed_up=("a1.h0",)).places() == (
            Component(1, "mlp"),
            Component(1, "head", 0),
        )

    @pytest.mark.parametrize("seed", map(str, range(20)))
    def test_it_is_compared_with_others_like_the_backups(self, seed: str) -> None:
        claim = Backup(components=("a6.h2@END", "m6"), backed_up=("a5", "a4.h1@S2", "m5"), matched_random=8)
        chosen = draw_matched(claim, SHAPE, seed)["random"]
        assert len(chosen) == 8
        for text in chosen:
            head, mlp = sorted(map(Component.parse, text.split("+")), key=lambda c: c.kind)
            assert (head.kind, head.position, mlp.kind, mlp.position) == ("head", "END", "mlp", None)
            assert abs(head.layer - 6) <= 3
            assert head.layer != 5
            assert (head.layer, head.index) not in {(6, 2), (4, 1)}
            assert mlp.layer in {3, 4, 7, 8, 9}

    def test_a_model_without_others_is_refused(self) -> None:
        claim, shape = Backup(components=("a2.h0",), backed_up=("a0.h0", "a1.h0")), Shape(3, 1, 1, 4)
        assert draw_matched(CLAIM, shape, "s") == {"random": ("a0.h0",)}
        with pytest.raises(UserError, match="to compare with"):
            draw_matched(claim, shape, "s")


@lru_cache
def explored(planted: str) -> tuple[Any, Sample]:
    bridge = load_planted(planted).bridge
    drawn = draw_prompts(
        load_behaviour(BEHAVIOUR),
        [],
        bridge.tokenizer,
        n=64,
        skip=0,
        split="exploration",
        seeds=lambda purpose: len(purpose),
        donors=True,
    )
    return bridge, drawn.on(bridge)


def shares(planted: str, backup: str, head: str, ablation: Any = "resample") -> dict[str, float]:
    """Each line's mean on exploration prompts, as a fraction of the gap."""
    bridge, sample = explored(planted)
    claim = Backup(components=(backup,), backed_up=(head,), ablation=ablation)
    matched = draw_matched(claim, Shape.of(bridge.cfg), "seed")
    values = measure(claim, matched, bridge, sample).values
    battery = Battery.draft(gaps(values, {})[0], {}, matched)
    return {part.name: float(part.effect.mean()) / battery.gap for part in parts_of(claim, battery, values)}


class TestPlanted:
    @pytest.mark.parametrize("ablation", ["resample", "zero"])
    def test_a_head_that_steps_in_backs_up_the_other(self, ablation: Any) -> None:
        """Without both, recall is lost: half of the gap. Without either, hardly anything is."""
        ((head, backup),) = MECHANISMS["backup"].backed_up
        found = shares("backup", backup, head, ablation)
        assert list(found) == LINES
        assert min(found.values()) > 0.4
        assert max(found.values()) < 0.6

    @pytest.mark.parametrize(
        ("planted", "backup", "head"),
        [
            ("induction", "a2.h0", "a1.h0"),  # the same places, and no backup
            ("induction", "a1.h0", "a0.h0"),  # both needed, one after the other
            ("backup", "a2.h1", "a1.h0"),  # inert
            ("backup", "a2.h0", "a1.h1"),  # of an inert head
            ("backup", "m1", "a1.h0"),
        ],
    )
    def test_no_other_does(self, planted: str, backup: str, head: str) -> None:
        found = shares(planted, backup, head)
        assert found["more than apart"] < 0.05
        assert found["beyond matched random"] < 0.05
