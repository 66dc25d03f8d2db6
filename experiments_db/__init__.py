"""What was tried and what it showed.

log         what happened: rows that are only ever appended, and chained
verdict     what a correction says of a family of hypotheses
verify      re-derives every hash, seed, e-value and verdict from rows, and whatever else follows without a model
store       a study: its log and what follows from it
documents   the log as records for people and programs
mechanism   what is confirmed of how a model does something, put together
regression  a confirmed claim put to the question again;  pytest_plugin: its files as tests
audit       stored prompts, run again
index       a file beside the log that answers lists and searches, and can be thrown away
report      documents as pictures, pages and files
site        the review site
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakatos.tools.lazy import lazily

if TYPE_CHECKING:
    from lakatos.experiments_db.store import Store, open_store

__all__ = ["Store", "open_store"]

__getattr__ = lazily(__name__, {"Store": "store", "open_store": "store"})
