"""Streams, plans and extensions in simulated studies: who may join, what is correlated, what a plan changes."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from lakatos.agent.cli import app
from lakatos.agent.simulation import Design, simulation_document
from lakatos.agent.simulation.cast import AGENTS
from lakatos.agent.simulation.laboratory import Laboratory
from lakatos.agent.simulation.streamers import EXTENSIONS
from lakatos.agent.simulation.studies import Job, _powerful, _spread, simulate
from lakatos.agent.simulation.world import BLOCK, NEAR, NOISES, THRESHOLD, World
from lakatos.experiments_db.log import Conflict
from lakatos.tools.claim import NodeEffect, draw_matched
from lakatos.tools.errors import UserError
from lakatos.tools.multiplicity import slot_weights
from lakatos.tools.statistics import BATCH

ALPHA = 0.05
NEW = ("joiner", "splitter", "extender")


def laboratory(slots=6, true=2, n_max=128, **options):
    return Laboratory(World(3, slots, true, 0.5, "gaussian"), slots, n_max, ALPHA, "lab", **options)


def register(lab, candidate, **fields):
    return lab.propose([lab.claim(lab.world.candidates[candidate], **fields)])[0]


def reached(lab, hypothesis):
    """The e-values of a test after its batches, as they are stored."""
    return [batch.e_after for batch in lab.store.batches(hypothesis)]


# --- the world -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("blocks", [False, True])
@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
def test_the_correlation_of_effects_is_the_one_asked_for(correlation, blocks):
    world = World(5, 4 * BLOCK, 4, 0.5, "gaussian", correlation, blocks)
    found = np.corrcoef([world.effect(c, "confirmation") for c in world.candidates])
    block = np.arange(len(found)) // BLOCK
    together = (block[:, None] == block) | (not blocks)
    apart = ~np.eye(len(found), dtype=bool)
    assert found[together & apart].mean() == pytest.approx(correlation, abs=0.05)
    if blocks:
        assert found[~together].mean() == pytest.approx(0, abs=0.03)


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
def test_the_comparison_with_matched_components_is_the_stronger_line(correlation, noise):
    world = World(5, 6, 6, 0.5, noise, correlation)
    for candidate in world.candidates:
        claim = NodeEffect(components=candidate, threshold=THRESHOLD)
        others = draw_matched(claim, world.shape, "seed")["random"]
        effect = world.effect(candidate, "confirmation")
        beyond = effect - np.mean([world.effect(other.split("+"), "confirmation") for other in others], axis=0)
        assert beyond.mean() == pytest.approx(effect.mean(), abs=1e-3)
        assert beyond.std() < effect.std()
        assert beyond.std() == pytest.approx(np.sqrt(4 / 3 * (1 - max(NEAR, correlation))), rel=0.35)


# --- who joins -----------------------------------------------------------------------------------------------------


def test_nobody_joins_an_opened_stream():
    lab = laboratory()
    one = register(lab, 0)
    late = []

    def join(_hypothesis, n, _e):
        if n == BATCH:
            late.append(register(lab, 1))
            with pytest.raises(Conflict, match=r"nobody joins|drawn after its hypothesis|takes every draw"):
                lab.take(late[0], lab.stream_of(one))
            with pytest.raises(Conflict, match="a claim has one stream of prompts"):
                lab.open([one, late[0]])

    lab.test([one], join)
    assert reached(lab, late[0]) == []
    lab.test(late)
    assert lab.stream_of(late[0]).id != lab.stream_of(one).id
    assert lab.store.verify() == []


def test_a_claim_that_a_stream_does_not_name_takes_none_of_its_draws():
    lab = laboratory()
    one, other = register(lab, 0), register(lab, 1)
    opened = lab.open([one])
    with pytest.raises(Conflict, match="a batch is of a stream that its claim belongs to: nobody joins an opened one"):
        lab.take(other, opened)
    lab.take(one, opened)
    assert (reached(lab, other), len(reached(lab, one))) == ([], 1)


def test_a_joiner_is_refused_at_every_claim_and_its_claims_get_a_stream_of_their_own():
    lab = laboratory(8)
    AGENTS["joiner"]().guarded(lab)
    assert lab.refused == 2 * 4
    assert [len(stream.members) for stream in lab.store.streams()] == [4, 4]
    first, second = ([effect.uid for effect in lab.store.prompts(h)[:BATCH]] for h in (1, 5))
    assert first != second
    assert lab.store.verify() == []


def test_a_splitter_gets_no_second_stream_for_a_claim():
    lab = laboratory(12)
    AGENTS["splitter"]().guarded(lab)
    stops = [lab.store.stop_of(h) for h in lab.registered]
    assert stops.count("crashed") == lab.refused > 0
    for hypothesis in lab.registered:
        assert sum(lab.registered[hypothesis].identity in stream.members for stream in lab.store.streams()) == 1
    thresholds = {test.claim.threshold for test in lab.registered.values()}
    assert max(thresholds) > THRESHOLD, "what was abandoned costs another slot"
    assert lab.store.verify() == []


def test_own_streams_are_of_one_claim_each():
    lab = laboratory(4, own_streams=True)
    AGENTS["honest"]().guarded(lab)
    assert [len(stream.members) for stream in lab.store.streams()] == [1, 1, 1, 1]
    assert lab.store.verify() == []


# --- extensions ----------------------------------------------------------------------------------------------------


def test_an_extension_goes_on_from_the_stored_e_value_on_prompts_that_are_new():
    lab = laboratory(3, true=0)
    hypotheses = [register(lab, k) for k in range(3)]
    ended = [h for h, evidence in zip(hypotheses, lab.test(hypotheses), strict=True) if evidence.stop != "success"]
    before = {h: reached(lab, h) for h in ended}
    for hypothesis in ended:
        lab.extend(hypothesis, 64)
    for hypothesis, evidence in zip(ended, lab.test(ended), strict=True):
        path = reached(lab, hypothesis)
        assert path[: len(before[hypothesis])] == before[hypothesis]
        assert len(path) - len(before[hypothesis]) == 64 // BATCH
        assert evidence.e == pytest.approx(path[-1])
        assert evidence.n == BATCH * len(path)
        uids = [effect.uid for effect in lab.store.prompts(hypothesis)]
        assert len(set(uids)) == len(uids) == evidence.n
        assert evidence.e == pytest.approx(lab.registered[hypothesis].e([lab.store.data(hypothesis)])), (
            "over all of its prompts"
        )
    assert lab.store.verify() == []


def test_what_has_succeeded_crashed_or_not_ended_is_not_extended():
    lab = laboratory(2, true=2)

    def crash(_hypothesis, _n, _e):
        raise RuntimeError("out of memory")

    one, other = register(lab, 0), register(lab, 1)
    lab.test([one], crash)
    assert lab.test([other])[0].stop == "success"
    for hypothesis in (one, other):
        with pytest.raises(Conflict, match="ended for want of pairs or for futility"):
            lab.extend(hypothesis, 64)
    assert lab.store.verify() == []


def test_an_extender_extends_what_is_not_confirmed_and_bets_once_on_a_prompt():
    lab = laboratory(4, true=1, n_max=64)
    AGENTS["extender"]().guarded(lab)
    counted = {h: len(lab.store.extensions([h])) for h in lab.registered}
    assert max(counted.values()) == EXTENSIONS
    for hypothesis in lab.registered:
        uids = [effect.uid for effect in lab.store.prompts(hypothesis)]
        assert len(set(uids)) == len(uids)
    assert lab.store.verify() == []


# --- plans ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("planned", [None, 3, 6, 12])
def test_the_weights_of_a_plan_are_in_the_thresholds(planned):
    lab = laboratory(6, planned=planned)
    hypotheses = [register(lab, k) for k in range(6)]
    bars = [lab.registered[h].threshold for h in hypotheses]
    np.testing.assert_allclose(bars, 1 / (ALPHA * slot_weights(6, planned)))
    assert {slot.planned for slot in lab.store.slots()} == {planned}


@pytest.mark.parametrize(
    ("planned", "promised"), [(None, True), (100, True), (50, True), (160, True), (161, False), (400, False)]
)
def test_power_is_promised_where_a_plan_takes_nothing(planned, promised):
    assert _powerful(Design(planned=planned)) is promised


@pytest.mark.heavy
def test_a_planned_study_has_at_least_the_power_of_one_without():
    """Twelve slots, planned as many, fewer and more: the same worlds and secrets, and so the same prompts."""

    def power(planned):
        found = [simulate(Job("honest", True, k, Design(slots=12, true_share=0.5, planned=planned))) for k in range(4)]
        return [o.methods["online-ebh"].planned_power for o in found], [o.methods["online-ebh"].power for o in found]

    without = np.mean(power(None)[1])
    assert np.mean(power(12)[0]) >= without
    assert np.mean(power(6)[0]) >= without
    assert np.mean(power(24)[0]) >= without


# --- the figures ---------------------------------------------------------------------------------------------------


def test_the_spread_of_proportions():
    assert _spread([0.0, 0.0, 0.0, 0.2], ALPHA) == {
        "sd": pytest.approx(0.1),
        "q95": pytest.approx(0.17),
        "above": 0.25,
    }
    assert _spread([0.2], ALPHA) == {"sd": 0.0, "q95": 0.2, "above": 1.0}


def test_studies_take_turns_with_correlations_and_every_shape_of_effects_meets_each():
    design = Design(correlations=(0.0, 0.9))
    jobs = [Job("honest", True, k, design) for k in range(6)]
    assert {(job.noise, job.correlation) for job in jobs} == {(noise, c) for noise in NOISES for c in (0.0, 0.9)}
    with pytest.raises(UserError, match="a correlation of 0 to 1"):
        simulation_document(["honest"], 2, Design(correlations=(1.5,)))


@pytest.mark.heavy
def test_the_options_and_the_spread_are_in_the_document_and_in_the_tables():
    def command(*arguments):
        given = ["bench", "protocol", "--agents", "honest", "--studies", "4", "--slots", "5", "--workers", "1"]
        return CliRunner().invoke(app, [*given, *arguments], standalone_mode=False)

    options = ("--correlation", "0", "--correlation", ".9", "--blocks", "--own-streams", "--planned", "3")
    document = json.loads(command(*options, "--json").stdout)
    asked = {"correlations": [0, 0.9], "blocks": True, "own_streams": True, "planned": 3}
    assert asked.items() <= document.items()
    for row in document["agents"]:
        assert [(cell["correlation"], cell["studies"]) for cell in row["by_correlation"]] == [(0, 3), (0.9, 1)]
        for found in [row, *row["by_correlation"]]:
            assert all(method["spread"].keys() == {"sd", "q95", "above"} for method in found["methods"].values())
    shown = command(*options).stdout
    assert (
        "every claim on its own stream, effects of claims of a block correlated by 0, 0.9; 3 claims planned"
        in " ".join(shown.split())
    )
    assert "spread of proportions" in shown
    assert "power in planned slots" in shown


@pytest.mark.heavy
@pytest.mark.parametrize("blocks", [False, pytest.param(True, marks=pytest.mark.accept)])
@pytest.mark.parametrize("agent", NEW)
def test_a_new_agent_gains_nothing_where_claims_are_strongly_correlated(agent, blocks):
    """Blocks of correlated claims are tried at length by `make accept`."""
    design = Design(slots=20, correlations=(0.9,), blocks=blocks)
    outcomes = [simulate(Job(agent, True, k, design)) for k in range(3)]
    for what in ("false_share", "false_group_share"):
        x = np.array([getattr(outcome.methods["online-ebh"], what) for outcome in outcomes])
        assert x.mean() <= ALPHA + 2 * x.std(ddof=1) / np.sqrt(x.size)


@pytest.mark.heavy
def test_common_prompts_widen_the_spread_of_false_discovery_proportions():
    """Honest t-tests at .05, 40 studies of 100 slots, where effects are correlated by .9: the mean does not rise."""
    shared, own = (
        np.array([simulate(honestly(k, own)).methods["none"].false_share for k in range(40)]) for own in (False, True)
    )
    assert shared.std() > 2 * own.std()
    error = np.sqrt(shared.var() / shared.size + own.var() / own.size)
    assert shared.mean() < own.mean() + 3 * error


def honestly(number, own):
    return Job("honest", False, number, Design(correlations=(0.9,), own_streams=own))
