"""CMD, CPR and AUROC: by hand, against brute force, and on a model whose circuits are known."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakatos.tools.baseline import auroc, circuit_curves, cmd, cpr, places
from lakatos.tools.baseline.circuit_scores import PER_MILLE, counts_of
from lakatos.tools.behaviour import load_behaviour
from lakatos.tools.errors import UserError
from lakatos.tools.intervention import Intervention, Runs, run_interventions
from lakatos.tools.model import load_model

RECALL = load_behaviour("planted_recall")


class TestAreas:
    def test_by_hand(self) -> None:
        """Nothing up to a tenth; half at a fifth; twice at a half; all at the end.

        |1 - f|: 1 over .001 .. .1, then 1 to .5 over .1, .5 to 1 over .3, 1 to 0 over .5.
        """
        f = [0.0] * 7 + [0.5, 2.0, 1.0]
        assert cmd(f) == pytest.approx(0.099 + 0.75 * 0.1 + 0.75 * 0.3 + 0.5 * 0.5)
        assert cpr(f) == pytest.approx(0.25 * 0.1 + 1.25 * 0.3 + 1.5 * 0.5)

    def test_the_ends(self) -> None:
        assert cmd([1.0] * 10) == 0
        assert cpr([1.0] * 10) == pytest.approx(0.999)
        assert cmd([0.0] * 10) == pytest.approx(0.999)
        assert cpr([3.0] * 10) > 2.9  # unbounded

    def test_a_curve_has_ten_points(self) -> None:
        with pytest.raises(ValueError, match="10 points"):
            cmd([1.0])

    def test_sizes_are_cut_down_to_whole_components(self) -> None:
        assert counts_of(300) == (0, 0, 1, 3, 6, 15, 30, 60, 150, 300)
        assert counts_of(12) == (0, 0, 0, 0, 0, 0, 1, 2, 6, 12)
        assert counts_of(1000) == PER_MILLE


class TestAuroc:
    @given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=25))
    def test_it_is_the_share_of_pairs_in_order(self, rows) -> None:
        scores = {f"a0.h{k}": float(score) for k, (score, _) in enumerate(rows)}
        used = {f"a0.h{k}" for k, (_, yes) in enumerate(rows) if yes}
        yes = [abs(s) for s, y in rows if y]
        no = [abs(s) for s, y in rows if not y]
        wins = [1.0 if a > b else 0.5 if a == b else 0.0 for a, b in itertools.product(yes, no)]
        assert auroc(scores, used) == (pytest.approx(sum(wins) / len(wins)) if wins else None)

    @given(st.permutations(range(8)), st.sets(st.integers(0, 7), min_size=1, max_size=7))
    def test_only_the_order_counts_and_reversal_mirrors_it(self, order, used) -> None:
        names = {str(k) for k in used}
        plain = auroc({str(k): 1.0 + place for place, k in enumerate(order)}, names)
        bent = auroc({str(k): (1.0 + place) ** 3 for place, k in enumerate(order)}, names)
        mirrored = auroc({str(k): 9.0 - place for place, k in enumerate(order)}, names)
        assert plain == bent
        assert plain is not None
        assert mirrored == pytest.approx(1 - plain)

    def test_all_equal_is_a_coin(self) -> None:
        assert auroc({"a": 1.0, "b": -1.0, "c": 1.0}, {"a"}) == 0.5


class TestCurves:
    model = load_model("planted:induction")
    runs = Runs(model.bridge, RECALL.sample(8, split="confirmation"))

    def test_on_a_model_whose_circuits_are_known(self) -> None:
        """Of twelve components one is kept at a tenth, two at a fifth: a0.h0 and a1.h0 recall, one alone does not."""
        every = places(self.model)
        first = ["a0.h0", "a1.h0"]
        last = [name for name in every if name not in first]
        best, worst = circuit_curves(self.model, self.runs, [[*first, *last], [*last, *first]]).each
        assert best.counts == worst.counts == counts_of(12)
        assert best.faithfulness == pytest.approx([0] * 7 + [1, 1, 1], abs=0.02)
        assert worst.faithfulness == pytest.approx([0] * 9 + [1], abs=0.02)
        assert best.cmd == pytest.approx(0.099 + 0.05, abs=0.02)
        assert worst.cmd == pytest.approx(0.099 + 0.4 + 0.25, abs=0.02)
        assert best.cpr == pytest.approx(0.999 - best.cmd, abs=0.02)

    def test_against_the_engine(self) -> None:
        order = [*reversed(places(self.model))]
        curves = circuit_curves(self.model, self.runs, [order])
        asked = [Intervention(order[:n], "corrupted", keep=True) for n in (0, 2, 6)]
        shown = run_interventions(self.model, self.runs, asked, base="clean")
        empty, two, six = shown.values.mean(1)
        gap = shown.clean.mean() - empty
        assert (curves.full, curves.empty) == pytest.approx((shown.clean.mean(), empty))
        assert curves.each[0].faithfulness[7:9] == pytest.approx(((two - empty) / gap, (six - empty) / gap), abs=1e-5)

    @pytest.mark.parametrize("order", [("a0.h0",), ("a0.h0",) * 12, tuple("abcdefghijkl")])
    def test_a_ranking_names_every_component_once(self, order) -> None:
        with pytest.raises(UserError, match="every head and MLP once"):
            circuit_curves(self.model, self.runs, [order])

    def test_where_there_is_no_behaviour_there_is_nothing_to_be_faithful_to(self) -> None:
        twin = load_model("planted:none")
        runs = Runs(twin.bridge, RECALL.sample(8))
        with pytest.raises(UserError, match="no behaviour to be faithful to"):
            circuit_curves(twin, runs, [places(twin)])
        with pytest.raises(UserError, match="more pairs"):
            circuit_curves(self.model, Runs(self.model.bridge, RECALL.sample(1)), [places(self.model)])


def test_the_area_is_numpys() -> None:
    f = np.linspace(0.2, 1.4, 10)
    assert cpr(f.tolist()) == pytest.approx(np.trapezoid(f, np.array(PER_MILLE) / 1000))
