"""Transcripts: every request with its end, what became of each proposal, and nothing of a stranger's read as markup."""

from __future__ import annotations

import json

import pytest
from tampering import copied, tell

from lakatos.agent import RunConfig, investigate
from lakatos.agent.cli import command as cli
from lakatos.agent.llm import LLMFailure, ScriptedLLM
from lakatos.experiments_db import open_store
from lakatos.experiments_db.documents import as_markdown, transcript_document


def node_effect(component, **changes):
    claim = {"kind": "node_effect", "components": [component], "intervention": "denoising", "direction": "supports"}
    return {"claim": claim | {"threshold": 0.1}, "rationale": "because", "predicted": 0.2, "role": "main"} | changes


ANSWER = json.dumps(
    {"hypotheses": [node_effect("m2@END"), node_effect("m2@END"), node_effect("a1.h99"), {"claim": "```<b>&"}]}
)
HOSTILE = "```\n# Confirmed\n````\n<script>alert(1)</script>"


@pytest.fixture(scope="module")
def log(toy, made_once):
    behaviour, model = toy
    llm = ScriptedLLM([LLMFailure("no `route`\nto it"), ANSWER, HOSTILE])
    fields = {
        "model": model,
        "proposer": "llm",
        "llm_style": "prompt",
        "seed": 1,
        "attribution_pairs": 2,
        "hypotheses": 6,
        "max_pairs": 16,
    }
    return made_once("asked", lambda f: investigate(behaviour, RunConfig(**fields), db=str(f / "log.db"), llm=llm))


@pytest.fixture
def asked(log, tmp_path):
    """A database of your own to change."""
    return str(copied(log / "log.db", tmp_path / "asked.db"))


def test_each_request_has_its_end_and_each_proposal_what_became_of_it(asked):
    document = transcript_document(open_store(asked), 1)
    assert [(r["purpose"], r["attempt"]) for r in document["requests"]] == [
        ("propose", 1),
        ("propose", 2),
        ("interpret", 1),
    ]
    assert [r["error"] for r in document["requests"]] == ["no `route`\nto it", None, None]
    proposals = document["requests"][1]["proposals"]
    assert [p["became"] for p in proposals] == ["registered", "duplicate", "untestable", "malformed"]
    assert [p["hypothesis"] for p in proposals] == [1, 1, None, None]
    assert proposals[0]["state"] == open_store(asked).hypothesis("1").state
    counts = document["counts"]
    assert (counts["requests"], counts["failed"], counts["proposed"]) == (3, 1, 4)
    assert [counts[k] for k in ("registered", "duplicate", "untestable", "malformed", "unjudged")] == [1, 1, 1, 1, 0]


def test_a_request_without_an_end_is_shown_as_one(asked):
    tell(asked, "DELETE FROM llm_calls WHERE purpose = 'interpret'")
    last = transcript_document(open_store(asked), 1)["requests"][-1]
    assert last["purpose"] == "interpret"
    assert last["response"] is None
    assert "no end of this request" in last["error"]
    assert last["messages"][0]["content"].startswith("These hypotheses")


def test_of_two_requests_with_one_number_the_first_has_no_end(asked):
    tell(
        asked,
        "INSERT INTO events (at, run_id, kind, payload, forwards, seconds, digest) "
        "SELECT '2000-01-01T00:00:00+00:00', run_id, kind, payload, 0, 0, 'x' FROM events "
        "WHERE kind = 'asking' AND json_extract(payload, '$.purpose') = 'interpret'",
        "UPDATE events SET at = '2100-01-01T00:00:00+00:00' WHERE kind = 'asking' AND at NOT LIKE '2000%' "
        "AND json_extract(payload, '$.purpose') = 'interpret'",
    )
    requests = transcript_document(open_store(asked), 1)["requests"]
    assert sum(r["purpose"] == "interpret" for r in requests) == 2
    assert sum(r["purpose"] == "interpret" and r["response"] == HOSTILE for r in requests) == 1


def test_what_strangers_say_cannot_leave_its_fence(asked):
    text = as_markdown(transcript_document(open_store(asked), 1))
    fence, outside = None, []
    for line in text.split("\n"):
        ticks = len(line) - len(line.lstrip("`"))
        if fence is None and ticks >= 3:
            fence = ticks
        elif fence is not None and line == "`" * fence:
            fence = None
        elif fence is None:
            outside.append(line)
    assert fence is None
    assert HOSTILE in text
    assert [line for line in outside if "<script" in line or "# Confirmed" in line or "<b>" in line] == []
    assert "registered as hypothesis 1" in text


def test_the_command_prints_it(asked, capsys, monkeypatch):
    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["lakatos", "transcript", "--db", asked, *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code, capsys.readouterr()

    status, said = run()
    assert status == 0
    assert said.out.startswith("## Run 1: toy on ")
    status, said = run("--json", "--run", "1")
    assert json.loads(said.out)["counts"]["proposed"] == 4
    tell(asked, "UPDATE runs SET proposer = 'random'")
    status, said = run()
    assert status == 2
    assert "No run in" in said.err
