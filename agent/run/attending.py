"""Calls of an agent outside, answered between two draws of a test: who waits for verdicts can look on meanwhile."""

from __future__ import annotations

from lakatos.agent.proposers import answer_waiting
from lakatos.agent.run.context import Context
from lakatos.agent.run.proposing import RunView


def attend(run: Context) -> None:
    """Answer the calls that wait. What they register is judged when the tests under way are over."""
    if run.config.proposer != "mcp" or not run.store.calls_left(run.run_id):
        return
    rounds = [row.round for row in run.store.proposals(run.run_id)]
    answer_waiting(RunView(run, max(rounds, default=0) + 1))
