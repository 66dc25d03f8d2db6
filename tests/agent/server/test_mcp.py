"""The toolbox over the Model Context Protocol, as a client in the same process sees it: what needs no run."""

from __future__ import annotations

import json
import os
import re
import sys
import tomllib
from pathlib import Path

import anyio
import pytest
from commands import lakatos_here
from mcp import Client

from lakatos.agent.server import Allowed, create_server, offering, relay, runs
from lakatos.agent.server.processes import is_there
from lakatos.agent.toolbox import TOOLS

ALLOWED = Allowed({"toy": "/somewhere/toy.yaml", "ioi": "ioi"}, ("smollm2-135m",))
PAGE = Path(__file__).parents[3] / "docs/mcp.md"
OWN = {"start", "resume", "state", "wait", "answer"}


@pytest.fixture
def asked(tmp_path):
    """`asked((tool, arguments), ...)`: what a client is answered, one call after another."""

    def ask(*calls, db="none.db"):
        async def run():
            async with Client(create_server(str(tmp_path / db), ALLOWED)) as client:
                return [await client.call_tool(name, arguments) for name, arguments in calls]

        return anyio.run(run)

    return ask


def refusal(result):
    """What was wrong with a call: one line, that shows nothing of the inside."""
    assert result.is_error
    (content,) = result.content
    assert "\n" not in content.text
    assert not any(word in content.text for word in ("Traceback", "pydantic", "Error executing", "sqlalchemy"))
    assert len(content.text) < 700
    return content.text


def test_every_tool_has_a_description_and_both_schemas(tmp_path):
    async def run():
        async with Client(create_server(str(tmp_path / "none.db"), ALLOWED)) as client:
            return client.instructions, (await client.list_tools()).tools

    instructions, tools = anyio.run(run)
    assert len(tools) == 21
    assert {tool.name for tool in tools} == OWN | (TOOLS.keys() - {"wait", "challenge"})
    for tool in tools:
        assert tool.description, tool.name
        assert tool.input_schema["type"] == "object", tool.name
        assert tool.output_schema["type"] == "object", tool.name
        assert tool.name == "start" or tool.name == "state" or "run" in tool.input_schema["properties"], tool.name
    named = {tool.name: tool.input_schema for tool in tools}
    assert named["register"]["required"] == ["claims"]
    assert named["result"]["properties"]["hypothesis"]["description"]
    assert "`start`" in instructions


@pytest.mark.parametrize(
    "behaviour",
    ["../../etc/passwd", "/somewhere/toy.yaml", "capital_of", "", "ioi; rm -rf /", "$(id)", "--help", "x" * 10_000],
)
def test_only_behaviours_that_the_user_named_can_be_begun(asked, behaviour):
    (result,) = asked(("start", {"behaviour": behaviour}))
    assert refusal(result).endswith("there are toy, ioi.")
    assert "/somewhere" not in refusal(result).rpartition(";")[2]


@pytest.mark.parametrize("model", ["gpt2", "/etc", "null:smollm2-135m", "__import__('os').system('id')", "--device"])
def test_only_models_that_the_user_named_can_be_begun(asked, model):
    (result,) = asked(("start", {"behaviour": "ioi", "model": model}))
    assert refusal(result).endswith("there are smollm2-135m.")


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("overview", {}, "call `start`"),
        ("overview", {"run": 1}, "lakatos"),  # there is no log
        ("overview", {"run": -1}, "run: Input should be greater than or equal to 1"),
        ("overview", {"run": 10**30}, "run: Input should be less than"),
        ("overview", {"run": "1; drop table runs"}, "run: "),
        ("answer", {"call": 0}, "call: "),
        ("wait", {"seconds": 1e9}, "seconds: "),
        ("wait", {"seconds": float("nan")}, "seconds: "),
        ("start", {}, "behaviour: is missing"),
        ("start", {"behaviour": "ioi", "device": "cuda"}, "There is no argument 'device'"),
        ("overview", {"x" * 100_000: 1}, "There is no argument 'xxx"),
        ("note", {"text": ""}, "text: "),
        ("note", {"text": "x" * 1_000_000}, "text: "),
        ("draft", {"claims": "all of them"}, "claims: "),
        ("register", {"claims": [{"claim": "m0 necessary for ioi", "rationale": "r"}] * 10_000}, "claims: "),
        ("register", {"claims": [{"claim": "m0 necessary for ioi", "rationale": "r", "verdict": "confirmed"}]}, ""),
        ("challenge", {}, "There is no tool 'challenge'"),
        ("y" * 100_000, {}, "There is no tool 'yyy"),
    ],
)
def test_a_call_that_cannot_be_made_is_refused_in_a_sentence(asked, name, arguments, said):
    (result,) = asked((name, arguments))
    assert said in refusal(result)


def test_without_a_log_the_state_says_how_to_begin(asked):
    (result,) = asked(("state", {}))
    assert not result.is_error
    assert result.structured_content["state"] == (
        "Behaviours: toy, ioi. Models: smollm2-135m.\nNo run has begun. Next: `start`."
    )


def test_a_run_that_others_propose_in_is_not_open_to_calls(toy_log, tmp_path):
    async def run():
        async with Client(create_server(str(toy_log), ALLOWED)) as client:
            calls = [("overview", {"run": 1}), ("resume", {"run": 1}), ("answer", {"run": 1, "call": 1})]
            calls += [("overview", {"run": 2}), ("wait", {"run": 99})]
            return [await client.call_tool(name, arguments) for name, arguments in calls]

    overview, resume, answer, none, wait = map(refusal, anyio.run(run))
    assert overview == resume == answer == "Run 1 is not open to calls: its hypotheses come from attribution."
    assert "There is no run 2" in none
    assert "There is no run 99" in wait


def test_a_fault_of_ours_is_named_so_and_shows_nothing(monkeypatch, asked):
    def broken(_runs):
        raise ZeroDivisionError("secret")

    monkeypatch.setattr("lakatos.agent.server.runs.Runs.store", broken)
    (result,) = asked(("state", {}))
    assert "fault of lakatos" in refusal(result)
    assert "secret" not in refusal(result)


def test_a_number_that_was_given_again_is_not_the_run_s_process():
    assert is_there(os.getpid(), "2999-01-01T00:00:00+00:00")
    assert not is_there(0, "2999-01-01T00:00:00+00:00")
    assert not is_there(2**30, "2999-01-01T00:00:00+00:00")
    if sys.platform == "linux":
        assert not is_there(os.getpid(), "2020-01-01T00:00:00+00:00")


def test_the_page_lists_every_tool_and_real_options_and_its_configurations_can_be_read():
    page = PAGE.read_text("utf-8")
    listed = re.findall(r"^\| `([a-z]+)` \|", page, re.MULTILINE)
    assert sorted(listed) == sorted(OWN | (TOOLS.keys() - {"wait", "challenge"}))
    _, told, _ = lakatos_here("mcp", "--help")
    options = set(re.findall(r"^\| `(--[a-z-]+)` \|", page, re.MULTILINE))
    assert options
    assert all(f"  {option} " in told for option in options)
    for kind, block in re.findall(r"^```(json|toml)\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        read = json.loads(block)["mcpServers"] if kind == "json" else tomllib.loads(block)["mcp_servers"]
        assert read["lakatos"].get("args", ["mcp"])[0] == "mcp"
    for number in (relay._AT_ONCE, runs._TOGETHER, offering._UNDER_WAY, f"{relay._LARGEST:,}", f"{relay.PATIENCE:g}"):
        assert f" {number} " in page or f" {number}\n" in page, number
