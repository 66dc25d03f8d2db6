"""Lying logs, for tests: rows changed behind the guards' back, with or without every hash computed anew.

`tamper` tells a lie with SQL. `rechain` does what a cheat does next: every digest, the chain, and the heads that runs
name. `rechain(db, renumber=True)` is thorough: rows that were deleted leave no hole in ids, and whatever refers to a
row follows it. `redigest` stops short of the chain.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing, contextmanager

from lakatos.experiments_db import open_store
from lakatos.experiments_db.log import GENESIS
from lakatos.experiments_db.log import tables as m
from lakatos.experiments_db.log.migrations.guards import APPEND_ONLY, statements, triggers
from lakatos.experiments_db.log.unreadable import Document

TABLES = {table.__tablename__: table for table in m.CHAINED}
_UNIQUE = 1_000_000  # added to ids while they move, so that none meets another


def copied(source, target):
    """A copy of a database, whatever is still in its write-ahead log; gives its path."""
    with closing(sqlite3.connect(source)) as original, closing(sqlite3.connect(target)) as copy:
        original.backup(copy)
    return target


@contextmanager
def unguarded(db):
    """The database with its triggers off and its foreign keys not looked at; afterwards they are as they were."""
    with closing(sqlite3.connect(db)) as raw, raw:
        for name in triggers("sqlite"):
            raw.execute(f"DROP TRIGGER {name}")
        yield raw
        for statement in statements("sqlite", APPEND_ONLY):
            raw.execute(statement)


def tell(db, *changes):
    """Run SQL with the guards off, and put them back: only the contents are left to tell."""
    with unguarded(db) as raw:
        before = _contents(raw)
        for change in changes:
            raw.execute(change)
        assert _contents(raw) != before, f"nothing was changed by {changes}"


def _contents(raw):
    text, raw.text_factory = raw.text_factory, bytes  # whatever it is
    try:
        return [raw.execute(f"SELECT * FROM {table} ORDER BY id").fetchall() for table in (*TABLES, "ledger")]
    finally:
        raw.text_factory = text


def tamper(db, *changes):
    """Tell a lie, one row by each statement, and ask `verify`."""
    with unguarded(db) as raw:
        for change in changes:
            assert raw.execute(change).rowcount == 1
    return open_store(str(db)).verify()


def rechain(db, renumber=False):
    """Compute every digest and the whole chain anew, as a thorough cheat would, and ask `verify`."""
    with unguarded(db) as raw:
        _drop_what_is_gone(raw)
        if renumber:
            _close_holes(raw)
        _chain(raw)
    return open_store(str(db)).verify()


def redigest(db):
    """Compute every digest anew, in the rows and in the ledger, and no hash of an entry; ask `verify`."""
    with unguarded(db) as raw:
        for number, listed, previous in raw.execute("SELECT id, rows, previous FROM ledger ORDER BY id").fetchall():
            fresh = [[table, key, _digest(raw, table, key, previous)] for table, key, _ in json.loads(listed)]
            raw.execute("UPDATE ledger SET rows = ? WHERE id = ?", (json.dumps(fresh), number))
    return open_store(str(db)).verify()


def _drop_what_is_gone(raw):
    """The ledger names no rows that were deleted; an entry that names none any more goes too."""
    there = {table: {key for (key,) in raw.execute(f"SELECT id FROM {table}")} for table in TABLES}
    for number, listed in raw.execute("SELECT id, rows FROM ledger ORDER BY id").fetchall():
        kept = [row for row in json.loads(listed) if row[1] in there[row[0]]]
        if kept:
            raw.execute("UPDATE ledger SET rows = ? WHERE id = ?", (json.dumps(kept), number))
        else:
            raw.execute("DELETE FROM ledger WHERE id = ?", (number,))


def _close_holes(raw):
    """Ids run on from 1 again, in every table and in whatever refers to them; so do slots, attempts and places."""
    moved = {}
    for table in TABLES:
        ids = [key for (key,) in raw.execute(f"SELECT id FROM {table} ORDER BY id")]
        moved[table] = dict(zip(ids, range(1, len(ids) + 1), strict=True))
        _move(raw, table, "id", moved[table])
    for table, model in TABLES.items():
        for column in model.__table__.columns:
            for link in column.foreign_keys:
                _move(raw, table, column.name, moved[link.column.table.name])
    for number, listed in raw.execute("SELECT id, rows FROM ledger").fetchall():
        renamed = [[table, moved[table][key], digest] for table, key, digest in json.loads(listed)]
        raw.execute("UPDATE ledger SET rows = ? WHERE id = ?", (json.dumps(renamed), number))
    for key, payload in raw.execute("SELECT id, payload FROM events WHERE kind = 'finished'").fetchall():
        told = json.loads(payload)
        told["confirmed"] = [moved["hypotheses"][h] for h in told["confirmed"] if h in moved["hypotheses"]]
        raw.execute("UPDATE events SET payload = ? WHERE id = ?", (json.dumps(told), key))
    for table, column, among in (
        ("hypotheses", "slot", "study_id"),
        ("proposals", "place", "run_id, round"),
        ("llm_calls", "attempt", "run_id, round, purpose"),
        ("batches", "number", "hypothesis_id"),
    ):
        first = 0 if column in ("place", "number") else 1
        numbers = raw.execute(
            f"SELECT id, ROW_NUMBER() OVER (PARTITION BY {among} ORDER BY id) - 1 + {first} FROM {table}"
        ).fetchall()
        raw.execute(f"UPDATE {table} SET {column} = {column} + {_UNIQUE}")
        raw.executemany(f"UPDATE {table} SET {column} = ? WHERE id = ?", [(n, key) for key, n in numbers])
    raw.execute("UPDATE hypotheses SET record = json_set(record, '$.slot', slot)")


def _move(raw, table, column, moved):
    raw.execute(f"UPDATE {table} SET {column} = {column} + {_UNIQUE} WHERE {column} IS NOT NULL")
    raw.executemany(
        f"UPDATE {table} SET {column} = ? WHERE {column} = ?", [(new, old + _UNIQUE) for old, new in moved.items()]
    )


def _chain(raw):
    """Every digest, in the rows and in the ledger; every entry after the one before; every head that a run names."""
    previous = GENESIS
    entries = raw.execute("SELECT id, rows FROM ledger ORDER BY id").fetchall()
    raw.execute("DELETE FROM ledger")
    for number, (_, listed) in enumerate(entries, 1):
        fresh = [[table, key, _digest(raw, table, key, previous)] for table, key, _ in json.loads(listed)]
        entry = m.LedgerEntry(id=number, rows=fresh, previous=previous)
        raw.execute(
            "INSERT INTO ledger (id, rows, previous, entry_hash) VALUES (?, ?, ?, ?)",
            (number, json.dumps(fresh), previous, entry.compute_hash()),
        )
        previous = entry.compute_hash()


def _digest(raw, table, key, previous):
    """Give a row the digest of what it says now. One that cannot be read keeps its own."""
    columns = [column for column in TABLES[table].__table__.columns if column.name != "digest"]
    if table == "events":
        heads = "kind = 'finished' AND json_valid(payload) AND json_type(payload, '$.ledger_head') IS NOT NULL"
        raw.execute(
            f"UPDATE events SET payload = json_set(payload, '$.ledger_head', ?) WHERE id = ? AND {heads}",
            (previous, key),
        )
    cells = raw.execute(f"SELECT {', '.join(c.name for c in columns)}, digest FROM {table} WHERE id = ?", (key,))
    *values, before = cells.fetchone()
    try:
        content = {column.name: _said(column, value) for column, value in zip(columns, values, strict=True)}
        digest = TABLES[table]().digest_of(content)
    except (TypeError, ValueError):
        return before
    raw.execute(f"UPDATE {table} SET digest = ? WHERE id = ?", (digest, key))
    return digest


def _said(column, value):
    if isinstance(column.type, Document) and value is not None:
        return json.loads(value)
    return bool(value) if column.type.python_type is bool else value
