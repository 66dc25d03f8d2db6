"""What `lakatos mcp` loads before a tool needs it, and what it says where the protocol's package is not there."""

from __future__ import annotations

import subprocess
import sys

from commands import lakatos_here

LISTING = """
import sys
import anyio
from mcp import Client
import lakatos.agent.cli
from lakatos.agent.server import Allowed, create_server

server = create_server("none.db", Allowed({"ioi": "ioi"}, ("smollm2-135m",)))

async def listed():
    async with Client(server) as client:
        return len((await client.list_tools()).tools)

assert anyio.run(listed) == 21
print(*sorted(name for name in sys.modules if "." not in name))
"""
HEAVY = {"torch", "sqlalchemy", "alembic", "transformers", "transformer_lens", "pandas", "pyarrow", "langgraph"}
HEAVY |= {"openai", "jinja2", "fastapi", "scipy", "gguf", "safetensors"}


def test_tools_are_listed_before_anything_heavy_is_imported(tmp_path):
    found = subprocess.run([sys.executable, "-c", LISTING], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert found.returncode == 0, found.stderr
    loaded = set(found.stdout.split())
    assert "mcp" in loaded
    assert loaded & HEAVY == set()
    assert list(tmp_path.iterdir()) == []


def test_without_the_package_the_command_says_what_to_install(monkeypatch):
    for name in [
        name for name in sys.modules if name.split(".")[0] == "mcp" or name.startswith("lakatos.agent.server")
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "mcp", None)
    status, _, said = lakatos_here("mcp")
    assert status == 2
    assert "pip install 'lakatos[mcp]'" in said
    assert "Traceback" not in said


def test_settings_are_checked_before_anybody_is_served(tmp_path):
    status, _, said = lakatos_here("mcp", "--hypotheses", "0")
    assert (status, "--hypotheses" in said) == (2, True)
    two = ["--behaviour", "a/mine.yaml", "--behaviour", "b/mine.yaml"]
    status, _, said = lakatos_here("mcp", *two, "--db", tmp_path / "none.db")
    assert status == 2
    assert "same name" in said


def test_what_belongs_to_others_is_no_setting_of_a_client_s_run():
    for option in ("--proposer", "--claims", "--llm-model", "--llm-base-url", "--llm-key-env", "--investigators"):
        status, _, said = lakatos_here("mcp", option, "1")
        assert status == 2
        assert option in said
