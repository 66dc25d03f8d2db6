"""The tables of an index file, and where the file lies."""

from __future__ import annotations

import zlib
from importlib.metadata import version
from pathlib import Path
from typing import Final

from lakatos.experiments_db.documents import COLUMNS, KEPT, LACKING, TYPES
from lakatos.experiments_db.store import Store
from lakatos.tools.records import content_hash


def _column(name: str) -> str:
    """A field of `Line` as a column."""
    kind = {int: "INTEGER", float: "REAL", str: "TEXT"}[TYPES[name]]
    return f'"{name}" {kind}' + (" PRIMARY KEY" if name == "id" else "" if name in LACKING else " NOT NULL")


TABLES: Final = """
CREATE TABLE meta (
    ledger INTEGER NOT NULL, hash TEXT NOT NULL, study TEXT NOT NULL, at TEXT NOT NULL,
    revision INTEGER NOT NULL, evidence INTEGER NOT NULL, level REAL NOT NULL, born TEXT NOT NULL,
    weight TEXT NOT NULL, seal TEXT NOT NULL
);
CREATE TABLE hypotheses (COLUMNS);
CREATE INDEX by_slot ON hypotheses (slot);
CREATE INDEX by_hash ON hypotheses (claim_hash);
CREATE INDEX by_run ON hypotheses (run, state);
CREATE INDEX by_state ON hypotheses (state);
CREATE INDEX by_behaviour ON hypotheses (behaviour, state);
CREATE INDEX by_review ON hypotheses (review);
CREATE TABLE lines (id INTEGER PRIMARY KEY, line TEXT NOT NULL);
CREATE TABLE components (
    hypothesis INTEGER NOT NULL, layer INTEGER NOT NULL, kind TEXT NOT NULL, number INTEGER, position TEXT,
    first INTEGER NOT NULL
);
CREATE INDEX components_of ON components (hypothesis);
CREATE INDEX components_at ON components (layer, kind, number, hypothesis);
CREATE TABLE reviewers (hypothesis INTEGER NOT NULL, author TEXT NOT NULL, PRIMARY KEY (author, hypothesis))
    WITHOUT ROWID;
CREATE INDEX reviewers_of ON reviewers (hypothesis);
CREATE TABLE runs (
    id INTEGER PRIMARY KEY, behaviour TEXT NOT NULL, proposed INTEGER NOT NULL, refused INTEGER NOT NULL
);
CREATE VIRTUAL TABLE search USING fts5 (body, tokenize = 'unicode61', prefix = '1 2');
""".replace("COLUMNS", ", ".join(map(_column, KEPT)))


def schema_of(release: str) -> int:
    """A number of the tables, of the lines in them, and of the release that worked them out."""
    return zlib.crc32(repr((TABLES, COLUMNS, release)).encode()) >> 1


SCHEMA: Final = schema_of(version("lakatos"))


def default_path(store: Store) -> Path | None:
    """`<db>.index`, for the second study of a log `<db>.2.index`; of a server's log in the working folder.

    None for a log that is only in memory.
    """
    number = "" if store.study.id == 1 else f".{store.study.id}"
    url = store.engine.url
    if store.engine.dialect.name != "sqlite":
        place = content_hash([url.host, url.port, url.database])
        return Path(f"lakatos-{place.removeprefix('sha256:')[:8]}{number}.index")
    if in_memory(store):
        return None
    return Path(f"{url.database}{number}.index")


def in_memory(store: Store) -> bool:
    """Whether the log is in memory, so that only the thread that opened it can read it."""
    url = store.engine.url
    return url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:")
