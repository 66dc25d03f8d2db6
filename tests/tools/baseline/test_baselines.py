"""Baselines on models whose mechanism is planted: what each selects follows from its rule and from the mechanism.

Corrupted prompts have the names exchanged. So a0.h0 and a1.h0 restore recall, under backup a1.h0 half of it; m0 writes
the same where it matters, so that no method that goes from the corrupted to the clean prompt can find it; and a2.h0
writes only where a1.h0 has not.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from models import TOY, TOY_TEXT, tiny

from lakatos.tools.baseline import BASELINES, Found, places, used_components
from lakatos.tools.baseline.acdc import acdc, acdc_nodes
from lakatos.tools.baseline.edge_patching import connected, how_many, strongest_edges
from lakatos.tools.baseline.found import LEAST, exploration_pairs
from lakatos.tools.baseline.patching import Patched, by_effect, by_p_value, patch_everything
from lakatos.tools.behaviour import load_behaviour
from lakatos.tools.errors import UserError
from lakatos.tools.intervention import EdgeGraph, EdgeRuns, Intervention, run_interventions
from lakatos.tools.model import LoadedModel, load_model
from lakatos.tools.model.planted import MECHANISMS

RECALL = load_behaviour("planted_recall")
PAIRS = 16
RESTORES = {"a0.h0", "a1.h0"}  # in induction and in backup


@lru_cache
def planted(name: str) -> LoadedModel:
    return load_model(f"planted:{name}")


@lru_cache
def found(name: str, baseline: str) -> Found:
    return BASELINES[baseline](planted(name), RECALL, pairs=PAIRS)


@pytest.mark.parametrize("baseline", BASELINES)
class TestAll:
    def test_the_record_is_whole(self, baseline) -> None:
        one = found("induction", baseline)
        sizes = [abs(score) for _, score in one.ranking]
        assert sorted(one.order) == sorted(places(planted("induction")))
        assert sizes == sorted(sizes, reverse=True)
        assert [name for name in one.order if name in one.components] == [*one.components]
        assert one.prompts == PAIRS
        assert one.forwards >= 2 * PAIRS
        graph = EdgeGraph.of(planted("induction").bridge)
        assert all(s in graph.senders and r in graph.receivers for s, r in one.edges)
        assert bool(one.edges) == (baseline in ("acdc", "eap", "eap-ig"))
        assert {s for s, _ in one.edges} - {"r0"} == (set(one.components) if one.edges else set())

    @pytest.mark.parametrize("name", ["induction", "backup"])
    def test_what_restores_recall_is_selected_and_what_both_prompts_share_is_not(self, baseline, name) -> None:
        one = found(name, baseline)
        assert set(one.components) >= RESTORES
        if "eap" not in baseline:  # whose last edges are noise, as many as there are
            assert "m0" not in one.components
        assert set(one.order[:2]) == RESTORES

    def test_a_small_budget_draws_fewer_pairs_and_is_kept_to(self, baseline) -> None:
        whole = found("induction", baseline).forwards
        budget = {"acdc": 172 * 6, "acdc-nodes": 16 * 6}.get(baseline, whole / 2)
        try:
            one = BASELINES[baseline](planted("induction"), RECALL, pairs=64, budget=budget)
        except UserError:
            pytest.fail("this budget pays for some pairs")
        assert LEAST <= one.prompts < 64
        assert one.forwards <= budget

    def test_too_small_a_budget_is_refused(self, baseline) -> None:
        with pytest.raises(UserError, match="Give a budget of"):
            BASELINES[baseline](planted("induction"), RECALL, budget=15)

    def test_plain_text_is_refused(self, baseline) -> None:
        with pytest.raises(UserError, match="plain text"):
            BASELINES[baseline](planted("induction"), load_behaviour("planted_text"))


class TestRules:
    def test_exact_effects_and_pruning_select_what_restores_and_nothing_else(self) -> None:
        for baseline in ("activation-patching", "acdc", "acdc-nodes"):
            for name in ("induction", "backup"):
                assert set(found(name, baseline).components) == RESTORES, (baseline, name)

    def test_the_effects_are_shares_of_the_gap(self) -> None:
        scores = dict(found("induction", "activation-patching").ranking)
        assert scores["a0.h0"] == pytest.approx(16, abs=1)
        assert scores["a1.h0"] == pytest.approx(16, abs=1)
        assert dict(found("backup", "activation-patching").ranking)["a1.h0"] == pytest.approx(8, abs=1)

    def test_a_tenth_of_twelve_is_two_even_where_there_is_nothing(self) -> None:
        for name in MECHANISMS:
            assert len(found(name, "attribution-patching").components) == 2
        assert not used_components(planted("none")) & {"a0.h0", "a1.h0"}

    def test_where_attention_saturates_the_gradient_misses_what_integrated_gradients_see(self) -> None:
        names = ("attribution-patching", "attribution-ig")
        plain, averaged = (dict(found("induction", name).ranking)["a0.h0"] for name in names)
        exact = dict(found("induction", "activation-patching").ranking)["a0.h0"]
        assert plain < 0.05 * exact
        assert averaged > 0.5 * exact

    def test_acdc_finds_the_path_and_prunes_the_backup(self) -> None:
        path = {("r0", "a0.g0.v"), ("a0.h0", "a1.g0.k"), ("a1.h0", "logits")}
        for name in ("induction", "backup"):
            assert set(found(name, "acdc").edges) == path
        assert not found("none", "acdc").edges
        assert not found("none", "acdc-nodes").components

    def test_what_acdc_keeps_is_as_good_as_the_model_to_within_its_rule(self) -> None:
        runs = EdgeRuns(planted("backup"), RECALL.sample(PAIRS))
        kept = np.zeros_like(runs.graph.downstream)
        for sender, receiver in found("backup", "acdc").edges:
            kept[runs.graph.senders.index(sender), runs.graph.receivers.index(receiver)] = True
        assert runs.measure(kept, "kl").mean() < 0.0575
        for sender, receiver in np.argwhere(kept):
            less = kept.copy()
            less[sender, receiver] = False
            assert runs.measure(less, "kl").mean() > 0.0575

    def test_a_threshold_beyond_all_effects_prunes_everything_and_none_keeps_all(self) -> None:
        assert not acdc(planted("induction"), RECALL, pairs=4, tau=100.0).edges
        assert not acdc_nodes(planted("induction"), RECALL, pairs=4, tau=100.0).components
        strict = acdc_nodes(planted("induction"), RECALL, pairs=4, tau=-100.0)
        assert set(strict.components) == set(places(planted("induction")))

    def test_acdc_stops_at_its_budget(self) -> None:
        with pytest.raises(UserError, match="edges were tried"):
            acdc(tiny("gpt2"), TOY, pairs=4, tau=-100.0, budget=4 * EdgeGraph.of(tiny("gpt2").bridge).downstream.sum())

    def test_edges_of_edge_attribution_lie_on_paths_and_are_a_twentieth_at_most(self) -> None:
        for baseline in ("eap", "eap-ig"):
            one, graph = found("backup", baseline), EdgeGraph.of(planted("backup").bridge)
            assert len(one.edges) <= how_many(int(graph.downstream.sum())) == 9
            assert {("a0.h0", "a1.g0.k"), ("a1.h0", "logits"), ("r0", "a0.g0.v")} <= set(one.edges)
            assert "a2.h0" in one.components  # a1.h0 -> a2.h0.q: what silences the backup
        assert found("induction", "eap").edges[0] == ("a1.h0", "logits")

    def test_how_many_edges_are_kept(self) -> None:
        assert [how_many(n) for n in (20, 21, 172, 8_000, 70_651)] == [1, 2, 9, 400, 400]

    def test_edge_attribution_refuses_a_model_it_cannot_score(self) -> None:
        with pytest.raises(UserError, match="Score nodes instead"):
            BASELINES["eap"](tiny("granite"), TOY)


class TestPValues:
    def patched(self, effects: object, gap: float = 10.0) -> Patched:
        values = np.asarray(effects, float)
        return Patched(tuple(f"a0.h{k}" for k in range(len(values))), values, gap, 1.0)

    def test_each_correction_selects_what_its_level_allows(self) -> None:
        rng = np.random.default_rng(0)
        base = rng.normal(size=30)
        base = (base - base.mean()) / base.std(ddof=1) * math.sqrt(30)  # its t is its mean
        t = [4.0, 3.0, 2.5, 2.2, 0.5, 0.1]  # p about .0004, .0055, .018, .036, .62, .92, of 29 degrees of freedom
        one = self.patched([base + shift for shift in t])
        assert [score for _, score in by_p_value(one, "p-none").ranking] == pytest.approx(t)
        counts = [len(by_p_value(one, name).components) for name in ("p-none", "p-bh", "p-bonferroni")]
        assert counts == [4, 3, 2]  # .05; .0083 .0167 .025 .033; .0083

    def test_either_sign_counts(self) -> None:
        one = self.patched([[-1.0, -1.1, -0.9, -1.0], [1.0, -1.0, 1.0, -1.0]])
        assert by_p_value(one, "p-bonferroni").components == ("a0.h0",)
        assert by_effect(self.patched([[-1.0, -1.1], [0.5, 0.4]])).components == ("a0.h0",)

    def test_they_find_what_is_small_and_the_usual_rule_does_not(self) -> None:
        assert set(found("backup", "activation-patching").components) <= set(found("backup", "p-none").components)
        bonferroni, bh, none = (set(found("backup", f"p-{name}").components) for name in ("bonferroni", "bh", "none"))
        assert bonferroni <= bh <= none

    def test_all_share_one_measurement(self) -> None:
        measured = patch_everything(planted("induction"), RECALL, pairs=PAIRS)
        assert by_p_value(measured, "p-bh").ranking == found("induction", "p-bh").ranking
        pairs = RECALL.sample(PAIRS)
        alone = run_interventions(planted("induction"), pairs, [Intervention("a0.h0", "clean")])
        row = measured.places.index("a0.h0")
        assert measured.effects[row] == pytest.approx(alone.values[0] - alone.corrupted, abs=1e-4)

    def test_refusals(self) -> None:
        with pytest.raises(UserError, match="p-none, p-bh, p-bonferroni"):
            by_p_value(self.patched([[1.0, 2.0]]), "p-fdr")
        with pytest.raises(UserError, match="no gap"):
            by_effect(self.patched([[1.0, 2.0]], gap=0.0))


class TestDrawing:
    def test_pairs_are_of_the_exploration_split_and_as_many_as_the_budget_pays(self) -> None:
        drawn = exploration_pairs(TOY, 32, 5, 100.0, 9.5)
        assert (len(drawn), drawn.split, drawn.seed) == (10, "exploration", 5)
        assert len(exploration_pairs(TOY, 32, 5, math.inf, 9.5)) == 32

    @pytest.mark.parametrize(
        ("behaviour", "pairs", "budget", "says"),
        [
            (TOY_TEXT, 32, 1e9, "plain text"),
            (TOY, 3, 1e9, "4 at least"),
            (TOY, 32, 39.0, "a budget of 40 or more"),
        ],
    )
    def test_refusals(self, behaviour, pairs, budget, says) -> None:
        with pytest.raises(UserError, match=says):
            exploration_pairs(behaviour, pairs, 0, budget, 10.0)


class TestPaths:
    """Two layers of two heads that share a key-value group."""

    graph = EdgeGraph(layers=2, heads=2, groups=1, parallel=False)

    def kept(self, *edges: tuple[str, str]) -> np.ndarray:
        found = np.zeros_like(self.graph.downstream)
        for sender, receiver in edges:
            found[self.graph.senders.index(sender), self.graph.receivers.index(receiver)] = True
        assert not (found & ~self.graph.downstream).any()
        return found

    def test_only_what_lies_on_a_path_is_left(self) -> None:
        path = [("r0", "m0"), ("m0", "a1.g0.k"), ("a1.h1", "logits")]
        dangling = [("r0", "a1.h0.q"), ("a0.h0", "logits"), ("r0", "a0.h1.q"), ("a0.h1", "m0")]
        whole = self.kept(*path, *dangling)
        # a0.h0 is fed by nothing; a1.h0 sends nothing, but shares its key with a1.h1; a0.h1 is fed, and feeds m0
        expected = self.kept(*path, ("r0", "a0.h1.q"), ("a0.h1", "m0"))
        assert (connected(self.graph, whole) == expected).all()

    def test_a_chain_without_an_end_is_pruned_back_to_nothing(self) -> None:
        assert not connected(self.graph, self.kept(("r0", "a0.h0.q"), ("a0.h0", "m0"), ("m0", "a1.h0.q"))).any()
        assert not connected(self.graph, self.kept(("m0", "a1.h0.q"), ("a1.h0", "m1"), ("m1", "logits"))).any()
        direct = self.kept(("r0", "logits"))
        assert (connected(self.graph, direct) == direct).all()

    @given(st.data())
    def test_it_is_what_a_walk_over_all_paths_goes_along(self, data) -> None:
        there = np.argwhere(self.graph.downstream)
        picked = data.draw(st.sets(st.integers(0, len(there) - 1), max_size=14))
        edges = [(self.graph.senders[s], self.graph.receivers[r]) for s, r in there[sorted(picked)]]
        walked: set[tuple[str, str]] = set()

        def walk(sender: str, path: list[tuple[str, str]]) -> None:
            for edge in edges:
                if edge[0] == sender and edge[1] == "logits":
                    walked.update([*path, edge])
                for reader in self.graph.senders if edge[0] == sender else ():
                    if edge[1] in self.graph.readers_of(reader):
                        walk(reader, [*path, edge])

        walk("r0", [])
        assert (connected(self.graph, self.kept(*edges)) == self.kept(*walked)).all()

    def test_a_components_score_is_its_largest_edge(self) -> None:
        scores = np.zeros(self.graph.downstream.shape)
        scores[self.graph.senders.index("m0"), [4, 5]] = [0.5, -2.0]
        best = strongest_edges(self.graph, scores, ("a0.h0", "m0"))
        assert best == {"a0.h0": 0.0, "m0": -2.0}


def test_what_is_used_is_what_is_not_inert() -> None:
    assert used_components(planted("induction")) == {"a0.h0", "m0", "a1.h0"}
    assert used_components(load_model("planted:backup#2")) == {"a0.h0", "m0", "a1.h0", "a2.h0"}
    assert used_components(tiny("gpt2")) is None
