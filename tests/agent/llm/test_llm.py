"""Asking language models: what is shown, what is logged, what becomes of answers that are none. And the real client."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from lakatos.agent import RunConfig, investigate, resume
from lakatos.agent.llm import LLMFailure, OpenAILLM, Reply, ScriptedLLM, ToolCall
from lakatos.experiments_db import open_store
from lakatos.experiments_db.documents import run_document
from lakatos.experiments_db.log import tables as m
from lakatos.tools.claim import read_proposals
from lakatos.tools.errors import ProposalError, UserError


def hypothesis(component, **changes):
    claim = {"kind": "node_effect", "components": [component], "intervention": "denoising", "direction": "supports"}
    return {"claim": claim | {"threshold": 0.1}, "rationale": "because", "predicted": 0.2, "role": "main"} | changes


def place(kind, layer, position=None, **more):
    return {"kind": kind, "layer": layer, "position": position, **more}


ANSWER = json.dumps(
    {
        "hypotheses": [
            hypothesis(place("mlp", 2, "END")),
            hypothesis(place("head", 1, "END", head=99)),
            hypothesis(place("mlp", 2, "END"), rationale="the same thing in other words"),
            hypothesis(place("residual", 1, "NOWHERE")),
            {"claim": {"kind": "vibes", "components": ["a0.h0"]}, "rationale": "", "predicted": 0, "role": "main"},
            hypothesis(place("head", 0, "S2", head=1), role="null"),
        ]
    }
)


@pytest.fixture
def run_with(toy, tmp_path):
    behaviour, model = toy

    def run(answers, **config):
        llm = ScriptedLLM(answers)
        db = str(tmp_path / "llm.db")
        fields = {
            "model": model,
            "proposer": "llm",
            "llm_style": "prompt",
            "seed": 1,
            "attribution_pairs": 2,
            "hypotheses": 6,
            "max_pairs": 16,
        }
        investigate(behaviour, RunConfig(**(fields | config)), db=db, llm=llm)
        return llm, open_store(db)

    return run


def test_good_hallucinated_duplicate_and_malformed_proposals_are_all_rows(run_with):
    _, store = run_with([ANSWER, "Prose about it."])
    counts = store.counts()
    assert (counts.proposed, counts.refused, counts.registered, counts.tested) == (6, 4, 2, 2)
    refused = store.refused()
    assert [r.kind for r in refused] == ["untestable", "duplicate", "untestable", "malformed"]
    assert "heads 0 to 3, not 99" in refused[0].reason
    assert refused[1].duplicate_of == 1
    assert "NOWHERE" in refused[2].reason
    assert [e.text.split()[0] for e in store.hypotheses()] == ["m2@END", "a0.h1@S2"]
    assert run_document(store, 1).prose == ("Prose about it.",)
    assert store.verify() == []


def test_what_is_sent_and_received_is_logged_word_for_word(run_with):
    llm, store = run_with([ANSWER, "Prose."])
    calls = store.all(m.LLMCall)
    assert [c.purpose for c in calls] == ["propose", "interpret"]
    assert calls[0].request["messages"] == llm.asked[0]
    assert calls[0].response == ANSWER
    assert calls[0].tokens_in > 0
    assert calls[0].tokens_out > 0
    assert calls[0].prompt == "propose@5"
    assert calls[0].prompt_hash.startswith("sha256:")
    asked = llm.asked[0][0]["content"]
    assert "m2" in asked
    assert "[hardest]" in asked
    assert "[random]" in asked


def test_the_proposer_never_sees_a_confirmation_prompt_or_the_seed(run_with):
    llm, store = run_with([ANSWER, "Prose."], rounds=1)
    confirmation = {e.prompt["clean"] for h in store.hypotheses() for e in store.prompts(h.id)}
    said = " ".join(message["content"] for asked in llm.asked for message in asked)
    assert confirmation
    assert not any(prompt in said for prompt in confirmation)
    assert store.study.secret not in said


@pytest.mark.heavy
def test_a_second_round_is_told_verdicts_and_refusals(run_with):
    second = json.dumps({"hypotheses": [hypothesis(place("mlp", 1, "END")), hypothesis(place("mlp", 2, "END"))]})
    llm, store = run_with([ANSWER, "Prose.", second, "More prose."], rounds=2)
    asked = llm.asked[2][0]["content"]
    assert "m2@END carries toy" in asked
    assert "heads 0 to 3, not 99" in asked
    assert store.counts().registered == 3
    assert store.counts().refused == 5


def test_a_failure_between_answers_is_logged_and_survived(run_with):
    _, store = run_with([LLMFailure("timeout"), ANSWER, LLMFailure("timeout")])
    assert [c.error for c in store.all(m.LLMCall)] == ["timeout", None, "timeout"]
    assert store.counts().registered == 2
    assert store.run(1).status == "finished", "prose that did not come is no failure"


def test_no_answer_at_all_stops_the_run_and_it_can_be_resumed(toy, tmp_path):
    behaviour, model = toy
    db = str(tmp_path / "llm.db")
    config = RunConfig(model=model, proposer="llm", llm_style="prompt", seed=1, attribution_pairs=2, max_pairs=16)
    with pytest.raises(UserError, match="gave no usable answer in 3 attempts: down"):
        investigate(behaviour, config, db=db, llm=ScriptedLLM([LLMFailure("down")] * 3))
    assert open_store(db).counts().proposed == 0
    resume(1, db=db, llm=ScriptedLLM([ANSWER, "Prose."]))
    assert open_store(db).counts().registered == 2


def test_token_limit_stops_before_the_next_call(toy, tmp_path):
    from lakatos.tools.errors import Stop

    behaviour, model = toy
    config = RunConfig(
        model=model, proposer="llm", llm_style="prompt", attribution_pairs=2, max_pairs=16, rounds=3, max_tokens=7000
    )
    llm = ScriptedLLM([ANSWER, "Prose.", ANSWER])
    with pytest.raises(Stop, match="max-tokens"):
        investigate(behaviour, config, db=str(tmp_path / "t.db"), llm=llm)
    assert len(llm.asked) == 2
    assert open_store(str(tmp_path / "t.db")).run(1).tokens < 7000


def test_receivers_are_read_too():
    receivers = [{"kind": "query", "layer": 2, "head": 1, "position": "END"}]
    receivers += [{"kind": "key", "layer": 2, "group": 0, "position": None}, {"kind": "logits"}]
    (found,) = read_proposals(json.dumps({"hypotheses": [{"claim": {"kind": "mediation", "receivers": receivers}}]}))
    assert found["claim"]["receivers"] == ["a2.h1.q@END", "a2.g0.k", "logits"]


@pytest.mark.parametrize(
    "text",
    [
        '{"hypotheses": [{"predicted": NaN}]}',
        '{"hypotheses": ["\\ud800"]}',
        "[" * 10**5,
        "",
        "null",
        "[]",
        '{"hypotheses": 3}',
        "{",
        '"x"',
        '{"other": []}',
    ],
)
def test_answers_that_are_none(text):
    with pytest.raises(ProposalError):
        read_proposals(text)


def test_odd_members_are_kept_to_be_refused_later():
    assert read_proposals('{"hypotheses": [3, {"claim": 4}, {"claim": {"components": [{"kind": "x"}, "a1"]}}]}') == [
        {"text": "3"},
        {"claim": 4},
        {"claim": {"components": ['{"kind": "x"}', "a1"]}},
    ]


def test_a_script_may_call_tools():
    whole = Reply("Look.", 1, 2, calls=(ToolCall("x", "look", ""),))
    llm = ScriptedLLM([[("look", {"at": 1}), ("stop", {})], whole, "Done."])
    messages = [{"role": "assistant", "content": None, "tool_calls": []}, {"role": "user"}, {"content": "two words"}]
    found = llm.complete(messages, tools=[])
    assert found.calls == (ToolCall("call_1", "look", '{"at": 1}'), ToolCall("call_2", "stop", "{}"))
    assert (found.text, found.form, found.tokens_in) == ("", "tools", 2)
    assert llm.complete([], tools=[]) == whole
    assert llm.complete([], tools=[]).calls == ()
    assert llm.asked == [messages, [], []]


# -- the real client, over HTTP, against a server on this machine --


class Server:
    """An OpenAI-compatible endpoint on loopback that answers from a script."""

    def __init__(self, answers):
        self.requests = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                status, content = answers.pop(0) if answers else (500, {"error": {"message": "no more"}})
                if status == "slow":
                    time.sleep(2)
                    status = 200
                payload = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()


def completion(text, refusal=None):
    message = {"role": "assistant", "content": text, "refusal": refusal}
    return {
        "id": "x",
        "object": "chat.completion",
        "created": 0,
        "model": "local",
        "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
        "usage": {"prompt_tokens": 120, "completion_tokens": 30, "total_tokens": 150},
    }


@pytest.fixture
def serve():
    servers = []

    def start(*answers):
        servers.append(Server(list(answers)))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.mark.heavy
def test_a_whole_run_over_http_with_the_real_client(toy, tmp_path, serve, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    server = serve((200, completion(ANSWER)), (200, completion("Prose.")))
    behaviour, model = toy
    db = str(tmp_path / "http.db")
    config = RunConfig(
        model=model,
        proposer="llm",
        llm_style="prompt",
        llm_model="local",
        llm_base_url=server.url,
        attribution_pairs=2,
        hypotheses=6,
        max_pairs=16,
    )
    record = investigate(behaviour, config, db=db).run
    assert record.tokens == 300
    path, headers, body = server.requests[0]
    assert path == "/v1/chat/completions"
    assert headers["authorization"] == "Bearer sk-very-secret"
    assert body["model"] == "local"
    assert body["response_format"]["json_schema"]["strict"] is True
    assert open_store(db).counts().registered == 2
    assert b"sk-very-secret" not in (tmp_path / "http.db").read_bytes() + (tmp_path / "http.db-wal").read_bytes()


def test_refusals_errors_and_timeouts_are_failures_without_the_key(serve, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    server = serve(
        (200, completion(None, refusal="I would rather not")),
        (401, {"error": {"message": "bad key sk-very-secret"}}),
        (200, {**completion("x"), "choices": []}),
        ("slow", completion("late")),
        ("slow", completion("late")),
    )
    llm = OpenAILLM("local", base_url=server.url, timeout=0.5)
    for expected in ("would rather not", "bad key", "no choices", "[Tt]imed out"):
        with pytest.raises(LLMFailure, match=expected) as caught:
            llm.complete([{"role": "user", "content": "hi"}])
        assert "sk-very-secret" not in str(caught.value)


def test_openai_without_a_key_says_how_to_mend_it(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(UserError, match="OPENAI_API_KEY"):
        OpenAILLM("gpt-5")
