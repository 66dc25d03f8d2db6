"""Claims of a stream, measured together: the same as each by itself, and each one's failures its own."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from models import TOY, TOY_TEXT, build_hf, build_tiny

from lakatos.tools.behaviour import Exhausted
from lakatos.tools.claim import (
    AnyClaim,
    AttentionRole,
    Backup,
    Generalisation,
    Mediation,
    Minimality,
    Necessity,
    NodeEffect,
    NoEffect,
    Sufficiency,
    draw_matched,
)
from lakatos.tools.component import Shape
from lakatos.tools.errors import UserError
from lakatos.tools.evidence import Battery, Data, join_values, run_tests, split_values
from lakatos.tools.experiment import Draw, MeasuredDraw, Member, measure, measure_draws, measuring
from lakatos.tools.experiment.attention import Looking, attention_masses
from lakatos.tools.intervention import Intervention
from lakatos.tools.model import LoadedModel

PATCH = NodeEffect(components=("a1.h2@END",))
CLAIMS: list[AnyClaim] = [
    PATCH,
    NodeEffect(components=("a1.h2@END",), intervention="noising", metric="prob_diff"),
    NodeEffect(components=("m0@S2",), direction="opposes"),
    Necessity(components=("a1.h2", "m0")),
    Necessity(components=("a1.h2", "m0"), ablation="zero"),
    Sufficiency(components=("a1.h2", "m0")),
    Minimality(components=("a1.h2", "m0")),
    Mediation(components=("a0.h1",), receivers=("a2.h0.q",)),
    Mediation(components=("a0.h1",), receivers=("logits",), metric="prob_diff"),
    AttentionRole(components=("a1.h2",), attends_from="END", attends_to="IO"),
    AttentionRole(components=("a0.h3",), attends_from="S2", attends_to="IO"),
    NoEffect(components=("m1",)),
    NoEffect(components=("a1.h2",), intervention="noising"),
    Backup(components=("a2.h0",), backed_up=("a1.h2", "m0@S2")),
]
NEED = Necessity(components=("a1.h2",), ablation="zero")  # what `fragile` models cannot do
RESAMPLED = Necessity(components=("a0.h1",))


@lru_cache
def model(architecture: str = "llama", seed: int = 0) -> LoadedModel:
    """In double precision: equal numbers are equal to many digits."""
    return build_tiny(architecture, seed, build_hf(architecture, seed).double(), torch.float64)


def member(claim: AnyClaim) -> Member:
    """With what the battery compares with, and constants that play no part here."""
    matched = draw_matched(claim.tested, Shape.of(model().cfg), "seed")
    matched |= {"positions": ("S2", "elsewhere")} if isinstance(claim.tested, AttentionRole) else {}
    matched |= {"shuffled": ("a0.h1+m1",)} if isinstance(claim.tested, Sufficiency) else {}
    return Member(claim, Battery.draft(1.0, {}, {**matched}))


MEMBERS = [member(claim) for claim in CLAIMS]


def seeds(purpose: str) -> int:
    return zlib.crc32(purpose.encode())


def draws(members: Sequence[Member], *numbers: int, **changes: Any) -> list[Draw]:
    return [replace(Draw.of(members, TOY, [TOY_TEXT], k, seeds), **changes) for k in numbers]


def numbers_of(draw: MeasuredDraw, place: int) -> Data:
    data = draw.data(place)
    assert isinstance(data, Data), data
    return data


def agree(one: Data, other: Data) -> bool:
    return (
        one.templates == other.templates
        and one.values.keys() == other.values.keys()
        and all(np.allclose(one.values[k], other.values[k], rtol=1e-6, atol=1e-6) for k in one.values)
    )


def alone(own: Member, number: int, on: LoadedModel) -> Data:
    """What `measure` gives for one claim on the sixteen prompts of one draw."""
    (draw,) = draws([own], number)
    sample = draw.draw(on.tokenizer).on(on.bridge)
    return Data(measure(own.claim, own.battery.matched, on.bridge, sample).values, sample.templates)


class TestTogether:
    @pytest.mark.heavy
    @settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(
        members=st.lists(st.sampled_from(MEMBERS), min_size=1, max_size=6),
        first=st.integers(0, 2),
        n=st.integers(1, 2),
        which=st.sampled_from([("llama", 0), ("llama", 1), ("gpt2", 0), ("gemma2", 0)]),
    )
    def test_as_each_claim_by_itself(self, members, first, n, which) -> None:
        asked = draws(members, *range(first, first + n))
        for number, found in enumerate(measure_draws(asked, members, model(*which)), first):
            assert [pair.uid for pair in found.prompts] == [
                pair.uid for pair in TOY.sample(16, seeds("pairs"), "confirmation", skip=16 * number)
            ]
            for place, own in enumerate(members):
                assert agree(numbers_of(found, place), alone(own, number, model(*which)))

    def test_all_kinds_in_one_draw_or_in_three(self) -> None:
        at_once = measure_draws(draws(MEMBERS, 0, 1, 2), MEMBERS, model())
        one_by_one = [found for k in range(3) for found in measure_draws(draws(MEMBERS, k), MEMBERS, model())]
        for found, expected in zip(at_once, one_by_one, strict=True):
            assert found.draw == expected.draw
            assert found.prompts == expected.prompts
            for place in range(len(MEMBERS)):
                assert agree(numbers_of(found, place), numbers_of(expected, place))

    def test_what_is_no_claims_own_is_there_once(self) -> None:
        (found,) = measure_draws(draws(MEMBERS, 0), MEMBERS, model())
        runs = {f"{metric}.{run}" for metric in ("logit_diff", "prob_diff") for run in ("clean", "corrupted")}
        assert set(found.common) == runs | {"control.toy_text.clean"}
        assert {column.shape for column in found.common.values()} == {(16,)}
        shared = {"clean", "corrupted", "control.toy_text.clean"}
        assert all(not shared & own.keys() for own in found.own if isinstance(own, dict))
        assert set(found.own[3]) == {"intervened", "direct", "control.toy_text.intervened"}

    def test_equal_arms_run_once_in_one_plan_for_each_base_run_and_metric(self, monkeypatch) -> None:
        plans: list[tuple[list[Intervention], dict[str, Any]]] = []
        real = measuring.run_interventions

        def spied(model: Any, runs: Any, plan: list[Intervention], **told: Any) -> Any:
            plans.append((plan, told))
            return real(model, runs, plan, **told)

        monkeypatch.setattr(measuring, "run_interventions", spied)
        twice = [*MEMBERS, *MEMBERS, member(NodeEffect(components=("a1.h2@END",), threshold=0.2))]
        measure_draws(draws(twice, 0), twice, model())
        told = [(own["base"], own.get("metric")) for _, own in plans]
        assert sorted(told, key=str) == sorted(set(told), key=str)
        assert all(len(plan) == len(set(plan)) for plan, _ in plans)
        assert len(plans) == 5  # the two bases with logits, two with probabilities, and the control texts

    def test_equal_arms_told_apart_by_less_than_all_would_be_caught(self, monkeypatch) -> None:
        honest = [alone(own, 0, model()) for own in MEMBERS]

        def broken(rows: dict[Intervention, int], arms: Any, anywhere: bool = False) -> None:
            for arm in arms:
                key = measuring.everywhere(measuring._intervention(arm)) if anywhere else measuring._intervention(arm)
                same = [row for other, row in rows.items() if other.components == key.components]
                rows.setdefault(key, same[0] if same else len(rows))

        monkeypatch.setattr(measuring, "_add", broken)
        (found,) = measure_draws(draws(MEMBERS, 0), MEMBERS, model())
        assert not all(agree(numbers_of(found, k), honest[k]) for k in range(len(MEMBERS)))

    def test_prompts_do_not_depend_on_the_members(self) -> None:
        with_donors, without = draws([member(RESAMPLED)], 1)[0], draws([member(PATCH)], 1)[0]
        assert (with_donors.donors, without.donors) == (True, False)
        assert without.seeds.items() <= with_donors.seeds.items()
        one, other = (draw.draw(model().tokenizer) for draw in (with_donors, without))
        assert one.prompts.pairs == other.prompts.pairs
        assert one.controls["toy_text"].pairs == other.controls["toy_text"].pairs

    def test_members_share_family_and_unit(self) -> None:
        elsewhere = Member(Generalisation(parent=PATCH, family="far"), MEMBERS[0].battery)
        blocks = Member(PATCH, MEMBERS[0].battery.model_copy(update={"unit": "template"}))
        for members in ([], [MEMBERS[0], elsewhere], [MEMBERS[0], blocks]):
            with pytest.raises(ValueError, match="one family and one unit"):
                Draw.of(members, TOY, [], 0, seeds)
        assert Draw.of([MEMBERS[0], blocks], TOY, [], 0, seeds, unit="prompt").unit == "prompt"
        assert Draw.of([elsewhere], TOY, [], 0, seeds).family == "far"

    def test_what_is_passed_over_never_comes(self) -> None:
        (first,) = draws(MEMBERS[:1], 0)
        uids = frozenset(pair.uid for pair in first.draw(model().tokenizer).prompts.pairs)
        (again,) = measure_draws([replace(first, without=uids)], MEMBERS[:1], model())
        assert not uids & {pair.uid for pair in again.prompts}
        assert len(again.prompts) == 16


class TestLooking:
    def test_several_heads_are_read_from_one_pass(self, monkeypatch) -> None:
        pairs, bridge, passes = TOY.sample(8), model().bridge, []
        looking = [Looking(m.claim.tested.parsed(), "END") for m in MEMBERS if isinstance(m.claim, AttentionRole)]
        one_by_one = [attention_masses(bridge, pairs, [own])[0] for own in looking]
        real = bridge.run_with_cache
        monkeypatch.setattr(bridge, "run_with_cache", lambda *a, **k: passes.append(1) or real(*a, **k))
        together = attention_masses(bridge, pairs, looking)
        assert len(passes) == len({len(bridge.tokenizer(pair.clean)["input_ids"]) for pair in pairs})
        for found, expected in zip(together, one_by_one, strict=True):
            assert found.keys() == expected.keys()
            for name in found:
                assert found[name] == pytest.approx(expected[name])


class Fragile(torch.nn.Linear):
    """The output projection of an attention layer, which can break where head 2 is all zeros."""

    whole = True
    broken: BaseException | None = None  # raised; None: NaN

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        zero = (z[..., 16:24] == 0).all(-1)
        if self.whole or not zero.any():
            return super().forward(z)
        if self.broken is not None:
            raise self.broken
        return super().forward(z).masked_fill(zero[..., None], torch.nan)


def fragile(broken: BaseException | None) -> LoadedModel:
    hf = build_hf("llama").double()
    attention = hf.model.layers[1].self_attn
    kind = type("Own", (Fragile,), {"broken": broken})  # the bridge may copy what it wraps
    projection = kind(32, 32, bias=False, dtype=torch.float64)
    projection.weight = attention.o_proj.weight
    attention.o_proj = projection
    loaded = build_tiny("llama", hf=hf, dtype=torch.float64)
    measure(RESAMPLED, {}, loaded.bridge, draws([member(RESAMPLED)], 0)[0].draw(loaded.tokenizer).on(loaded.bridge))
    kind.whole = False
    return loaded


class TestFailures:
    MEMBERS = (member(PATCH), member(NEED), member(RESAMPLED))

    @pytest.mark.parametrize(
        ("n", "broken"),
        [
            (2, None),
            pytest.param(1, MemoryError("too much"), marks=pytest.mark.heavy),
            pytest.param(2, RuntimeError("no kernel"), marks=pytest.mark.heavy),
        ],
        ids=str,
    )
    def test_are_the_members_own(self, broken, n) -> None:
        found = measure_draws(draws(self.MEMBERS, *range(n)), self.MEMBERS, fragile(broken))
        assert [draw.draw.number for draw in found] == [*range(n)]
        for number, draw in enumerate(found):
            error = draw.data(1)
            assert isinstance(error, FloatingPointError | UserError | RuntimeError)
            assert isinstance(error, FloatingPointError) == (broken is None)
            assert draw.own[1] is error
            assert (draw.engines[1], all(draw.engines[k] for k in (0, 2))) == ("", True)
            assert len(draw.prompts) == 16
            for place in (0, 2):
                assert agree(numbers_of(draw, place), alone(self.MEMBERS[place], number, model()))

    def test_a_mistake_of_the_program_is_raised(self) -> None:
        with pytest.raises(AttributeError, match="a bug"):
            measure_draws(draws(self.MEMBERS, 0), self.MEMBERS, fragile(AttributeError("a bug")))

    def test_without_donors_only_those_fail_that_need_them(self) -> None:
        (draw,) = draws(self.MEMBERS, 0)
        one_prompt = {"clean": "then [IO:Ann] and Bob met", "corrupted": "then [IO:Bob] and Bob met"}
        one_prompt |= {"answer": " Ann", "wrong": " Bob"}
        pairs = [
            {**one_prompt, "clean": f"then [IO:{a}] and {b} met", "template": f"{a}{b}"}
            for a in ("Ann", "Cat", "Dan", "Eve")
            for b in ("Kim", "Leo", "Mia", "Ned", "Oda")
        ]
        given = {"exploration": [one_prompt], "confirmation": pairs}
        left_out = {"templates", "fillers", "draw", "clean", "corrupted", "answer", "wrong"}
        listed = type(TOY).model_validate(TOY.model_dump(exclude=left_out) | {"pairs": given})
        (found,) = measure_draws([replace(draw, behaviour=listed)], self.MEMBERS, model())
        failed = [isinstance(own, Exception) for own in found.own]
        assert failed == [False, False, True]
        assert "found no other prompt of the template" in str(found.own[2])

    def test_where_prompts_run_out_all_fail_and_nothing_is_kept(self) -> None:
        few = TOY.model_copy(
            update={
                "fillers": {
                    k: v.model_copy(update={"confirmation": v.confirmation[:3]}) for k, v in TOY.fillers.items()
                }
            }
        )
        members, kept = self.MEMBERS[:2], []

        def measured(numbers: range, alive: Sequence[int]) -> list[MeasuredDraw]:
            own = [members[place] for place in alive]
            return measure_draws(draws(own, *numbers, behaviour=few), own, model())

        ends = run_tests(
            [lambda _: None] * 2,
            measured,
            lambda draw, alive, _: kept.append((draw.draw.number, alive)),
            ahead=lambda *_: 2,
        )
        assert [type(end) for end in ends] == [Exhausted] * 2
        assert kept == [(0, [0, 1])]


@pytest.mark.parametrize("own", MEMBERS, ids=lambda own: own.claim.kind)
def test_numbers_split_and_joined_are_the_same(own) -> None:
    names = own.names(["toy_text"])
    values = {name: np.full(3, float(k)) for k, name in enumerate(names)}
    common, rest = split_values(own.claim, values)
    assert not common.keys() & {"clean", "corrupted"}
    assert all("clean" in name or "corrupted" in name for name in common)
    joined = join_values(own.claim, names, {**common, "logit_diff.other": np.zeros(3)}, rest)
    assert list(joined) == names
    assert all(joined[name] is values[name] for name in names)
    with pytest.raises(KeyError):
        join_values(own.claim, names, {}, {})
