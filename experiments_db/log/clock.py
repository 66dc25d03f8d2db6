"""Times of rows: UTC, and never before that of a row that is there."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from lakatos.experiments_db.log import tables as m
from lakatos.experiments_db.log.unreadable import reading

_NEWEST_ROWS = sa.select(m.LedgerEntry.rows).order_by(m.LedgerEntry.id.desc()).limit(1)


def now() -> str:
    """UTC, ISO 8601, microseconds."""
    return stamp(datetime.now(UTC))


def newest_time(connection: sa.Connection) -> str:
    """When the newest row was appended; empty in an empty log."""
    with reading("The newest ledger row"):
        rows = connection.execute(_NEWEST_ROWS).scalar()
        if not rows:
            return ""
        table, key, _ = rows[-1]
    at: Any = sa.select(sa.column("at")).select_from(sa.table(table)).where(sa.column("id") == key)
    return str(connection.execute(at).scalar() or "")


def stamp(time: datetime) -> str:
    """A time as rows have it."""
    return time.isoformat(timespec="microseconds")
