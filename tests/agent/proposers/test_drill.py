"""The rule of `drill`, on a view whose every number is written out."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakatos.agent.proposers import drill
from lakatos.agent.proposers.drill import SHARES, STAGES, share
from lakatos.agent.proposers.drill.budget import mixed, promise, spread, third
from lakatos.agent.view import Explored
from lakatos.tools.behaviour import load_behaviour
from lakatos.tools.claim import CLAIM, Backup, Hypothesis, Mediation, Necessity, NodeEffect, Sufficiency
from lakatos.tools.component import Component, Shape
from lakatos.tools.experiment import Probed

IOI = load_behaviour("ioi")
SHAPE = Shape(n_layers=6, n_heads=4, n_key_value_heads=2, d_mlp=64)
NOISE = np.tile([-0.01, 0.01], 12)


class Measured:
    """Exploration whose effects are given: by component for patches, by set for ablations and circuits."""

    def __init__(self, restored=(), lost=(), paths=(), kept=None, grows=(), edges=None, looks=(), circuits=5.0):
        self.restored, self.lost, self.paths = dict(restored), dict(lost), dict(paths)
        self.share_of, self.grows, self.edges, self.looks = kept, dict(grows), edges or {}, dict(looks)
        self.circuits = circuits  # what their batteries promise
        self.asked = []

    def effects(self, interventions, base):
        self.asked += list(interventions)
        return np.array([self._mean(i, base) + NOISE for i in interventions])

    def _mean(self, intervention, base):
        names = frozenset(map(str, intervention.components))
        if base == "clean":
            return self.lost.get(names, 0.0)
        (name,) = names
        if intervention.receivers:
            return self.paths.get((name, frozenset(map(str, intervention.receivers))), 0.0)
        return self.restored.get(name, 0.0)

    def kept(self, circuits):
        return [self.share_of(set(map(str, circuit))) if self.share_of else 0.0 for circuit in circuits]

    def probe(self, claims):
        if any(isinstance(claim, Sufficiency) for claim in claims):
            return [Probed(1.0, self.circuits, 1.0) for _ in claims]
        found = [self.looks.get((c.components[0], c.attends_from, c.attends_to)) for c in claims]
        return [None if own is None else Probed(own, own * 10, 1.0) for own in found]

    def stepping_in(self, missing):
        return [{Component.parse(k): v for k, v in self.grows.get(str(c), {}).items()} for c in missing]


def entry(claim, state="confirmed", effect=0.3, reading=None, number=1):
    evidence = SimpleNamespace(effect=SimpleNamespace(mean=effect))
    return SimpleNamespace(
        id=number,
        claim=claim,
        state=state,
        evidence=evidence,
        reading=reading,
        e=5000.0,
        battery=SimpleNamespace(gap=1.0),
        prediction=SimpleNamespace(corpus=None),
    )


def view(searching, known=(), budget=24, proposed=0, searched=(), scores=()):
    rows = [{"component": c, "score": s, "sd": 0.0} for c, s in sorted(scores, key=lambda row: -abs(row[1]))]
    return SimpleNamespace(
        how_many=budget,
        threshold=0.1,
        behaviour=IOI,
        shape=SHAPE,
        explored=Explored(1.0, rows, IOI.named_positions, SHAPE.n_layers, SHAPE.n_heads),
        known=list(known),
        proposed=proposed,
        searched=[SimpleNamespace(stage=name) for name in searched],
        searching=searching,
    )


def claims(proposed, stage=None):
    """What was put forward, or what one stage put forward."""
    own = [p for s in proposed.searched for p in s.proposals if stage in (None, s.stage)]
    return [Hypothesis.model_validate(p).claim for p in own]


EVERYWHERE = [(f"a{la}.h{h}@{p}", 0.01) for la in range(6) for h in range(4) for p in ("S2", "END")]
EVERYWHERE += [(f"a{la}.h{h}", 0.02) for la in range(6) for h in range(4)]


class TestWhere:
    def test_strong_components_of_every_depth_and_position_come_before_the_second_of_any(self):
        strong = {"a0.h0@S2": 0.3, "a5.h0@END": 0.5, "a5.h1@END": 0.45, "a5.h2@END": 0.4, "a3.h0@END": 0.2}
        scores = [*strong.items(), *EVERYWHERE]
        found = drill(view(Measured(restored=strong), scores=scores, budget=13))  # 5 in this stage
        effects = [c.components[0] for c in claims(found) if isinstance(c, NodeEffect)]
        assert effects[:3] == ["a5.h0@END", "a0.h0@S2", "a3.h0@END"]

    def test_what_opposes_is_claimed_to_oppose(self):
        found = drill(view(Measured(restored={"a1.h0@END": -0.4}), scores=[("a1.h0@END", 0.4), *EVERYWHERE]))
        first = claims(found)[0]
        assert (first.components, first.direction) == (("a1.h0@END",), "opposes"), "the measured sign, not the estimate"

    def test_there_is_a_rival_and_a_null_and_an_ablation(self):
        strong = {f"a{k}.h0@END": 0.3 for k in range(6)}
        needed = {frozenset([f"a{k}.h0"]): 0.3 for k in range(6)}
        found = drill(view(Measured(restored=strong, lost=needed), scores=[*((c, 0.3) for c in strong), *EVERYWHERE]))
        roles = [p["role"] for p in found.proposals]
        assert len(found.proposals) == 10
        assert {"main", "rival", "null"} <= set(roles)
        assert any(isinstance(c, Necessity) for c in claims(found))

    def test_a_model_in_which_nothing_is_promising_still_gets_tested(self):
        found = drill(view(Measured(), scores=EVERYWHERE))
        assert len([c for c in claims(found) if isinstance(c, NodeEffect)]) >= 2
        assert found.searched[0].left == ()

    def test_what_passes_and_is_beyond_the_budget_is_listed(self):
        strong = {f"a{la}.h{h}@END": 0.3 for la in range(6) for h in range(3)}
        found = drill(view(Measured(restored=strong), scores=[*((c, 0.3) for c in strong), *EVERYWHERE], budget=10))
        assert len(found.proposals) == 4
        assert len(found.searched[0].left) >= 10


NODE = NodeEffect(components=("a3.h0@END",))


class TestHow:
    def paths(self, through, edges, total=0.4):
        measured = Measured(restored={"a3.h0@END": total}, paths=through, edges=edges)
        found = drill(view(measured, [entry(NODE)], searched=["where"]))
        return [c for c in claims(found, "how") if isinstance(c, Mediation)]

    def test_the_fewest_receivers_that_carry_half(self):
        edges = {"a3.h0": {"a5.h1.q": 0.2, "a4.g0.k": 0.15, "m4": 0.1, "logits": 0.01}}
        through = {
            ("a3.h0@END", frozenset(["a5.h1.q"])): 0.1,
            ("a3.h0@END", frozenset(["a5.h1.q", "a4.g0.k"])): 0.3,
            ("a3.h0@END", frozenset(["a5.h1.q", "a4.g0.k", "m4"])): 0.39,
        }
        (claim,) = self.paths(through, edges)
        assert (set(claim.receivers), claim.share) == ({"a5.h1.q", "a4.g0.k"}, 0.5)

    def test_a_quarter_where_nothing_carries_half(self):
        (claim,) = self.paths({("a3.h0@END", frozenset(["logits"])): 0.15}, {"a3.h0": {"logits": 0.1}})
        assert (claim.receivers, claim.share) == (("logits",), 0.25)

    def test_no_path_is_claimed_that_exploration_does_not_predict(self):
        assert self.paths({("a3.h0@END", frozenset(["m4"])): 0.05}, {"a3.h0": {"m4": 5.0}}) == []
        assert self.paths({("a3.h0@END", frozenset(["m4"])): 0.05}, {"a3.h0": {"m4": 5.0}}, total=0.05) == []

    def test_who_feeds_a_confirmed_head_by_its_own_query_and_its_groups_key(self):
        edges = {"a1.h2": {"a3.h0.q": 0.3, "a3.h1.q": 0.9, "a3.g0.k": 0.01, "a3.g1.k": 0.9}}
        measured = Measured(restored={"a1.h2": 0.4}, paths={("a1.h2", frozenset(["a3.h0.q"])): 0.35}, edges=edges)
        found = claims(drill(view(measured, [entry(NODE)], searched=["where"])))
        assert [(c.components, c.receivers) for c in found] == [(("a1.h2",), ("a3.h0.q",))]
        asked = {r for i in measured.asked for r in map(str, i.receivers)}
        assert "a3.g0.k" in asked
        assert not {"a3.h1.q", "a3.g1.k"} & asked, "parts of other heads"

    def test_where_a_confirmed_head_looks_from_where_it_acts(self):
        looks = {("a3.h0", "END", "IO"): 0.4, ("a3.h0", "END", "S1"): -0.2}
        found = claims(drill(view(Measured(looks=looks), [entry(NODE)], searched=["where"])))
        assert [(c.attends_from, c.attends_to) for c in found] == [("END", "IO")]


class TestWho:
    def backups(self, both, spare=0.0, missing=0.05, reading=None):
        grows = {"a3.h0": {"a5.h1": 2.0, "a4.h0": -1.0}}
        lost = {
            frozenset(["a3.h0"]): missing,
            frozenset(["a5.h1"]): spare,
            frozenset(["a3.h0", "a5.h1"]): both,
        }
        known = [entry(NODE)]
        if reading:
            known = [entry(Necessity(components=("a3.h0",)), "inconclusive", reading=reading)]
        measured = Measured(lost=lost, grows=grows)
        return claims(drill(view(measured, known, searched=["where", "how"])), "who")

    def test_more_lost_together_than_apart(self):
        assert self.backups(both=0.5) == [Backup(components=("a5.h1",), backed_up=("a3.h0",))]

    def test_two_that_matter_each_by_itself_are_no_backups(self):
        assert self.backups(both=0.8, spare=0.4, missing=0.4) == []

    def test_of_a_component_whose_ablation_said_that_it_is_backed_up(self):
        assert self.backups(both=0.5, reading="backed up") == [Backup(components=("a5.h1",), backed_up=("a3.h0",))]


SCORES = [(f"a{la}.h{h}", 0.5 - 0.02 * (4 * la + h)) for la in range(6) for h in range(4)]


class TestEnough:
    def found(self, kept, **measured):
        asked = view(Measured(kept=kept, **measured), [entry(NODE)], searched=["where", "how", "who"], scores=SCORES)
        return claims(drill(asked), "enough")

    def test_the_confirmed_ones_completed_by_the_fewest_others_and_pruned(self):
        needed = {"a3.h0", "a0.h0", "a0.h1"}
        found = self.found(lambda circuit: 0.95 if needed <= circuit else 0.2)
        assert [c.kind for c in found] == ["sufficiency", "minimality"]
        assert {frozenset(c.components) for c in found} == {frozenset(needed)}

    def test_a_rival_shares_nothing(self):
        found = self.found(lambda circuit: 0.95 if "a3.h0" in circuit or len(circuit) >= 6 else 0.2)
        main, rival = (set(c.components) for c in found if c.kind == "sufficiency")
        assert main == {"a3.h0"}
        assert not main & rival
        assert len(rival) == 6

    def test_no_circuit_is_claimed_that_random_or_shuffled_ones_would_match(self):
        assert self.found(lambda circuit: 0.95 if "a3.h0" in circuit else 0.2, circuits=0.1) == []

    def test_nothing_is_claimed_where_nothing_is_enough(self):
        assert self.found(lambda _circuit: 0.5) == []


class TestFar:
    def test_everything_confirmed_on_every_family_and_nothing_twice(self):
        known = [entry(NODE), entry(CLAIM.validate_python({"kind": "no_effect", "components": ["a0.h0"]}), number=2)]
        done = ["where", "how", "who", "enough"]
        found = claims(drill(view(Measured(), known, searched=done)))
        assert [(c.parent, c.family) for c in found] == [(NODE, family) for family in IOI.families]
        again = drill(view(Measured(), [*known, *map(entry, found)], searched=done))
        assert again.proposals == []


class TestBudget:
    def test_a_stage_without_candidates_gives_way_to_the_next(self):
        found = drill(view(Measured(), [entry(NODE)], searched=["where"]))
        assert [own.stage for own in found.searched] == ["how", "who", "enough", "far"]
        assert {c.kind for c in claims(found)} == {"generalisation"}

    def test_a_list_of_pairs_that_a_test_used_up_ends_the_search(self):
        used = entry(NODE)
        used.prediction = SimpleNamespace(corpus=SimpleNamespace(whole=True))
        assert drill(view(Measured(), [used], searched=["where"])).proposals == []

    @given(st.integers(1, 200), st.lists(st.integers(0, 100), min_size=5, max_size=5))
    def test_no_stage_goes_beyond_its_share_nor_the_run_beyond_its_budget(self, budget, wanted):
        proposed = 0
        for stage, want in zip(SHARES, wanted, strict=True):
            proposed += min(want, share(stage, budget, proposed))
            assert proposed <= SHARES[stage] * budget + 1e-6
        assert proposed <= budget

    def test_every_stage_has_a_share_and_the_last_has_all(self):
        assert list(SHARES) == list(STAGES)
        assert list(SHARES.values()) == sorted(SHARES.values())
        assert SHARES["far"] == 1.0

    def test_promise_is_the_standardised_excess(self):
        assert promise(np.array([0.3, 0.5]), 0.1) == pytest.approx(0.3 / np.std([0.3, 0.5], ddof=1))
        assert promise(np.array([0.3]), 0.1) == -np.inf

    def test_spread_takes_the_first_of_every_cell_first(self):
        assert spread("aabbbc", lambda letter: letter) == ["a", "b", "c", "a", "b", "b"]
        assert mixed([1, 2, 3], [10]) == [1, 10, 2, 3]
        assert [third(layer, 6) for layer in range(6)] == [0, 0, 1, 1, 2, 2]

    def test_verification_allows_as_many_rounds_as_a_proposer_needs(self):
        from lakatos.agent.proposers import ROUNDS
        from lakatos.experiments_db.verify.proposals import ROUNDS as ALLOWED

        assert ROUNDS == ALLOWED
        assert ROUNDS["drill"] == len(STAGES)
