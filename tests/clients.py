"""A client of `lakatos mcp` as a process of its own, and a planted model to investigate through it."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
import time
from pathlib import Path

import anyio
from mcp import Client, StdioServerParameters

COMMAND = ["-c", "from lakatos.agent.cli import main; main()"]
PLANTED = Path(__file__).parents[1] / "tools/behaviour/builtin/planted/planted_recall.yaml"
SMALL = ("--hypotheses", "8", "--attribution-pairs", "4", "--seed", "1")
HOLDS = "a1.h0@END carries planted_recall (denoising, >= 10% of gap)"
NULL = "a0.h1 has no effect on planted_recall (denoising, < 10% of gap)"
WRONG = "m2@END carries planted_recall (denoising, >= 10% of gap)"
CLOSE = "a0.h0 carries planted_recall (denoising, >= 0.4% of gap)"  # the effect is near this: its test is long
FINISH = {"reason": "this is all", "rivals": ["the MLPs do it", "it is a bias"]}


def server(db, *options: str) -> StdioServerParameters:
    """`lakatos mcp` on a database, for the planted model."""
    where = ["--behaviour", str(PLANTED), "--model", "planted:induction", "--db", str(db)]
    return StdioServerParameters(command=sys.executable, args=[*COMMAND, "mcp", *where, *options], env=dict(os.environ))


class Caller:
    """A client, whose tools are called by name."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def result(self, name, **arguments):
        return await self.client.call_tool(name, arguments)

    async def said(self, name, **arguments) -> str:
        """The answer of a call that is answered; a call that takes long is asked after."""
        found = await self.result(name, **arguments)
        assert not found.is_error, found.content[0].text
        told = found.structured_content
        while told.get("answer", "").startswith("Not answered yet"):
            found = await self.result("answer", call=told["call"], run=told["run"])
            assert not found.is_error, found.content[0].text
            told = found.structured_content
        return told.get("answer") or told["state"]

    async def refused(self, name, **arguments) -> str:
        """Why a call is refused, in one line."""
        found = await self.result(name, **arguments)
        assert found.is_error, found
        assert "\n" not in found.content[0].text
        return found.content[0].text

    async def verdicts(self, **run) -> str:
        """What `wait` says when the tests are over."""
        while "still being tested" in (told := await self.said("wait", **run)):
            pass
        return told


def put(*claims, rationale="as effects show", role="main"):
    """Arguments of `register`."""
    return {"claims": [{"claim": claim, "rationale": rationale, "role": role} for claim in claims]}


def rows(db, select, *values):
    """What the database answers."""
    with sqlite3.connect(db) as connection:
        return connection.execute(select, values).fetchall()


def process_of(db, run=1) -> int:
    """The process of a run."""
    told = "select json_extract(payload, '$.pid') from events where run_id = ? and kind in ('started', 'resumed')"
    return int(rows(db, told, run)[-1][0])


def kill(pid) -> None:
    """End a process at once, and wait until it is gone or only waits to be noticed."""
    os.kill(pid, signal.SIGKILL)
    ends = time.monotonic() + 10
    while time.monotonic() < ends:
        try:
            os.kill(pid, 0)
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return
        except OSError:
            return
        time.sleep(0.01)


def through(scenario, *args):
    """A scenario from beginning to end; it may take minutes, and not hours."""

    async def run():
        with anyio.fail_after(300):
            await scenario(*args)

    anyio.run(run)
