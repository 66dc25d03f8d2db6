"""Ways to propose, compared: names, budgets, the table worked out by hand, and whole runs on the toy model."""

from __future__ import annotations

import json

import numpy as np
import pytest
from commands import lakatos_here
from scipy import stats

from lakatos.agent import RunConfig
from lakatos.agent.arms import Arm, Outcome, compared, parse_arms, run_arms
from lakatos.agent.llm import ScriptedLLM
from lakatos.experiments_db.store import every_study
from lakatos.tools.errors import UserError


def outcome(arm, seed, confirmed, **more):
    fields = {"ended": "finished", "registered": 4, "groups": 1, "explained": 0.5, "missed": None}
    fields |= {"forwards": 100.0, "tokens": 0, "money": None, "seconds": 1.0}
    return Outcome(arm=arm, seed=seed, confirmed=confirmed, **(fields | more))


class TestNames:
    def test_every_form(self):
        names = "llm,form,one-shot,no-tools,drill,attribution,random,llm-without:effects+lens,llm-rows:30,file:a.yaml"
        arms = {arm.name: arm for arm in parse_arms(f"{names}, drill")}
        assert list(arms) == names.split(",")
        assert arms["llm-without:effects+lens"].settings["llm_without"] == "effects,lens"
        assert arms["llm-rows:30"].settings["llm_rows"] == 30
        assert arms["file:a.yaml"].settings["claims"] == "a.yaml"

    @pytest.mark.parametrize(
        ("name", "says"),
        [
            ("vibes", "there are llm, form"),
            ("", "Name arms"),
            ("llm-without:effect", "can be withheld: overview"),
            ("llm-without:register", "can be withheld"),
            ("llm-without:", "There is no arm"),
            ("llm-rows:many", "There is no arm"),
        ],
    )
    def test_what_is_no_arm_is_told_with_those_there_are(self, name, says):
        with pytest.raises(UserError, match=says):
            parse_arms(name)

    def test_every_arm_has_as_many_hypotheses_in_a_run(self):
        common = RunConfig(hypotheses=20)
        assert Arm.parse("no-tools").config(common, 1).hypotheses == 4
        assert Arm.parse("no-tools").config(common, 1).rounds == 5
        assert Arm.parse("one-shot").config(common, 1).hypotheses == 20
        assert Arm.parse("drill").config(common, 7).seed == 7


class TestTable:
    def test_differences_are_paired_by_seed(self):
        first = [outcome("a", seed, k) for seed, k in enumerate([1, 2, 3, 4], 1)]
        second = [outcome("b", seed, k) for seed, k in enumerate([2, 4, 3, 7], 1)]
        a, b = compared([*first, *reversed(second)])
        assert a.beside == {}
        assert (a.means["confirmed"], b.means["confirmed"]) == (2.5, 4.0)
        x = np.array([1, 2, 0, 3])
        low, high = stats.t.interval(0.95, 3, x.mean(), stats.sem(x))
        found = b.beside["confirmed"]
        assert found.mean == 1.5
        assert (found.low, found.high) == pytest.approx((low, high), abs=2e-3)

    @pytest.mark.parametrize("n", [2, 5, 12, 21, 22, 60])
    def test_the_interval_is_students(self, n):
        x = np.random.Generator(np.random.PCG64(n)).normal(1, 2, n)
        rows = [outcome("a", k, 0) for k in range(n)] + [outcome("b", k, float(v)) for k, v in enumerate(x)]
        found = compared(rows)[1].beside["confirmed"]
        low, high = stats.t.interval(0.95, n - 1, x.mean(), stats.sem(x))
        width = found.high - found.low
        assert width == pytest.approx(high - low, rel=0.06 if n > 21 else 1e-3), "beyond 20, the normal's is taken"

    def test_what_is_not_there_is_none(self):
        a, b = compared([outcome("a", 1, 1), outcome("b", 1, 2)])
        assert a.means["missed"] is None
        assert a.means["money"] is None
        assert b.beside["confirmed"] is None, "one seed has no interval"
        json.dumps(b.as_dict(), allow_nan=False)


@pytest.fixture
def common(toy):
    return RunConfig(model=toy[1], attribution_pairs=2, hypotheses=4, max_pairs=16, max_forwards=20_000)


def test_each_arm_and_seed_has_a_study_of_its_own_and_is_run_once(toy, tmp_path, common):
    db, arms = str(tmp_path / "arms.db"), parse_arms("attribution,random")
    first = run_arms(toy[0], arms, 2, common, db=db)
    assert [(o.arm, o.seed) for o in first] == [(a, s) for s in (1, 2) for a in ("attribution", "random")]
    assert all(o.ended == "finished" and o.registered for o in first)
    studies = every_study(db)
    assert len(studies) == 4
    assert run_arms(toy[0], arms, 2, common, db=db) == first
    assert [len(study.runs()) for study in every_study(db)] == [1] * 4
    assert studies[0].verify() == []
    with pytest.raises(UserError, match="other --hypotheses"):
        run_arms(toy[0], arms, 2, common.model_copy(update={"hypotheses": 5}), db=db)


def test_a_language_model_that_fails_or_hits_a_limit_counts_as_it_stands(toy, tmp_path, common):
    db, silent = str(tmp_path / "arms.db"), lambda arm: ScriptedLLM([])
    common = RunConfig.checked(common.model_dump(exclude_unset=True) | {"llm_model": "m"})
    (failed,) = run_arms(toy[0], parse_arms("llm"), 1, common, db=db, llm=silent)
    assert (failed.ended, failed.registered) == ("failed", 0)
    few = RunConfig.checked(common.model_dump(exclude_unset=True) | {"max_forwards": 150})
    (stopped,) = run_arms(toy[0], parse_arms("random"), 1, few, db=db)
    assert stopped.ended == "stopped"


def test_the_command_prints_a_table_or_json(toy, tmp_path):
    db = str(tmp_path / "arms.db")
    args = ["run", toy[0], "--model", toy[1], "--arms", "attribution,random", "--seeds", "2", "--hypotheses", "3"]
    args += ["--max-pairs", "16", "--attribution-pairs", "2", "--db", db, "--quiet"]
    status, out, err = lakatos_here(*args)
    assert status == 0, err
    assert "random - attribution: confirmed" in out
    status, out, _ = lakatos_here(*args, "--json")
    assert [arm["arm"] for arm in json.loads(out)["arms"]] == ["attribution", "random"]
    status, _, err = lakatos_here(*args, "--seed", "3")
    assert status == 2
    assert "leave it out" in err
