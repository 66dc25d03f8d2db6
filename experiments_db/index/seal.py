"""The seal of an index: a keyed digest of everything in it, so that a file that somebody edited is known as such.

The key lies with the user, not beside the log: who can write the folder of a log, or sends a log with its index, can
make no index that passes. Each row weighs what a keyed hash of it says. Weights are added up, so that a change of some
rows changes the sum by those rows, and nothing else has to be read again. The sum is sealed, with how far the log was
read.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import sqlite3
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import platformdirs

MODULUS: Final = 1 << 256
_OF_HYPOTHESES: Final = {  # table -> the column that says which hypothesis a row is of
    "hypotheses": "id",
    "lines": "id",
    "components": "hypothesis",
    "reviewers": "hypothesis",
    "search": "rowid",
}
_COLUMNS: Final = {"search": "rowid, body"}  # of a table; all, where none are named


def key_file() -> Path:
    """Where the user's key lies."""
    return Path(platformdirs.user_data_dir("lakatos")) / "index.key"


def user_key() -> bytes:
    """The user's key, drawn when it is first asked for; where none can be kept, one for this time only."""
    path = key_file()
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(secrets.token_bytes(32))
        key = path.read_bytes()
        if len(key) == 32:
            return key
    return secrets.token_bytes(32)


class Seal:
    """What an index of one study is sealed with.

    Args:
        key: the user's.
        study: the digest of the study's row in the log: the index of another log does not pass.
        schema: the statements that make the tables.
    """

    def __init__(self, key: bytes, study: str, schema: str) -> None:
        self._key = hmac.digest(key, f"lakatos index of {study}".encode(), "sha256")
        with sqlite3.connect(":memory:") as empty:
            empty.executescript(schema)
            self._schema = _schema(empty)
        empty.close()

    def weigh(self, index: sqlite3.Connection, ids: Collection[int]) -> int:
        """What all rows of some hypotheses weigh together."""
        total, listed = 0, json.dumps(list(ids))
        for table, column in _OF_HYPOTHESES.items():
            columns = _COLUMNS.get(table, "*")
            some = f"SELECT {columns} FROM {table} WHERE {column} IN (SELECT value FROM json_each(?))"
            total += self._sum(table, index.execute(some, (listed,)))
        return total % MODULUS

    def weigh_runs(self, index: sqlite3.Connection) -> int:
        """What the rows of runs weigh together."""
        return self._sum("runs", index.execute("SELECT * FROM runs")) % MODULUS

    def close(self, told: Sequence[Any]) -> str:
        """The seal of an index that says this of itself: how far it has read, and what its rows weigh."""
        return hmac.digest(self._key, repr(tuple(told)).encode(), "sha256").hex()

    def holds(self, index: sqlite3.Connection) -> bool:
        """Whether everything in the file is what was sealed; an empty one holds nothing and is as good."""
        if _schema(index) != self._schema:
            return False
        told = index.execute("SELECT * FROM meta").fetchall()
        tables = (*_OF_HYPOTHESES, "runs")
        if not told:
            return not any(index.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone() for table in tables)
        *fields, seal = told[0]
        if len(told) > 1 or not hmac.compare_digest(self.close(fields).encode(), str(seal).encode()):
            return False
        rows = ((table, index.execute(f"SELECT {_COLUMNS.get(table, '*')} FROM {table}")) for table in tables)
        if sum(self._sum(table, found) for table, found in rows) % MODULUS != int(fields[-1], 16):
            return False
        try:
            index.execute("INSERT INTO search (search) VALUES ('integrity-check')")
        except sqlite3.DatabaseError:
            return False
        return True

    def _sum(self, table: str, rows: Iterable[Any]) -> int:
        key, name = self._key, f"{table} "
        return sum(
            int.from_bytes(hashlib.blake2b((name + repr(row)).encode(), key=key, digest_size=32).digest(), "big")
            for row in rows
        )


def _schema(connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
    """Everything that makes tables, or changes what writing to them does."""
    return connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name").fetchall()
