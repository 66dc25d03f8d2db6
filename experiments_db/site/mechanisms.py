"""Mechanisms on the review site, from what the index knows: no verdict is judged anew for a page.

They show no rationale and nothing that people said, so a blind reviewer sees them as everybody does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lakatos.experiments_db.index import Index
from lakatos.experiments_db.mechanism import Mechanism, mechanism_of, runs_about
from lakatos.experiments_db.store import Store

MOST = 2000  # hypotheses that a page puts together, confirmed ones first


def mechanism_of_runs(store: Store, index: Index, runs: Sequence[int]) -> Mechanism:
    """What runs about one question have found.

    Args:
        runs: oldest first.
    """
    return mechanism_of(store, runs, index.entries(runs, MOST))


def behaviour_page(store: Store, index: Index, behaviour: str, model: str) -> dict[str, Any]:
    """The mechanism of all runs of the study about a behaviour.

    Args:
        model: its name; "": that of the newest run about the behaviour.

    Raises:
        UserError: no run is about them.
    """
    runs = runs_about(store, behaviour, model or None)
    found = mechanism_of_runs(store, index, runs)
    models = dict.fromkeys(run.model for run in store.runs() if run.behaviour == behaviour)
    return {"found": found, "models": list(models), "most": MOST, "partial": len(found.lines) >= MOST}
