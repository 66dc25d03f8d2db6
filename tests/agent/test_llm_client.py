"""The client against servers that misbehave: always a reply or a failure, with what it cost, and never the key."""

from __future__ import annotations

import json
import re
import time
import traceback

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from misbehaving import (
    ACTION,
    BY_NAME,
    CALL_MODES,
    KEY,
    MESSAGES,
    MODES,
    SCHEMA,
    TEXT,
    TOOLS,
    Mode,
    Server,
    call,
    calling,
    completion,
    error,
    raw,
    say,
    send,
)

from lakatos.agent import RunConfig, investigate, resume
from lakatos.agent.config import Limits
from lakatos.agent.llm import LLMFailure, OpenAILLM, Reply, language_model
from lakatos.agent.llm.actions import acted
from lakatos.agent.llm.client import TRIES
from lakatos.agent.llm.objects import the_object
from lakatos.experiments_db import open_store
from lakatos.tools.errors import UserError


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


def asked(server, waits=None, **options):
    """What one call gives: a reply or a failure, and nothing else."""
    wait = (lambda seconds: waits.append(seconds)) if waits is not None else (lambda seconds: None)
    llm = OpenAILLM("m", base_url=server.url, wait=wait, **({"timeout": server.mode.timeout} | options))
    try:
        if server.mode.calls is None:
            outcome = llm.complete(MESSAGES, SCHEMA if server.mode.schema else None)
        else:
            outcome = llm.complete(MESSAGES, tools=TOOLS)
    except LLMFailure as failure:
        outcome = failure
    return llm, outcome


def test_there_are_many_modes():
    assert len(MODES) >= 60
    assert len(CALL_MODES) >= 15
    assert len(BY_NAME) == len(MODES) + len(CALL_MODES)


@pytest.mark.parametrize("mode", [*MODES, *CALL_MODES], ids=lambda mode: mode.name)
def test_a_mode(mode):
    waits = []
    with Server(mode) as server:
        began = time.monotonic()
        llm, outcome = asked(server, waits)
        took = time.monotonic() - began
    assert took < 3, "no mode holds a call beyond its time"
    assert len(server.requests) == mode.asked
    assert waits == list(mode.waits)
    if mode.reply is not None:
        assert isinstance(outcome, Reply), outcome
        assert outcome.text == mode.reply
        assert outcome.form == (mode.form if mode.schema else "")
        assert outcome.estimated == (mode.cost == "estimated")
        assert outcome.calls == (mode.calls or ())
        outcome.text.encode()
        said = repr(outcome)
    else:
        assert isinstance(outcome, LLMFailure), outcome
        assert re.search(mode.failure, str(outcome)), str(outcome)
        assert len(str(outcome)) < 1000
        assert not str(outcome).endswith("."), "a caller ends the sentence"
        if mode.permanent is not None:
            assert outcome.permanent == mode.permanent
        said = "".join(traceback.format_exception(outcome))
    if mode.calls is not None or mode.reply is not None:
        after = llm.form if mode.calls is None or not llm.native else "tools"
        assert after == (mode.after or mode.form)
    assert KEY not in said
    assert KEY[:12] not in said
    if mode.cost == "nothing":
        assert (outcome.tokens_in, outcome.tokens_out) == (0, 0)
    elif mode.cost == "counted":
        assert (outcome.tokens_in, outcome.tokens_out) == (120, 30)
    elif mode.cost == "estimated":
        assert outcome.tokens_in >= server.sizes[-1] / 4, "four bytes a token is what English has"
        assert outcome.tokens_out >= 0
        if mode.reply is not None:
            assert outcome.tokens_out >= len(mode.reply) / 4
    assert all(headers["authorization"] == f"Bearer {KEY}" for _, headers, _ in server.requests)


def test_what_is_asked_in_each_form():
    with Server("no-form") as server:
        asked(server)
    schema, objects, words = (body for _, _, body in server.requests)
    assert schema["response_format"]["json_schema"] == {"name": "proposals", "strict": True, "schema": SCHEMA}
    assert schema["messages"] == MESSAGES
    assert objects["response_format"] == {"type": "json_object"}
    assert "response_format" not in words
    for body in (objects, words):
        assert body["messages"][-1]["content"].startswith(MESSAGES[0]["content"])
        assert '"required": ["hypotheses"]' in body["messages"][-1]["content"]
        assert len(body["messages"]) == 1


CONVERSATION = [
    {"role": "system", "content": "You look."},
    *MESSAGES,
    {"role": "assistant", "content": None, "tool_calls": [call(), call("fly away", '{"at": ', "c2")]},
    {"role": "tool", "tool_call_id": "c1", "content": "nothing"},
    {"role": "tool", "tool_call_id": "c2", "content": "no such tool"},
]


def test_a_conversation_with_tools_is_sent_so_that_any_server_takes_it():
    with Server("call") as server:
        OpenAILLM("m", base_url=server.url).complete(CONVERSATION, SCHEMA, TOOLS)
    body = server.requests[0][2]
    assert body["tools"] == TOOLS
    assert body["tool_choice"] == "auto"
    assert "response_format" not in body
    first, second = body["messages"][2].pop("tool_calls")
    assert first == call()
    assert second["function"] == {"name": "fly_away", "arguments": json.dumps({"unreadable": '{"at": '})}
    assert body["messages"][3:] == CONVERSATION[3:]
    assert CONVERSATION[2]["tool_calls"][1]["function"]["name"] == "fly away", "the caller's is left as it is"


def test_without_tools_a_conversation_is_plain_text_and_says_what_the_tools_are():
    with Server("call-400") as server:
        llm = OpenAILLM("m", base_url=server.url)
        llm.complete(CONVERSATION, tools=TOOLS)
        assert llm.complete(CONVERSATION[1:], tools=TOOLS).form == "json_schema"
        llm.complete(CONVERSATION, SCHEMA)
    _, first, second, third = (body for _, _, body in server.requests)
    roles = ["system", "user", "assistant", "user"]
    assert [m["role"] for m in first["messages"]] == roles
    assert "tools" not in first
    described = first["response_format"]["json_schema"]["schema"]
    assert [list(kind["properties"]) for kind in described["anyOf"]] == [["thought", "tool", "arguments"]] * 2
    assert [kind["properties"]["tool"] for kind in described["anyOf"]] == [{"const": "look"}, {"const": "stop"}]
    assert described["anyOf"][0]["properties"]["arguments"] == {"type": "object"}
    assert "To look." in first["messages"][0]["content"]
    looked, flown = first["messages"][2]["content"].splitlines()
    assert json.loads(looked) == {"thought": "", "tool": "look", "arguments": {"at": 1}}
    assert json.loads(flown)["arguments"] == '{"at": '
    assert first["messages"][3]["content"] == "Result of look: nothing\n\nResult of fly away: no such tool"
    assert "To look." in second["messages"][0]["content"], "there is no system message to say it in"
    assert [m["role"] for m in third["messages"]] == roles
    assert "To look." not in str(third), "no tools were offered"


def test_a_server_that_has_called_may_talk_without_losing_its_tools():
    mode = Mode("talks", "calls, then talks", (calling(call()), say("That is all."), calling(call())))
    with Server(mode) as server:
        llm = OpenAILLM("m", base_url=server.url)
        forms = [llm.complete(MESSAGES, tools=TOOLS).form for _ in range(3)]
    assert forms == ["tools"] * 3


def test_a_server_that_never_calls_is_asked_for_an_action_the_next_time():
    with Server(Mode("talks", "talks, then acts", (say("Let me look."), say(ACTION)))) as server:
        llm = OpenAILLM("m", base_url=server.url)
        assert llm.complete(MESSAGES, tools=TOOLS).calls == ()
        assert [c.name for c in llm.complete(MESSAGES, tools=TOOLS).calls] == ["look"]
    assert "tools" not in server.requests[1][2]


def test_no_tools_are_as_good_as_none_given():
    with Server() as server:
        assert OpenAILLM("m", base_url=server.url).complete(MESSAGES, SCHEMA, []).form == "json_schema"
    assert "tools" not in server.requests[0][2]


def test_a_form_is_probed_once():
    with Server("no-schema") as server:
        llm, _ = asked(server)
        assert llm.complete(MESSAGES, SCHEMA).form == "json_object"
    assert len(server.requests) == 3
    assert "json_schema" not in str(server.requests[2][2]["response_format"])


def test_a_server_that_ignores_the_form_is_asked_in_words_the_next_time():
    with Server("prose") as server:
        llm, _ = asked(server)
        assert llm.complete(MESSAGES, SCHEMA).form == "words"
    assert '"required": ["hypotheses"]' in server.requests[1][2]["messages"][-1]["content"]


@pytest.mark.parametrize(
    ("mode", "kept", "dropped"),
    [("old-cap", "max_tokens", "max_completion_tokens"), ("new-cap", "max_completion_tokens", "max_tokens")],
)
def test_output_is_bounded_in_the_words_that_the_server_knows(mode, kept, dropped):
    with Server(mode) as server:
        asked(server, max_output=77)
    first, second = (body for _, _, body in server.requests)
    assert first[kept] == first[dropped] == 77
    assert second[kept] == 77
    assert dropped not in second


def test_settings_are_sent_where_they_are_given():
    with Server() as server:
        asked(server)
        asked(server, temperature=0.0, seed=3, reasoning_effort="low")
    plain, chosen = (body for _, _, body in server.requests)
    assert not {"temperature", "seed", "reasoning_effort"} & set(plain)
    assert (chosen["temperature"], chosen["seed"], chosen["reasoning_effort"]) == (0.0, 3, "low")


def test_the_whole_answer_is_kept_beside_the_object_that_was_read():
    with Server("think") as server:
        _, reply = asked(server)
    assert reply.raw.startswith("<think>")
    assert reply.text == TEXT
    with Server() as server:
        assert asked(server)[1].raw == ""


def test_surrogates_in_a_message_are_sent_visibly():
    with Server() as server:
        llm = OpenAILLM("m", base_url=server.url)
        llm.complete([{"role": "user", "content": "a\ud800b"}])
    assert server.requests[0][2]["messages"][0]["content"] == "a\ufffdb"


def test_a_call_ends_within_its_time_whatever_it_repeats():
    waits = []
    with Server(Mode("slow", "is busy", (error(503, "busy", {"Retry-After": "0.4"}),))) as server:
        _, failure = asked(server, waits, timeout=0.3)
    assert waits == []
    assert len(server.requests) == 1
    assert "--llm-timeout" in str(failure)
    assert not failure.permanent


def test_nobody_there_is_tried_again_and_costs_nothing():
    with Server() as server:
        pass
    waits = []
    _, failure = asked(server, waits)
    assert len(waits) == TRIES - 1
    assert "no connection" in str(failure)
    assert (failure.tokens_in, failure.tokens_out, failure.permanent) == (0, 0, False)


@pytest.mark.parametrize("host", ["a..b", "a" * 70 + ".org", "."])
def test_a_host_that_cannot_be_one_is_asked_once(host):
    llm = OpenAILLM("m", base_url=f"http://{host}/v1", wait=pytest.fail)
    with pytest.raises(LLMFailure, match="no connection") as caught:
        llm.complete(MESSAGES)
    assert caught.value.permanent
    assert caught.value.tokens_in == 0


# -- anything at all ---------------------------------------------------------------------------------------------------

_LEAF = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None), max_size=8)
_WORDS = st.sampled_from(
    [
        "choices",
        "message",
        "content",
        "usage",
        "error",
        "text",
        "type",
        "refusal",
        "tool_calls",
        "function",
        "prompt_tokens",
        "completion_tokens",
        "finish_reason",
        "reasoning_content",
        "arguments",
        "code",
        "param",
    ]
)
_JSON = st.recursive(
    _LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS | st.text(max_size=3), inner, max_size=5)
)
_BODIES = st.one_of(
    _JSON,
    _JSON.map(lambda value: completion(value)),
    _JSON.map(lambda value: completion({"content": value})),
    _JSON.map(lambda value: completion({"content": None, "tool_calls": [value]})),
    _JSON.map(lambda value: completion({"content": TEXT}, usage=value)),
    _JSON.map(lambda value: completion({"content": TEXT}) | {"choices": value}),
    _JSON.map(lambda value: {"error": value}),
)


@pytest.fixture(scope="module")
def anything():
    with Server(Mode("anything", "answers what a test sets", ())) as server:
        yield server


def outcome_of(server, step):
    object.__setattr__(server.mode, "steps", (step,))
    server.sizes.clear()
    _, outcome = asked(server, timeout=20)
    assert isinstance(outcome, Reply | LLMFailure)
    assert outcome.tokens_in >= 0
    assert outcome.tokens_out >= 0
    if isinstance(outcome, Reply):
        said = [outcome.text, *(part for called in outcome.calls for part in called)]
        "".join(said).encode()
        assert "\0" not in "".join(said)
        ids = [called.id for called in outcome.calls]
        assert len(set(ids)) == len(ids)
        assert all(ids)
        assert outcome.tokens_in >= 1
        counts = (outcome.tokens_in, server.sizes[-1]), (outcome.tokens_out, len(outcome.text.encode()))
        assert not outcome.estimated or any(tokens >= size / 4 for tokens, size in counts), "neither was estimated"
    else:
        str(outcome).encode()
        assert str(outcome).isprintable()


_MANY = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@_MANY
@given(document=_BODIES, status=st.sampled_from([200, 200, 200, 400, 404, 429, 500]))
def test_any_json_is_a_reply_or_a_failure(anything, document, status):
    outcome_of(anything, send(document, status))


@_MANY
@given(document=_BODIES, status=st.sampled_from([200, 200, 200, 400, 500]), calls=_JSON, text=st.text(max_size=9))
def test_any_json_is_calls_or_a_failure(anything, document, status, calls, text):
    object.__setattr__(anything.mode, "calls", ())
    try:
        outcome_of(anything, send(document, status))
        outcome_of(anything, send(completion({"content": text, "tool_calls": calls, "function_call": calls})))
    finally:
        object.__setattr__(anything.mode, "calls", None)


@_MANY
@given(body=st.binary(max_size=200), status=st.sampled_from([200, 200, 400, 401, 503]))
def test_any_bytes_of_a_body_are_a_reply_or_a_failure(anything, body, status):
    outcome_of(anything, send(body, status))


@_MANY
@given(payload=st.binary(max_size=100), head=st.sampled_from([b"", b"HTTP/1.1 ", b"HTTP/1.1 200 OK\r\n"]))
def test_any_bytes_of_a_connection_are_a_reply_or_a_failure(anything, payload, head):
    outcome_of(anything, raw(head + payload))


# -- the one object of a text ------------------------------------------------------------------------------------------


def test_one_object_is_read_where_there_is_one():
    assert the_object("") is None
    assert the_object('[{"a": 1}]') == '{"a": 1}'
    assert the_object('{"a": 1} {"a": 2}') is None
    assert the_object('{"a": 1} {"b": 2}', ["b"]) == '{"b": 2}'
    assert the_object('{"a": {"b": 2', ["b"]) is None
    assert the_object('{"a": "</think>{}"}') == '{"a": "</think>{}"}'


def test_reading_is_quick_on_the_worst_texts():
    began = time.monotonic()
    for text in ("{" * 200_000, '{"a":' * 40_000, "</think>" * 30_000, "{}" * 100_000):
        the_object(text, ["hypotheses"])
    for text in ("<tool_call>" * 20_000, ACTION * 4_000, '{"tool":' * 30_000):
        acted(text, ["look"], asked=True)
    llm = OpenAILLM("m", base_url="http://localhost:1/v1")
    for text in ("\\" * 250_000, "s" * 250_000, (KEY[:-1] + " ") * 12_000):
        assert llm.endpoint.redacted(text) == text
    assert time.monotonic() - began < 3


# -- address and key ---------------------------------------------------------------------------------------------------


def test_the_environment_names_address_and_key(monkeypatch):
    assert OpenAILLM("m").route == "The key in OPENAI_API_KEY goes to api.openai.com."
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:1234/v1/")
    assert OpenAILLM("m").endpoint.url == "http://localhost:1234/v1"
    assert OpenAILLM("m", base_url="https://x.org/v1").route == "The key in OPENAI_API_KEY goes to x.org."
    assert "unencrypted" in OpenAILLM("m", base_url="http://x.org/v1").route
    monkeypatch.setenv("MINE", " another-secret\n")
    with Server() as server:
        asked(server, key_env="MINE")
    assert server.requests[0][1]["authorization"] == "Bearer another-secret"
    monkeypatch.delenv("OPENAI_API_KEY")
    assert OpenAILLM("m").route == "No key goes to localhost:1234: OPENAI_API_KEY is not set."
    with Server() as server:
        asked(server)
    assert "authorization" not in server.requests[0][1]


def test_a_short_placeholder_for_a_key_garbles_no_answer(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    with Server(text='{"hypotheses": ["none"]}') as server:
        assert asked(server)[1].text == '{"hypotheses": ["none"]}'


@pytest.mark.parametrize(
    ("variables", "options", "says"),
    [
        ({"OPENAI_API_KEY": ""}, {}, "set OPENAI_API_KEY"),
        ({"OPENAI_API_KEY": "sk-one\nsk-two"}, {}, "OPENAI_API_KEY holds no key"),
        ({"OPENAI_API_KEY": "sk-\u00e4-secret"}, {}, "OPENAI_API_KEY holds no key"),
        ({}, {"key_env": "NOT_THERE"}, "no key in NOT_THERE.*--llm-key-env"),
        ({}, {"base_url": "localhost:1234"}, "--llm-base-url is no address.*http://"),
        ({}, {"base_url": "ftp://x/v1"}, "--llm-base-url is no address"),
        ({}, {"base_url": "http://x:port/v1"}, "--llm-base-url is no address"),
        ({}, {"base_url": "http:// /v1"}, "--llm-base-url is no address"),
        ({}, {"base_url": "http://[x/v1"}, "--llm-base-url is no address"),
        ({}, {"base_url": "http://me:pw@x/v1"}, "without user, password or query"),
        ({}, {"base_url": "http://:pw@x/v1"}, "without user, password or query"),
        ({}, {"base_url": "http://x/v1?k=pw@"}, "without user, password or query"),
        ({}, {"base_url": "http://x/v1#pw@"}, "without user, password or query"),
        ({"OPENAI_BASE_URL": "nonsense"}, {}, "OPENAI_BASE_URL is no address"),
    ],
)
def test_what_the_user_can_mend(monkeypatch, variables, options, says):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=says) as caught:
        OpenAILLM("m", **options)
    told = "".join(traceback.format_exception(caught.value))
    assert not re.search("sk-one|sk-two|secret|pw@", told.replace(__file__, "").split("UserError")[-1])


def test_a_key_given_for_the_name_of_a_variable_is_refused_and_not_repeated():
    pasted = "-".join(["sk", "given", "by", "mistake"])
    with pytest.raises(UserError, match=r"--llm-key-env.*not the key") as caught:
        RunConfig.checked({"llm_key_env": pasted})
    assert pasted not in "".join(traceback.format_exception(caught.value))


def test_how_the_llm_is_reached_can_change_when_a_run_is_resumed():
    changed = Limits.checked({"llm_base_url": "http://localhost:1/v1/", "llm_timeout": 7, "llm_key_env": "MINE"})
    found = RunConfig.model_validate(RunConfig(llm_model="m").model_dump() | changed.model_dump(exclude_unset=True))
    assert (found.llm_base_url, found.llm_timeout, found.llm_key_env) == ("http://localhost:1/v1", 7, "MINE")


# -- a wrong address is found at once ----------------------------------------------------------------------------------


def configured(server):
    return RunConfig(proposer="llm", llm_style="prompt", llm_model="m", llm_base_url=server.url)


def test_a_server_that_is_there_is_found_and_the_key_s_way_is_said():
    said = []
    with Server() as server:
        language_model(configured(server), said.append)
    assert server.looked == ["/v1/models"]
    assert server.requests == []
    assert said == [f"The key in OPENAI_API_KEY goes to {server.url[7:-3]}."]


@pytest.mark.parametrize(
    ("step", "says"),
    [
        (error(401), "The key in OPENAI_API_KEY was sent"),
        (error(403), "--llm-key-env"),
        (error(404), "most addresses end in /v1"),
        (send(b"", 308, {"Location": "https://x.org/KEY"}), r"points to https://x.org/\[key\]"),
        (raw(b"220 mail.example.org ESMTP\r\n"), "does the server run"),
    ],
)
def test_a_wrong_address_or_key_is_found(monkeypatch, step, says):
    monkeypatch.setattr("misbehaving.Handler.do_GET", step)
    with Server(Mode("wrong", "is another server", (step,))) as server, pytest.raises(UserError, match=says):
        language_model(configured(server))


@pytest.mark.parametrize("step", [error(503), error(429), send(b"x" * 10**6)])
def test_a_busy_or_wordy_server_is_there(monkeypatch, step):
    monkeypatch.setattr("misbehaving.Handler.do_GET", step)
    with Server() as server:
        language_model(configured(server))


@pytest.mark.parametrize("status", [401, 403, 404, 405])
def test_a_server_that_lists_no_models_is_asked_where_it_answers(monkeypatch, status):
    monkeypatch.setattr("misbehaving.Handler.do_GET", error(status))
    with Server(Mode("listless", "lists no models", (error(400, "no messages"),))) as server:
        language_model(configured(server))
    assert server.requests[0][2] == {}


def test_nobody_there_is_found(monkeypatch):
    with Server() as server:
        pass
    with pytest.raises(UserError, match=r"no connection.*Is --llm-base-url right"):
        language_model(configured(server))


def never(*_, **__):
    pytest.fail("the model was loaded")


def test_a_wrong_address_is_found_before_the_model_is_loaded(toy, tmp_path):
    with Server() as server:
        pass
    with pytest.raises(UserError, match="--llm-base-url"):
        investigate(toy[0], configured(server), db=str(tmp_path / "x.db"), load=never)


@pytest.mark.heavy
def test_a_run_whose_llm_failed_goes_on_at_another_address(toy, tmp_path):
    behaviour, model = toy
    db = str(tmp_path / "moved.db")
    claim = "m2@END carries toy (denoising, logit_diff, >= 10% of gap)"
    answer = json.dumps({"hypotheses": [{"claim": claim, "rationale": "", "predicted": 0.2, "role": "main"}]})
    with Server("404") as broken, Server("fences", text=answer) as good:
        config = configured(broken).model_copy(
            update={"model": model, "seed": 1, "attribution_pairs": 2, "max_pairs": 16, "llm_seed": 5}
        )
        with pytest.raises(UserError, match="model 'm' not found"):
            investigate(behaviour, config, db=db)
        limits = {"llm_base_url": good.url, "llm_max_output": 99}
        record = resume(1, db=db, limits=Limits.checked(limits).model_dump(exclude_unset=True))
    assert record.run.status == "finished"
    assert [h.text for h in open_store(db).hypotheses()] == [claim]
    assert open_store(db).verify() == []
    asked = good.requests[0][2]
    assert (asked["max_tokens"], asked["seed"], asked["model"]) == (99, 5, "m")
    assert KEY.encode() not in b"".join(path.read_bytes() for path in tmp_path.iterdir())
