"""`lakatos mcp --http`: who may ask, and under which name."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import anyio
import httpx2
import pytest
from clients import COMMAND
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from starlette.testclient import TestClient

from lakatos.agent.server import Allowed, create_server
from lakatos.agent.server.http import http_app

TOKEN = "a-token-of-ours"
SHOWN = {"Authorization": f"Bearer {TOKEN}"}
ACCEPT = {"Accept": "application/json, text/event-stream"}
BEGIN = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}


def posted(tmp_path, headers, host="127.0.0.1", named="http://127.0.0.1:8920", method="POST"):
    """The status of a request to a server that listens on a host, under the name by which it was reached."""
    server = create_server(str(tmp_path / "none.db"), Allowed({"ioi": "ioi"}, ("smollm2-135m",)))
    with TestClient(http_app(server, TOKEN, host), base_url=named) as client:
        return client.request(method, "/mcp", json=BEGIN, headers=ACCEPT | headers).status_code


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer "},
        {"Authorization": TOKEN},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"bearer {TOKEN[:-1]}"},
        {"Authorization": "Bearer \xe4".encode("latin-1")},
        {"Cookie": f"token={TOKEN}"},
    ],
)
def test_who_does_not_show_the_token_is_refused(tmp_path, host, headers):
    assert posted(tmp_path, headers, host) == 401


def test_every_path_and_method_asks_for_it(tmp_path):
    assert posted(tmp_path, {}, method="DELETE") == 401
    server = create_server(str(tmp_path / "none.db"), Allowed({"ioi": "ioi"}, ("smollm2-135m",)))
    with TestClient(http_app(server, TOKEN, "127.0.0.1"), base_url="http://127.0.0.1:8920") as client:
        assert client.get("/").status_code == client.get("/mcp?token=" + TOKEN).status_code == 401
        assert "lakatos mcp --http" in client.get("/mcp").text


def test_who_shows_it_is_answered(tmp_path):
    assert posted(tmp_path, SHOWN) == 200
    assert posted(tmp_path, SHOWN, "0.0.0.0", "http://lab.example:8920") == 200


@pytest.mark.parametrize(
    "named", ["http://evil.example", "http://evil.example:8920", "http://127.0.0.1.evil.example:1"]
)
def test_on_loopback_another_name_is_refused_even_with_the_token(tmp_path, named):
    assert posted(tmp_path, SHOWN, named=named) == 421


def test_on_loopback_a_page_of_another_origin_is_refused(tmp_path):
    assert posted(tmp_path, SHOWN | {"Origin": "http://evil.example"}) == 403


@pytest.mark.heavy
@pytest.mark.parametrize("given", [None, TOKEN], ids=["drawn", "given"])
def test_the_command_prints_where_it_listens_and_what_to_show(tmp_path, given):
    env = {name: value for name, value in os.environ.items() if name != "LAKATOS_TOKEN"}
    command = [sys.executable, *COMMAND, "mcp", "--http", "--port", "0", "--db", str(tmp_path / "none.db")]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=env | ({"LAKATOS_TOKEN": given} if given else {})
    )
    try:
        address, header = process.stderr.readline().strip(), process.stderr.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:[1-9]\d*/mcp", address)
        name, _, shown = header.partition(": ")
        assert name == "Authorization"
        assert shown == f"Bearer {given}" if given else len(shown) > 30

        async def run():
            async with httpx2.AsyncClient(headers={name: shown}, timeout=30) as http:
                assert (await http.post(address, json=BEGIN, headers={name: "Bearer no"})).status_code == 401
                async with Client(streamable_http_client(address, http_client=http)) as client:
                    assert len((await client.list_tools()).tools) == 21
                    return await client.call_tool("state", {})

        assert "No run has begun" in anyio.run(run).structured_content["state"]
    finally:
        process.terminate()
        process.wait(30)
        process.stderr.close()
