"""The one loop: every test on shared draws ends as it would by itself; and how far the rule can be foreseen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakatos.tools.claim import NodeEffect, NoEffect
from lakatos.tools.errors import Stop
from lakatos.tools.evidence import Battery, Data, Reach, e_process, looks_ahead, run_tests, sequential, stopped
from lakatos.tools.evidence.constants import Line, Unit
from lakatos.tools.statistics import BATCH, e_path

CLAIM = NodeEffect(components=("m0",))


def battery(
    unit: Unit = "prompt", n_max: int = 128, deltas: Sequence[float] = (0.1, 0.1), scale: float = 3.0
) -> Battery:
    lines = tuple(
        Line(name=name, delta=delta, scale=scale, unit="logits", decides=True)
        for name, delta in zip(("effect", "beyond matched random"), deltas, strict=True)
    )
    draft = Battery.draft(1.0, {}, {"random": ("m1",)})
    return draft.model_copy(update={"lines": lines, "unit": unit, "n_max": n_max})


def data(effects: Sequence[float] | np.ndarray, number: int = 0) -> Data:
    """A batch in which the claim's two lines have these effects; two prompts of each template."""
    zero = np.zeros(len(effects))
    values = {"clean": zero, "corrupted": zero, "intervened": np.asarray(effects, float), "random.0": zero}
    return Data(values, tuple(f"t{number}.{k // 2}" for k in range(len(effects))))


@dataclass(frozen=True)
class Draw:
    """What each test that was measured gets of a draw."""

    number: int
    own: tuple[Data | Exception, ...]

    def data(self, place: int, /) -> Data | Exception:
        return self.own[place]


class World:
    """Several tests of one rule: of each, the mean of its effects and the draw it dies of."""

    def __init__(self, means: Sequence[float], dies: Sequence[int | None]) -> None:
        self.means, self.dies = means, dies
        self.asked: list[tuple[range, tuple[int, ...]]] = []
        self.kept: list[tuple[int, tuple[int, ...]]] = []
        self.known: list[list[Data]] = [[] for _ in means]
        self.stops = partial(stopped, CLAIM, battery(), 1e3)

    def batch(self, test: int, number: int) -> Data | Exception:
        if number == self.dies[test]:
            return FloatingPointError(f"{test} in draw {number}")
        shared = np.random.default_rng(number).normal(0, 0.3, BATCH)
        return data(shared + self.means[test], number)

    def measured(self, numbers: range, alive: Sequence[int]) -> list[Draw]:
        self.asked.append((numbers, tuple(alive)))
        return [Draw(k, tuple(self.batch(test, k) for test in alive)) for k in numbers]

    def keep(self, draw: Draw, alive: Sequence[int], so_far: Sequence[Sequence[Data]]) -> None:
        assert draw.number == len(self.kept)
        assert tuple(alive) == self.asked[-1][1]
        self.kept.append((draw.number, tuple(alive)))
        for test, own in zip(alive, so_far, strict=True):
            self.known[test] = list(own)

    def run(self, at_once: bool = False) -> list[str | Exception]:
        def ahead(_test: int, so_far: Sequence[Data]) -> int:
            return looks_ahead(CLAIM, battery(), 1e3, so_far) if at_once else 1

        return run_tests([self.stops] * len(self.means), self.measured, self.keep, ahead=ahead)


def said(ends: Sequence[str | Exception]) -> list[str]:
    return [str(end) for end in ends]


worlds = st.lists(
    st.tuples(st.sampled_from([-0.5, 0.1, 0.2, 0.6, 1.0, 2.0, 3.0]), st.none() | st.integers(0, 6)),
    min_size=1,
    max_size=5,
)


class TestRunTests:
    @settings(max_examples=60, deadline=None)
    @given(worlds, st.booleans())
    def test_each_test_ends_as_it_would_by_itself(self, drawn, at_once) -> None:
        world = World(*zip(*drawn, strict=True))
        ends = world.run(at_once)
        for test, (mean, dies) in enumerate(drawn):
            alone = World([mean], [dies])
            (end,) = alone.run()
            assert said([end])[0].replace("0 in draw", f"{test} in draw") == said(ends)[test]
            assert len(alone.known[0]) == len(world.known[test])
            for one, other in zip(alone.known[0], world.known[test], strict=True):
                assert (one.values["intervened"] == other.values["intervened"]).all()

    @settings(max_examples=40, deadline=None)
    @given(worlds, st.booleans())
    def test_draws_are_kept_once_in_order_with_those_that_were_alive(self, drawn, at_once) -> None:
        world = World(*zip(*drawn, strict=True))
        ends = world.run(at_once)
        numbers = [number for number, _ in world.kept]
        assert numbers == [*range(len(numbers))]
        for number, alive in world.kept:
            still = [t for t in range(len(drawn)) if len(world.known[t]) > number or drawn[t][1] == number]
            assert set(alive) >= {t for t in still if len(world.known[t]) > number}
        died = [test for test, end in enumerate(ends) if isinstance(end, Exception)]
        assert all(drawn[test][1] == len(world.known[test]) for test in died)

    @pytest.mark.parametrize("after", range(1, 8))
    def test_resumed_in_the_middle(self, after) -> None:
        means = [3.0, 0.2, -0.5]
        whole, first, rest = (World(means, [None] * 3) for _ in range(3))
        ends = whole.run()

        def keep(draw: Draw, alive: Sequence[int], so_far: Sequence[Sequence[Data]]) -> None:
            first.keep(draw, alive, so_far)
            if draw.number + 1 == after:
                raise Stop("the user's limit")

        with pytest.raises(Stop):
            run_tests([first.stops] * 3, first.measured, keep)
        rest.kept = list(first.kept)
        assert run_tests([rest.stops] * 3, rest.measured, rest.keep, first.known, first=after) == ends
        assert rest.kept == whole.kept

    def test_a_draw_that_everybody_dies_of_is_not_kept(self) -> None:
        world = World([1.0, 1.0], [1, 1])
        assert [type(end) for end in world.run()] == [FloatingPointError] * 2
        assert world.kept == [(0, (0, 1))]

    def test_nothing_to_test_and_too_few_draws(self) -> None:
        assert run_tests([], World([], []).measured, World([], []).keep) == []
        with pytest.raises(ValueError, match="zip"):
            run_tests([lambda _: None], lambda _numbers, _alive: [], lambda *_: None)

    def test_a_loop_that_goes_on_without_the_ended_would_be_caught(self) -> None:
        """A twin in which all stop when the first does."""
        honest = World([3.0, 0.2], [None, None])
        ends = honest.run()

        def twin(stops, measured, keep, done=(), first=0, ahead=None):
            so_far: list[list[Data]] = [[] for _ in stops]
            while not any(reasons := [stop(own) for stop, own in zip(stops, so_far, strict=True)]):
                (draw,) = measured(range(len(so_far[0]), len(so_far[0]) + 1), [*range(len(stops))])
                for place, own in enumerate(so_far):
                    own.append(draw.data(place))
            return reasons

        broken = World([3.0, 0.2], [None, None])
        assert twin([broken.stops] * 2, broken.measured, broken.keep) != ends
        assert sequential.run_tests([broken.stops] * 2, broken.measured, lambda *_: None) == ends


class TestLooksAhead:
    @pytest.mark.parametrize("unit", ["prompt", "template"])
    @pytest.mark.parametrize("deltas", [(0.1, 0.1), (0.5, 0.1), (-0.3, 0.0)])
    @pytest.mark.parametrize("threshold", [20.0, 4e3, 1e6])
    def test_success_comes_no_earlier_and_then_if_all_bets_are_won(self, unit, deltas, threshold) -> None:
        fixed = battery(unit, n_max=4096, deltas=deltas)
        won = [data(np.full(BATCH, 3.0), k) for k in range(12)]
        ahead = looks_ahead(CLAIM, fixed, threshold, [])
        looks = [stopped(CLAIM, fixed, threshold, won[:k]) for k in range(1, 13)]
        first = looks.index("success") + 1
        assert ahead == min(first, 4)  # after 64 prompts it may be given up
        bets = BATCH if unit == "prompt" else BATCH // 2
        path = e_path(np.ones(bets * 12), max(deltas) / 3.0)
        assert first == int(np.argmax(path[bets - 1 :: bets] >= threshold)) + 1

    @settings(max_examples=80, deadline=None)
    @given(
        st.lists(st.floats(-1.0, 3.5), min_size=0, max_size=7),
        st.sampled_from(["prompt", "template"]),
        st.sampled_from([20.0, 1e3, 1e5]),
        st.sampled_from([64, 96, 160, 320]),
        st.integers(0, 1),
        st.integers(0, 2**32 - 1),
    )
    def test_no_data_can_stop_the_rule_before(self, means, unit, threshold, n_max, continued, seed) -> None:
        fixed, rng = battery(unit, n_max), np.random.default_rng(seed)
        reach = Reach(64 * continued, n_max)
        done = [data(rng.normal(mean, 0.5, BATCH), k) for k, mean in enumerate(means)]
        ahead = looks_ahead(CLAIM, fixed, threshold, done, reach)
        assert ahead >= 1
        if stopped(CLAIM, fixed, threshold, done, reach) is not None:
            return
        for extreme in (-9.0, 9.0, None):
            further = list(done)
            for k in range(ahead - 1):
                x = rng.normal(rng.uniform(-1, 3), 1, BATCH) if extreme is None else np.full(BATCH, extreme)
                further.append(data(x, 100 + k))
                assert stopped(CLAIM, fixed, threshold, further, reach) is None

    def test_what_is_won_already_brings_success_nearer(self) -> None:
        fixed = battery(n_max=4096, deltas=(0.5, 0.5))
        least, won = 1e9, [data(np.full(BATCH, 3.0), k) for k in range(3)]
        assert looks_ahead(CLAIM, fixed, least, won[:1]) < looks_ahead(CLAIM, fixed, least, [])
        e = float(e_process(CLAIM, fixed, Data.join(won))[-1])
        assert looks_ahead(CLAIM, fixed, e, won[:2]) == 1

    def test_the_largest_number_of_prompts_is_foreseen(self) -> None:
        fixed = battery(n_max=48)
        assert looks_ahead(CLAIM, fixed, 1e300, []) == 3
        assert looks_ahead(CLAIM, fixed, 1e300, [data(np.ones(BATCH), k) for k in range(3)]) == 1

    def test_a_claim_of_equivalence(self) -> None:
        """Its deltas are negative, so a bet that is won brings more."""
        claim = NoEffect(components=("m1",))
        names = ("total above -margin", "total below margin", "direct above -margin", "direct below margin")
        lines = tuple(Line(name=name, delta=-0.4, scale=1.0, unit="logits", decides=True) for name in names)
        fixed = battery(n_max=2048).model_copy(update={"lines": lines})
        path = e_path(np.ones(64), -0.4)[15::16]
        assert looks_ahead(claim, fixed, float(path[1]), []) == 2


def test_a_continued_test_is_not_given_up_before_it_had_its_chance() -> None:
    fixed = battery(n_max=512)
    lost = [data(np.full(BATCH, -0.5), k) for k in range(8)]
    assert stopped(CLAIM, fixed, 1e3, lost[:4]) == "futility"
    for k in range(5, 8):
        assert stopped(CLAIM, fixed, 1e3, lost[:k], Reach(64, 512)) is None
    assert stopped(CLAIM, fixed, 1e3, lost, Reach(64, 512)) == "futility"
