"""What was tried and what it showed.

models      the tables
database    engines, migrations, and what differs between SQLite and PostgreSQL
stored      rows as they lie in the database, decoded one by one;  unreadable the error where one cannot be
reading     queries over the log
store       the only writer: appends rows and chains their hashes
registration  what is fixed when a claim is given its slot
reviews     what people say of hypotheses, beside the machine's verdicts
records     what a reader gets: hypotheses with their evidence and state
correction  picks the family, applies a correction, yields verdicts
index       what lists and searches ask for, in a file beside the log that can be thrown away: query has the SQL of a
            question, index_file the file, index_seal what shows that nobody edited it, index_refresh what brings it up
            to date
verify/     re-derives every hash, seed, e-value and verdict from rows, and whatever else follows without a model
export      the report as one HTML file, CSV, Parquet and JSON Lines

web         the review site: site.py has what pages show, addresses.py what an address asks for, safety.py who may ask,
            downloads.py the files; rendering, charts and figures are how it looks
index       a file beside the log, made anew at any time, that answers lists and searches: index_file, index_refresh,
            query; corrected.py has the other corrections, comparison.py pairs
provenance  what lies behind a hypothesis: proposal, kin, deviations
control     pausing and stopping a run from another process

hypothesis_file  a confirmed claim as a *.hypothesis.yaml file
regression  runs one again, on fresh prompts;  pytest_plugin collects the files as tests
outcome_text  what came of it, for people
reruns      re-runs in the log;  drift a claim over models and versions;  drift_chart

simulation  whole studies of honest and cheating agents, in worlds whose truth is known: simulated_agents put claims
            to a laboratory (the protocol), or work freehand (without it); world draws the effects
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lakatos.experiments_db.store import Store, open_store

__all__ = ["Store", "open_store"]


def __getattr__(name: str) -> Any:
    """The public names, loaded when they are asked for: the pytest plugin lives here too, and needs no database."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from lakatos.experiments_db import store

    return getattr(store, name)
