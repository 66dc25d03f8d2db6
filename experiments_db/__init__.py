"""What was tried and what it showed.

models        the tables;  migrations: how they came about, with the triggers that guard them
database      engines, and what differs between SQLite and PostgreSQL
stored        rows as they lie in the database, decoded one by one;  unreadable: the error where one cannot be
reading       queries over the log
store         the only writer: appends rows and chains their hashes
registration  what is fixed when a claim is given its slot
reviews       what people say of hypotheses, beside the machine's verdicts
control       pausing and stopping a run from another process
records       what a reader gets: hypotheses with their evidence and state
correction    picks the family, applies a correction, yields verdicts;  corrected: views over a whole study
verify        re-derives every hash, seed, e-value and verdict from rows, and whatever else follows without a model
seal          what a log was, kept outside of it
remeasure     stored prompts, run again;  measured: the numbers that are compared
documents     the log as records for people and programs
regression    a confirmed claim put to the question again;  pytest_plugin: its files as tests
index         a file beside the log that answers lists and searches, and can be thrown away
report        documents as pictures, pages and files
site          the review site
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakatos.tools.lazy import lazily

if TYPE_CHECKING:
    from lakatos.experiments_db.store import Store, open_store

__all__ = ["Store", "open_store"]

__getattr__ = lazily(__name__, {"Store": "store", "open_store": "store"})
