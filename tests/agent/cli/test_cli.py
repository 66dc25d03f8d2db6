"""The command as a user types it: documents and tables agree, errors say how to mend them, exit statuses are kept."""

from __future__ import annotations

import csv
import json
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from commands import lakatos_here

from lakatos.agent.config import RunConfig
from lakatos.experiments_db import open_store
from lakatos.experiments_db.documents import entry_line


def lakatos(*args, env=None):
    """The command, as wide as where nothing says how wide: status, standard output, standard error."""
    return lakatos_here(*args, env={"COLUMNS": "140", **(env or {})})


def test_run_prints_denominators_verdicts_and_where_things_are(finished):
    db, out = finished
    counts = open_store(str(db)).counts()
    assert f"{counts.proposed} proposed, {counts.refused} refused, {counts.registered} registered" in out
    assert "online E-BH" in out or "online e-BH" in out
    assert str(db) in out
    report = db.parent / f"{db.stem}-run-1.html"
    assert str(report) in out
    assert "m2@END" in report.read_text()


@pytest.mark.heavy
def test_run_as_json_is_one_document_with_the_log_numbers(toy, tmp_path):
    behaviour, model = toy
    db = tmp_path / "j.db"
    options = [
        "--model",
        model,
        "--proposer",
        "attribution",
        "--hypotheses",
        2,
        "--attribution-pairs",
        2,
        "--max-pairs",
        16,
        "--db",
        db,
        "--json",
    ]
    installed = Path(sys.executable).with_name("lakatos")
    done = subprocess.run([installed, "run", behaviour, *map(str, options)], capture_output=True, text=True, check=True)
    document = json.loads(done.stdout)
    assert document["status"] == "finished"
    assert [h["e"] for h in document["hypotheses"]] == [e.e for e in open_store(str(db)).hypotheses()]


def test_log_show_runs_and_correct_show_the_same_numbers(finished):
    db, _ = finished
    store = open_store(str(db))
    lines = [json.loads(json.dumps(entry_line(e))) for e in store.hypotheses()]
    assert json.loads(lakatos("log", "--db", db, "--json")[1])["hypotheses"] == lines
    shown = json.loads(lakatos("show", 1, "--db", db, "--json")[1])
    assert {k: shown[k] for k in lines[0]} == lines[0]
    assert len(shown["prompts"]) == shown["n"]
    by_hash = json.loads(lakatos("show", lines[0]["claim_hash"][7:15], "--db", db, "--json")[1])
    assert by_hash == shown
    corrected = json.loads(lakatos("correct", "--db", db, "--json")[1])
    assert corrected["official"]
    assert [h["confirmed"] for h in corrected["hypotheses"]] == [line["state"] == "confirmed" for line in lines]
    runs = json.loads(lakatos("runs", "--db", db, "--json")[1])["runs"]
    assert runs[0]["counts"]["registered"] == len(lines)


def test_tables_for_people(finished):
    db, _ = finished
    _, log, _ = lakatos("log", "--db", db, env={"COLUMNS": "250"})
    assert "m2@END carries toy (denoising, logit_diff, >= 10% of gap)" in " ".join(log.split())
    _, shown, _ = lakatos("show", 1, "--db", db, env={"COLUMNS": "250"})
    for expected in ("claim hash", "beyond matched random", "by quantile of the effect", "frozen after"):
        assert expected in shown
    _, runs, _ = lakatos("runs", "--db", db)
    assert "finished" in runs
    _, view, _ = lakatos("correct", "--method", "bh", "--db", db)
    assert "a view, not the official verdict" in view
    only = json.loads(lakatos("log", "--state", "inconclusive", "--db", db, "--json")[1])["hypotheses"]
    assert only
    assert {h["state"] for h in only} == {"inconclusive"}


def test_verify_says_ok_and_then_names_the_row_that_lies(finished, tmp_path):
    db = tmp_path / "lie.db"
    with sqlite3.connect(finished[0]) as source, sqlite3.connect(db) as copy:
        source.backup(copy)
    status, out, _ = lakatos("verify", "--db", db)
    assert status == 0
    assert out.startswith("ok: ")
    head = out.split()[-1]
    assert lakatos("verify", "--db", db, "--head", head)[0] == 0
    assert lakatos("verify", "--db", db, "--head", head.removeprefix("sha256:"))[0] == 0
    assert lakatos("verify", "--db", db, "--head", "0" * 64)[0] == 1
    assert lakatos("verify", "--db", db, "--head", "sha256:other")[0] == 2
    with sqlite3.connect(db) as raw:
        raw.execute("DROP TRIGGER draws_no_update")
        raw.execute("UPDATE draws SET common = json_set(common, '$.\"logit_diff.clean\"[7]', 99.5) WHERE id = 1")
    status, out, _ = lakatos("verify", "--db", db)
    assert status == 1
    assert "draws row 1:" in out
    status, out, _ = lakatos("verify", "--db", db, "--json")
    assert status == 1
    assert not json.loads(out)["ok"]


def test_exports(finished, tmp_path):
    db, _ = finished
    lines = [entry_line(e) for e in open_store(str(db)).hypotheses()]
    targets = [tmp_path / name for name in ("r.html", "l.csv", "l.jsonl")]
    status, out, err = lakatos("export", "--db", db, "--html", targets[0], "--csv", targets[1], "--jsonl", targets[2])
    assert status == 0, err
    assert out.split() == [str(t) for t in targets]
    assert [float(row["e"]) for row in csv.DictReader(targets[1].open())] == [line["e"] for line in lines]
    assert [json.loads(x)["p"] for x in targets[2].read_text().splitlines()] == [line["p"] for line in lines]


@pytest.mark.heavy
def test_a_stopped_run_exits_3_and_says_how_to_resume(toy, finished, tmp_path):
    behaviour, model = toy
    db = tmp_path / "s.db"
    options = ["--proposer", "attribution", "--seed", 3, "--hypotheses", 8, "--attribution-pairs", 4, "--db", db]
    status, _, err = lakatos("run", behaviour, "--model", model, *options, "--max-forwards", 300)
    assert status == 3
    assert f"lakatos run --resume --db {db}" in " ".join(err.split())
    status, _, err = lakatos("run", "--resume", "--db", db, "--max-forwards", 1e6)
    assert status == 0, err
    whole, resumed = (json.loads(lakatos("log", "--db", x, "--json")[1])["hypotheses"] for x in (finished[0], db))
    for one, other in zip(whole, resumed, strict=True):
        ignored = {"registered_at", "forwards"}
        assert {k: v for k, v in one.items() if k not in ignored} == {
            k: v for k, v in other.items() if k not in ignored
        }


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["run"], "Name a behaviour"),
        (["run", "ioy"], "ioi"),
        (["run", "ioi", "--resume"], "not both"),
        (["run", "--resume", "--model", "gpt2"], "leave out --model"),
        (["run", "ioi", "--run", "1"], "--resume"),
        (["run", "--resume", "--max-pairs", "3"], "max-pairs"),
        (
            ["run", "ioi", "--proposer", "llm", "--llm-model", "m", "--llm-base-url", "http://me:pw@x/v1"],
            "OPENAI_API_KEY",
        ),
        (["run", "ioi", "--model", "./nowhere"], "no folder"),
        (["run", "ioi", "--threshold", "-1"], "threshold"),
        (["run", "ioi", "--proposer", "magic"], "magic"),
        (["run", "nowhere.yaml"], "nowhere.yaml"),
        (["run", "ioi", "--proposer", "llm"], "--llm-model"),
        (["run", "plain_text"], "a control"),
        (["run", "ioi", "--proposer", "file"], "--claims"),
        (["run", "ioi", "--proposer", "file", "--claims", "/nowhere.yaml"], "/nowhere.yaml"),
        (["show", "99"], "99"),
        (["log", "--state", "sure"], "inconclusive"),
        (["log", "--run", "77"], "no run 77"),
        (["correct", "--method", "hope"], "bonferroni"),
        (["correct", "--family", "mine"], "behaviour"),
        (["export"], "--html"),
        (["export", "--html", "/nowhere/at/all.html"], "/nowhere/at"),
        (["frobnicate"], "frobnicate"),
        (["verify", "--db", "/tmp/there/is/none.db"], "no database"),
        (["behaviours", "check", "ioy"], "ioi"),
    ],
)
def test_what_the_user_can_mend_exits_2_without_a_traceback(finished, args, says):
    db = [] if "--db" in args or args[0] in ("behaviours", "frobnicate") else ["--db", finished[0]]
    status, out, err = lakatos(*args, *db)
    assert status == 2
    assert out == ""
    assert "Traceback" not in err
    assert says in " ".join(err.split())


def test_the_database_can_be_named_by_the_environment(finished):
    status, out, _ = lakatos("runs", env={"LAKATOS_DB": str(finished[0])})
    assert status == 0
    assert "toy" in out


def test_behaviours_lists_questions_and_positions():
    status, out, _ = lakatos("behaviours", "--json")
    listed = {b["name"]: b for b in json.loads(out)["behaviours"]}
    assert status == 0
    assert {"ioi", "induction", "greater_than", "capital_of", "gendered_pronoun", "docstring", "plain_text"} <= set(
        listed
    )
    assert listed["ioi"]["selected_because"]
    assert "END" in listed["ioi"]["positions"]
    assert "ioi" in lakatos("behaviours")[1]


def test_a_table_is_whole_in_a_narrow_terminal(finished):
    _, log, _ = lakatos("log", "--db", finished[0], env={"COLUMNS": "80"})
    assert "m2@END" in log
    assert "\u2026" not in log, "nothing is cut off"
    assert "inconclusive" in log
    assert max(map(len, log.splitlines())) <= 80


def test_check_measures_both_splits_and_exits_1_where_the_behaviour_is_absent(toy):
    behaviour, model = toy
    status, out, err = lakatos("behaviours", "check", behaviour, "--model", model, "--json")
    assert status == 0, err
    document = json.loads(out)
    assert [row["split"] for row in document["measured"]] == ["exploration", "confirmation"]
    assert all(row["accuracy"] > 0.9 for row in document["measured"])
    status, out, _ = lakatos("behaviours", "check", behaviour, "--model", f"null:{model}")
    assert status == 1
    assert "does not show" in out


@pytest.mark.heavy
def test_check_measures_each_family_in_a_row_of_its_own(toy, tmp_path):
    behaviour, model = toy
    texts = {
        "far": "then [IO:{io}] and {s} met at the {place} . [S2:{s2}] gave it to",
        "wide": "at the {place} [S2:{s2}] gave it to [IO:{io}] and",  # the model learned no such end
    }
    families = {name: [{"id": name, "text": text}] for name, text in texts.items()}
    path = tmp_path / "toy.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(Path(behaviour).read_text()) | {"families": families}))
    shutil.copy(Path(behaviour).with_name("toy_text.yaml"), tmp_path)
    status, out, err = lakatos("behaviours", "check", path, "--model", model, "--json")
    assert status == 0, err
    document = json.loads(out)
    rows = {row["split"]: row for row in document["measured"]}
    assert list(rows) == ["exploration", "confirmation", "family far", "family wide"]
    assert all(row["n"] == 64 for row in rows.values())
    assert [row["present"] for row in rows.values()] == [True, True, True, False]
    assert rows["family far"]["accuracy"] > 0.9
    assert document["ok"], "the splits decide"
    status, out, _ = lakatos("behaviours", "check", path, "--model", model)
    assert status == 0
    assert f"{rows['family far']['accuracy']:.2f}" in next(line for line in out.splitlines() if "family far" in line)
    assert "shows the behaviour, but not in family wide" in out


def test_a_behaviour_that_does_not_fit_the_tokenizer_says_why(toy):
    status, out, _ = lakatos("behaviours", "check", "ioi", "--model", toy[1])
    assert status == 1
    assert "token" in out


def test_help_is_made_from_the_configuration():
    status, out, _ = lakatos("run", "--help", env={"COLUMNS": "300"})
    assert status == 0
    text = " ".join(out.split())
    for name, field in RunConfig.model_fields.items():
        assert f"--{name.replace('_', '-')}" in text
        assert " ".join(field.description.split())[:60] in text


def test_help_and_log_load_nothing_heavy(finished):
    code = (
        "import sys, lakatos.agent.cli as c; sys.argv = ['lakatos', *sys.argv[1:]]\n"
        "try: c.main()\n"
        "except SystemExit: pass\n"
        "print([n for n in ('torch', 'transformer_lens', 'transformers', 'langgraph', 'openai') if n in sys.modules])"
    )
    for args in (["--help"], ["run", "--help"], ["log", "--db", str(finished[0])], ["behaviours"]):
        done = subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == "[]", args
