"""`lakatos bench circuits`: in a table, as JSON, with a study's claims; and what is wrong with a question."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import lakatos_here

from lakatos.tools.baseline import comparison
from lakatos.tools.baseline.comparison import METHODS

PLANTED = ("--model", "planted:induction", "--behaviour", "planted_recall", "--pairs", 8)


def run(*options):
    return lakatos_here("bench", "circuits", *options)


@pytest.fixture(scope="module")
def document():
    status, out, err = run(*PLANTED, "--json")
    assert status == 0, err
    return json.loads(out)


def test_the_document_has_a_row_for_each_ranking(document):
    rows = {row["method"]: row for row in document["rows"]}
    assert [*rows] == ["random", *METHODS]
    assert document["used"] == ["a0.h0", "a1.h0", "m0"]
    assert document["sizes"] == [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0]
    assert document["pairs"] == {"exploration": 8, "confirmation": 8}
    assert "rewards leaving out" in document["warning"]
    assert document["left_out"] == {}
    for name in METHODS:  # a0.h0 and a1.h0 first, and these recall: see test_circuit_scores.py
        row = rows[name]
        assert {name for name, _ in row["ranking"][:2]} == {"a0.h0", "a1.h0"}
        assert row["cmd"] == pytest.approx(0.149, abs=0.01)
        assert row["auroc"] >= 2 / 3  # two of three are above all nine others
        assert row["forwards"] > 0
    assert rows["random"]["orders"] == len(rows["random"]["cmds"]) == 5
    assert len(set(rows["random"]["cmds"])) > 1
    assert rows["random"]["cmd"] == pytest.approx(sum(rows["random"]["cmds"]) / 5)
    assert rows["random"]["cmd"] > 0.3


def test_the_same_seed_gives_the_same_numbers(document):
    again = json.loads(run(*PLANTED, "--json")[1])
    for one, other in zip(document["rows"], again["rows"], strict=True):
        assert (one["cmd"], one["auroc"], one["ranking"]) == (other["cmd"], other["auroc"], other["ranking"])
    other = json.loads(run(*PLANTED, "--seed", 1, "--json")[1])
    assert other["rows"][0]["cmds"] != document["rows"][0]["cmds"]


def test_the_table_warns_of_cpr_and_says_whence_the_truth():
    status, out, err = run(*PLANTED)
    assert status == 0, err
    assert "random (mean of 5 orders)" in out
    assert "CMD (0 is best)" in out
    assert "CPR is unbounded and rewards leaving out what opposes the behaviour" in out
    assert "AUROC: against what is used by construction (a0.h0, a1.h0, m0)." in out
    assert "eap-ig: " in err


class TestClaims:
    def test_confirmed_claims_come_first_and_their_number_is_told(self, toy, toy_log):
        behaviour, model = toy
        asked = ("--model", model, "--behaviour", behaviour, "--pairs", 16, "--db", toy_log)
        status, out, err = run(*asked, "--json")
        assert status == 0, err
        document = json.loads(out)
        rows = {row["method"]: row for row in document["rows"]}
        row, behind = rows["confirmed claims"], rows["attribution-patching"]
        nodes = json.loads(lakatos_here("mechanism", "--behaviour", "toy", "--db", toy_log, "--json")[1])["nodes"]
        effects = {}
        for node in nodes:
            name = node["component"].partition("@")[0]
            effects[name] = max(effects.get(name, 0), abs(node["effect"] or 0), abs(node["lost"] or 0))
        assert effects
        first = sorted(effects, key=lambda name: -effects[name])
        ranked = [name for name, _ in row["ranking"]]
        assert ranked[: len(first)] == row["selected"] == first
        assert ranked[len(first) :] == [name for name, _ in behind["ranking"] if name not in effects]
        assert row["from_claims"] == len(first)
        assert row["claims"] == sorted({claim for node in nodes for claim in node["claims"]})
        assert row["forwards"] > behind["forwards"]
        assert document["used"] is row["auroc"] is None
        table = run(*asked)[1]
        assert f"confirmed claims ({len(first)} from claims, the rest by attribution)" in table
        assert "AUROC" not in table

    def test_another_model_is_refused(self, toy_log):
        status, _, err = run(*PLANTED, "--db", toy_log)
        assert status == 2
        assert "No run of this study is about planted_recall" in err

    def test_another_version_of_the_behaviour_is_refused(self, toy, toy_log, tmp_path):
        behaviour, model = toy
        changed = tmp_path / "toy.yaml"
        text = Path(behaviour).read_text("utf-8")
        changed.write_text(text.replace("gave it to", "gave it then to"), encoding="utf-8")
        status, _, err = run("--model", model, "--behaviour", changed, "--db", toy_log)
        assert status == 2
        assert "another version of toy" in err

    def test_a_study_without_a_log_is_refused(self):
        status, _, err = run(*PLANTED, "--study", "main")
        assert status == 2
        assert "--db" in err


def test_what_a_model_does_not_allow_is_left_out_and_said(monkeypatch):
    from lakatos.tools.errors import UserError

    def refuses(*_args, **_kwargs):
        raise UserError("the edges of this model cannot be scored")

    monkeypatch.setattr(comparison, "BASELINES", {**comparison.BASELINES, "eap": refuses})
    status, out, err = run(*PLANTED)
    assert status == 0, err
    assert "eap is left out: the edges of this model cannot be scored" in out
    assert "eap-ig " in out
    monkeypatch.setattr(comparison, "BASELINES", {**comparison.BASELINES, "attribution-ig": refuses})
    assert run(*PLANTED)[0] == 2


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--model", "planted:none", "--behaviour", "planted_recall"), "no behaviour to be faithful to"),
        (("--model", "planted:induction", "--behaviour", "planted_text"), "plain text"),
    ],
)
def test_where_there_is_nothing_to_score(options, says):
    status, _, err = run(*options, "--pairs", 8)
    assert status == 2
    assert says in err


@pytest.mark.accept
@pytest.mark.smollm2
def test_on_the_pretrained_model_every_method_beats_a_random_order():
    status, out, err = run("--pairs", 4, "--json")
    assert status == 0, err
    random, *others = json.loads(out)["rows"]
    assert all(row["cmd"] < 0.5 * random["cmd"] for row in others)
