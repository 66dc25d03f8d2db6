"""Cheating agents gain nothing under the protocol, and the harness that says so catches each of them without it."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from lakatos.agent.cli import app
from lakatos.agent.simulation import Design, simulation_document
from lakatos.agent.simulation import studies as simulation
from lakatos.agent.simulation.cast import AGENTS
from lakatos.agent.simulation.freehand import t_test
from lakatos.agent.simulation.laboratory import Laboratory
from lakatos.agent.simulation.studies import Job, simulate
from lakatos.agent.simulation.world import GAP, NOISES, THRESHOLD, World
from lakatos.experiments_db.log import Conflict
from lakatos.tools.claim import NodeEffect
from lakatos.tools.errors import UserError
from lakatos.tools.evidence import crashed
from lakatos.tools.multiplicity import METHODS

pytestmark = pytest.mark.heavy

ALPHA = 0.05
SMALL = Design(slots=20)
RARER = {"leaker": 40, "joiner": 40}


@pytest.fixture
def lab():
    made = Laboratory(World(3, 5, 2, 0.5, "gaussian"), 5, 128, ALPHA, "lab")
    yield made
    made.store.engine.dispose()


def register(lab, candidate=0, **fields):
    return lab.propose([lab.claim(lab.world.candidates[candidate], **fields)])[0]


def rate(outcomes, method, what="false_share"):
    """Mean over studies and its standard error."""
    x = np.array([getattr(outcome.methods[method], what) for outcome in outcomes])
    return x.mean(), x.std(ddof=1) / np.sqrt(x.size)


# --- the world -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("noise", NOISES)
def test_the_truth_is_exact_over_the_corpus(noise):
    world = World(1, 10, 3, 0.5, noise)
    delta = THRESHOLD * GAP
    true = 0
    for candidate in world.candidates:
        effect = world.effect(candidate, "confirmation")
        holds = world.holds(NodeEffect(components=candidate, threshold=THRESHOLD))
        true += holds
        assert effect.mean() - delta == pytest.approx(0.5 if holds else 0, abs=1e-12)
        assert effect.std() == pytest.approx(1, abs=0.15)
        assert not world.holds(NodeEffect(components=candidate, threshold=THRESHOLD, direction="opposes"))
    assert true == 3
    for pair in world.bystanders(0):
        assert world.effect(pair, "confirmation").mean() == pytest.approx(0, abs=1e-12)
    both = [world.effect(candidate, "confirmation") for candidate in world.candidates[:2]]
    assert np.corrcoef(both)[0, 1] > 0.3, "claims tested on the same prompts are dependent"


@pytest.mark.parametrize("n", [8, 16, 128])
def test_p_values_of_the_unguarded_are_those_of_students_test(n):
    x = np.random.default_rng(n).standard_normal((500, n)) + 0.2
    expected = stats.ttest_1samp(x, 0, axis=1, alternative="greater").pvalue
    found = t_test(x.sum(axis=1), (x**2).sum(axis=1), n)
    usual = expected > 1e-4
    np.testing.assert_allclose(found[usual], expected[usual], rtol=0.1)


# --- under the protocol --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("agent", AGENTS)
def test_a_guarded_agent_gains_nothing(agent):
    """Three studies of 20 slots: official FDR of at most alpha + 2 s.e. per claim and per group; something is found."""
    outcomes = [simulate(Job(agent, True, k, SMALL)) for k in range(3)]
    for what in ("false_share", "false_group_share"):
        mean, se = rate(outcomes, "online-ebh", what)
        assert mean <= ALPHA + 2 * se
    assert all(outcome.registered <= SMALL.slots for outcome in outcomes)
    assert np.mean([o.methods["online-ebh"].power or 0 for o in outcomes]) > 0.3


@pytest.mark.parametrize("agent", AGENTS)
def test_the_log_of_a_guarded_agent_verifies(lab, agent):
    AGENTS[agent]().guarded(lab)
    assert lab.store.verify() == []
    assert lab.store.counts().refused + lab.store.counts().registered == lab.store.counts().proposed


def test_every_wording_but_the_first_is_refused():
    outcome = simulate(Job("reworder", True, 0, SMALL))
    assert (outcome.registered, outcome.refused) == (20, 80)
    assert all(r.kind == "duplicate" for r in _refusals("reworder"))


def _refusals(agent):
    lab = Laboratory(World(3, 5, 2, 0.5, "gaussian"), 6, 128, ALPHA, "lab")  # a slot more than candidates
    AGENTS[agent]().guarded(lab)
    return lab.store.refused()


def test_a_crashed_test_keeps_its_slot_and_its_claim(lab):
    def crash(_hypothesis, _n, _e):
        raise RuntimeError("out of memory")

    hypothesis = register(lab)
    assert lab.test([hypothesis], crash)[0].stop == "crashed"
    assert register(lab) is None
    assert [r.duplicate_of for r in lab.store.refused()] == [hypothesis]
    (slot,) = lab.store.slots()
    assert (slot.e, slot.p) == (0, 1)
    assert lab.left == 4
    assert register(lab, threshold=2 * THRESHOLD) is not None
    assert lab.left == 3


def test_freezing_early_or_another_e_value_and_prolonging_are_refused(lab):
    one, other = register(lab), register(lab, 1)
    lab.test([one])
    with pytest.raises(Conflict, match="has stopped this test"):
        lab.prolong(one)

    def freeze(_hypothesis, n, e):
        for claimed in (e, e + 1):
            wanted = crashed("", n=n).model_copy(update={"e": claimed, "stop": "success", "error": None})
            if n < 64:  # the rule cannot have stopped a test of this size
                with pytest.raises(Conflict, match=r"not stopped this test|the e-value after the last prompt"):
                    lab.store.freeze(other, wanted)

    lab.test([other], freeze)
    assert lab.store.verify() == []


def test_prolonging_before_freezing_is_refused(lab):
    hypothesis = register(lab)
    freeze, lab.store.freeze = lab.store.freeze, lambda *_: None
    (evidence,) = lab.test([hypothesis])
    with pytest.raises(Conflict, match="has stopped this test"):
        lab.prolong(hypothesis)
    freeze(hypothesis, evidence)
    assert lab.store.verify() == []


def test_a_claim_fitted_to_revealed_prompts_gets_others(lab):
    one, two = register(lab), None
    lab.test([one])
    two = register(lab, direction="opposes")
    lab.test([two])
    uids = [{effect.uid for effect in lab.store.prompts(h)} for h in (one, two)]
    expected = len(uids[0]) * len(uids[1]) / 1024  # of independent draws
    assert len(uids[0] & uids[1]) < expected + 5 * np.sqrt(expected)


# --- without it ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("agent", AGENTS)
def test_an_unguarded_twin_is_caught(agent):
    """Sixteen studies of 100 slots (forty of rarer faults): BH bounds the honest agent's FDR and no other's.

    The padder's is that per group.
    """
    outcomes = [simulate(Job(agent, False, k, Design())) for k in range(RARER.get(agent, 16))]
    mean, se = rate(outcomes, "bh", "false_group_share")
    if agent == "honest":
        assert mean <= ALPHA + 2 * se
    else:
        assert mean - 2 * se > ALPHA
    if agent == "padder":
        per_row, se = rate(outcomes, "bh")
        assert per_row <= ALPHA + 2 * se, "what it games is that rows are counted"


# --- the document and the command ----------------------------------------------------------------------------------


def test_figures_depend_on_the_seed_alone():
    design, agents = Design(slots=5), ["honest", "leaker"]
    one = simulation_document(agents, 2, design, unguarded=True)
    assert simulation_document(agents, 2, design, unguarded=True, workers=2) == one
    assert simulation_document(agents, 2, Design(slots=5, seed=1), unguarded=True) != one
    assert [(row["agent"], row["guarded"]) for row in one["agents"]] == [
        ("honest", True),
        ("honest", False),
        ("leaker", True),
        ("leaker", False),
    ]
    assert all(row["methods"].keys() == METHODS.keys() for row in one["agents"])


def test_an_agent_that_is_not_there():
    with pytest.raises(UserError, match="there are honest, peeker"):
        simulation_document(["saint"], 2, SMALL)


def command(*arguments):
    from typer.testing import CliRunner

    return CliRunner().invoke(
        app,
        ["bench", "protocol", "--studies", "2", "--slots", "5", "--workers", "1", *arguments],
        standalone_mode=False,
    )


def test_the_command():
    shown = command("--agents", "honest,padder", "--unguarded")
    assert shown.return_value == 0, shown.output
    assert "padder, per group" in shown.stdout
    assert "official power by shape" in shown.stdout
    document = json.loads(command("--agents", "peeker", "--json").stdout)
    assert [row["agent"] for row in document["agents"]] == ["peeker"]
    assert document["agents"][0]["refused"] > 0
    assert "--unguarded" not in command("--help").stdout


def test_a_broken_promise_is_named_and_exits_with_1(monkeypatch):
    monkeypatch.setattr(simulation, "ENOUGH", 5)
    monkeypatch.setattr(simulation, "LEAST_POWER", 9)
    shown = command("--agents", "honest")
    assert shown.return_value == 1
    assert "broken: honest: power" in shown.stdout


def test_a_false_discovery_rate_above_alpha_is_a_broken_promise():
    def found(mean):
        fine = {"mean": 0.04, "se": 0.01}
        return {
            "online-ebh": {
                "fdr": fine,
                "group_fdr": {"mean": mean, "se": 0.01},
                "power": fine,
                "planned_power": fine,
            }
        }

    def cells(mean, studies):
        return [{"correlation": c, "studies": studies, "methods": found(m)} for c, m in ((0.5, 0.0), (0.9, mean))]

    row = {"agent": "x", "guarded": True, "methods": found(0.04), "by_correlation": cells(0.04, 20)}
    assert list(simulation._broken([row], SMALL)) == []
    row["by_correlation"] = cells(0.08, 19)
    assert list(simulation._broken([row], SMALL)) == []
    row["by_correlation"] = cells(0.08, 20)
    assert list(simulation._broken([row], SMALL)) == [
        "x at correlation 0.9: false discovery rate per group 0.080 (s.e. 0.010) is above 0.05"
    ]
    row |= {"methods": found(0.08), "by_correlation": cells(0, 20)}
    assert list(simulation._broken([row], SMALL)) == [
        "x: false discovery rate per group 0.080 (s.e. 0.010) is above 0.05"
    ]


def test_simulating_loads_no_torch():
    code = (
        "import sys; from lakatos.agent.simulation.studies import *; "
        "simulate(Job('honest', True, 0, Design(slots=5))); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
