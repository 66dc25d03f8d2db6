"""`lakatos rerun`, `lakatos drift` and `lakatos export --tests` as a user types them."""

from __future__ import annotations

import json
import shlex
import sqlite3

import pytest
from typer.testing import CliRunner

from lakatos.agent.cli import app
from lakatos.experiments_db import open_store
from lakatos.experiments_db.log import add_review
from lakatos.experiments_db.regression import regressions
from lakatos.experiments_db.regression import running as regression
from lakatos.tools.errors import UserError


def lakatos(*args):
    """The command in this process: status and standard output. Errors of the user's are raised."""
    result = CliRunner().invoke(app, list(map(str, args)), standalone_mode=False, catch_exceptions=False)
    return result.return_value, result.stdout


def test_all_confirmed_claims_are_run_again_and_appended(toy_copy):
    status, out = lakatos("rerun", "--all", "--seed", 1, "--db", toy_copy, "--quiet")
    store = open_store(str(toy_copy))
    assert status == 0
    assert [row.outcome for row in store.reruns()] == ["held", "held"]
    assert "2 held, 0 failed, 0 undecided" in out
    assert store.verify() == []
    one, other = store.reruns()
    assert one.record["members"] == other.record["members"] == [e.claim_hash for e in regressions(store)]
    shared = min(one.n, other.n)
    assert [p["uid"] for p in one.prompts[:shared]] == [p["uid"] for p in other.prompts[:shared]]


@pytest.mark.heavy
def test_claims_that_were_run_together_are_run_so_again_by_the_command_that_is_told(toy_copy, toy):
    null = f"null:{toy[1]}"
    status, out = lakatos("rerun", "--all", "--model", null, "--db", toy_copy, "--quiet")
    assert status == 1
    (command,) = {line.partition("again:")[2] for line in out.splitlines() if "again:" in line}
    program, *arguments = shlex.split(command)
    assert program == "lakatos"
    assert lakatos(*arguments, "--quiet")[0] == 1
    rows = open_store(str(toy_copy)).reruns()
    assert [row.prompts for row in rows[:2]] == [row.prompts for row in rows[2:]]
    assert open_store(str(toy_copy)).verify() == []


def test_one_claim_alone_says_no_members(toy_copy):
    first, _ = regressions(open_store(str(toy_copy)))
    lakatos("rerun", first.id, "--seed", 1, "--max-pairs", 16, "--db", toy_copy, "--quiet")
    assert "members" not in open_store(str(toy_copy)).reruns()[0].record


@pytest.mark.heavy
def test_another_model_fails_and_drift_shows_it(toy_copy, toy, tmp_path):
    key = next(e for e in open_store(str(toy_copy)).hypotheses() if e.state == "confirmed").claim_hash[7:15]
    null = f"null:{toy[1]}"
    status, out = lakatos("rerun", key, "--model", null, "--seed", 5, "--db", toy_copy, "--quiet")
    assert status == 1
    assert "other weights than those it was confirmed on" in out
    assert f"again:   lakatos rerun {key} --seed 5 --model {null}" in out
    _, table = lakatos("drift", key, "--db", toy_copy, "--plot", tmp_path / "drift.svg")
    assert "confirmed" in table
    assert "(other)" in table
    assert "failed" in table
    assert (tmp_path / "drift.svg").read_text().startswith("<svg")
    document = json.loads(lakatos("drift", key, "--db", toy_copy, "--json")[1])
    assert [row["outcome"] for row in document["claims"][0]["rows"]] == ["confirmed", "failed"]


def test_as_json_it_is_one_document_with_the_log_s_numbers(toy_copy):
    arguments = ("--all", "--max-pairs", 16, "--db", toy_copy, "--quiet", "--json")
    status, out = lakatos("rerun", *arguments)
    document = json.loads(out)
    assert status == 0
    assert document["counts"]["undecided"] >= 1
    rows = open_store(str(toy_copy)).reruns()
    assert [line["seed"] for line in document["reruns"]] == [row.seed for row in rows]
    assert [line["lines"] for line in document["reruns"]] == [row.record["lines"] for row in rows]


def test_export_writes_tests(toy_copy, tmp_path):
    _, out = lakatos("export", "--tests", tmp_path / "claims", "--db", toy_copy)
    assert len(out.split()) == len(list((tmp_path / "claims").iterdir())) == 2


def test_claims_of_a_model_that_does_not_show_the_behaviour_are_no_tests(toy_copy, tmp_path):
    with sqlite3.connect(toy_copy) as raw:
        raw.execute("DROP TRIGGER events_no_update")
        raw.execute("UPDATE events SET payload = json_set(payload, '$.present', json('false')) WHERE kind = 'checked'")
    with pytest.raises(UserError, match="nothing to test again"):
        lakatos("export", "--tests", tmp_path / "claims", "--db", toy_copy)


def test_export_names_the_files_of_claims_that_were_retracted_since(toy_copy, tmp_path):
    lakatos("export", "--tests", tmp_path / "claims", "--db", toy_copy)
    (tmp_path / "claims" / "mine-0000beef.hypothesis.yaml").write_text("of another log")
    first = next(e for e in open_store(str(toy_copy)).hypotheses() if e.state == "confirmed")
    add_review(open_store(str(toy_copy)), first.id, author="Ada", decision="retract", reason="r")
    said = CliRunner().invoke(app, ["export", "--tests", str(tmp_path / "claims"), "--db", str(toy_copy)]).stderr
    assert said.count("delete it") == 1
    assert first.claim_hash[7:15] in said


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("rerun",), "Say which claim"),
        (("rerun", "1", "--all"), "Say which claim"),
        (("rerun", "1"), "only what is confirmed"),
        (("drift", "1"), "only what is confirmed"),
        (("export", "--accepted-only", "--csv", "x.csv"), "name a folder for them with --tests"),
        (("export", "--tests", "claims", "--accepted-only"), "confirmed and accepted by reviewers"),
    ],
)
def test_what_cannot_be_done_says_how_to_mend_it(toy_copy, tmp_path, monkeypatch, arguments, named):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=named):
        lakatos(*arguments, "--db", toy_copy)


def test_a_claim_that_cannot_be_run_again_does_not_keep_the_others_from_it(toy_copy, monkeypatch):
    whole = regression._check_fits
    confirmed = [e.id for e in open_store(str(toy_copy)).hypotheses() if e.state == "confirmed"]

    def first_does_not_fit(file, model):
        if file.hash == open_store(str(toy_copy)).hypothesis(str(confirmed[0])).claim_hash:
            raise UserError("the model has no such component")
        return whole(file, model)

    monkeypatch.setattr(regression, "_check_fits", first_does_not_fit)
    with pytest.raises(UserError, match=f"1 of 2 claims .*\n- hypothesis {confirmed[0]}: the model has no such"):
        lakatos("rerun", "--all", "--seed", 1, "--db", toy_copy, "--quiet")
    assert [row.hypothesis_id for row in open_store(str(toy_copy)).reruns()] == confirmed[1:]
