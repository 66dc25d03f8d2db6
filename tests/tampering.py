"""Lying logs, for tests: rows changed behind the guards' back, with or without every hash computed anew."""

from __future__ import annotations

import json
import sqlite3

from lakatos.experiments_db import models as m
from lakatos.experiments_db import open_store
from lakatos.experiments_db.migrations.guards import APPEND_ONLY, statements, triggers
from lakatos.experiments_db.store import GENESIS


def tamper(db, *changes):
    """Run SQL with the guards off, and put them back: only the contents are left to tell."""
    with sqlite3.connect(db) as raw:
        for name in triggers("sqlite"):
            raw.execute(f"DROP TRIGGER {name}")
        for change in changes:
            assert raw.execute(change).rowcount == 1
        for statement in statements("sqlite", APPEND_ONLY):
            raw.execute(statement)
    return open_store(str(db)).verify()


def rechain(db):
    """Compute every digest and the whole chain anew, as a thorough cheat would."""
    store = open_store(str(db))
    rows = {t.__tablename__: {r.id: r.compute_digest() for r in store.all(t)} for t in m.CHAINED}
    previous = GENESIS
    with sqlite3.connect(db) as raw:
        for name in triggers("sqlite"):
            raw.execute(f"DROP TRIGGER {name}")
        for number, listed in raw.execute("SELECT id, rows FROM ledger ORDER BY id").fetchall():
            fresh = [[t, i, rows[t][i]] for t, i, _ in json.loads(listed)]
            entry = m.LedgerEntry(id=number, rows=fresh, previous=previous)
            raw.execute(
                "UPDATE ledger SET rows = ?, previous = ?, entry_hash = ? WHERE id = ?",
                (json.dumps(fresh), previous, entry.compute_hash(), number),
            )
            previous = entry.compute_hash()
        for statement in statements("sqlite", APPEND_ONLY):
            raw.execute(statement)
    return open_store(str(db)).verify()
