"""What the graph carries from node to node: ids and counters. Facts live in the database."""

from __future__ import annotations

from typing import TypedDict


class State(TypedDict):
    """Enough to find everything else in the log."""

    run_id: int
    round: int
