"""Rows as they were appended, the ledger that chains them, and the log of one moment."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from lakatos.experiments_db.log import tables as m
from lakatos.experiments_db.log.row import GENESIS, Row
from lakatos.experiments_db.log.stored import first_unreadable
from lakatos.experiments_db.log.unreadable import Unreadable, UnreadableCell
from lakatos.tools.errors import UserError

T = TypeVar("T")
R = TypeVar("R", bound=Row)

NEWEST = sa.select(m.LedgerEntry.id, m.LedgerEntry.entry_hash).order_by(m.LedgerEntry.id.desc()).limit(1)


class RowReader:
    """The rows of a database. `study` is the family that is asked about; a reader of the whole log has none."""

    def __init__(self, engine: sa.Engine, connection: sa.Connection | None = None) -> None:
        self.engine = engine
        self.study: m.Study
        self._bind: sa.Engine | sa.Connection = connection or engine

    def _read(self, query: Callable[[Session], T]) -> T:
        try:
            with Session(self._bind, expire_on_commit=False) as session:
                return query(session)
        except (UnreadableCell, DBAPIError) as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: Exception) -> Unreadable:
        """What of the log cannot be read: the first table or row, where one is to blame."""
        with self.engine.connect() as connection:
            told = first_unreadable(connection)
        return Unreadable(told or f"The log {self.engine.url} cannot be read ({getattr(error, 'orig', error)})")

    @contextmanager
    def _moment(self) -> Iterator[sa.Connection]:
        """A connection that sees the log as it is now, whatever is appended meanwhile."""
        level = {} if self.engine.dialect.name == "sqlite" else {"isolation_level": "REPEATABLE READ"}
        with self.engine.connect().execution_options(**level) as connection, connection.begin():
            yield connection

    def all(self, table: type[R], *where: Any) -> list[R]:
        """Rows of a table in the order they were appended."""
        return self._read(lambda s: list(s.scalars(sa.select(table).where(*where).order_by(table.id))))

    def rows_of(self, query: Any) -> Sequence[Any]:
        """The rows that a query of columns finds."""
        return self._read(lambda s: s.execute(query).all())

    def column_of(self, query: Any) -> list[Any]:
        """The one column that a query finds."""
        return self._read(lambda s: list(s.scalars(query)))

    # -- the ledger --------------------------------------------------------------------------------------------------

    def newest_entry(self) -> tuple[int, str]:
        """Number and hash of the newest ledger entry; of an empty log, 0 and the hash that its first will name."""
        row = self._read(lambda s: s.execute(NEWEST).one_or_none())
        return (row[0], row[1]) if row else (0, GENESIS)

    def ledger_head(self) -> str:
        """The newest entry's hash: quote it, and nothing before it can be changed unnoticed."""
        return self.newest_entry()[1]

    def entry_hash(self, number: int) -> str | None:
        """The hash of a ledger entry; None: there is no such entry."""
        found = self.column_of(sa.select(m.LedgerEntry.entry_hash).where(m.LedgerEntry.id == number))
        return found[0] if found else None

    def appended_since(self, number: int) -> list[tuple[int, list[Any]]]:
        """The entries after one: number, and [table, id, digest] of each of its rows."""
        since = sa.select(m.LedgerEntry.id, m.LedgerEntry.rows).where(m.LedgerEntry.id > number)
        return [(key, rows) for key, rows in self.rows_of(since.order_by(m.LedgerEntry.id))]

    def holds(self, entry_hash: str) -> bool:
        """Whether the chain has an entry with this hash."""
        return bool(self.column_of(sa.select(m.LedgerEntry.id).where(m.LedgerEntry.entry_hash == entry_hash)))

    def studies(self) -> list[str]:
        """The names of every study of the database, oldest first."""
        return self.column_of(sa.select(m.Study.name).order_by(m.Study.id))

    def study_named(self, name: str) -> m.Study:
        """The study of this name. Raises LookupError: there is none."""
        return self.all(m.Study, m.Study.name == name)[0]


def ledger_hash(text: str) -> str:
    """A ledger head as it was noted, with or without the name of its algorithm.

    Raises:
        UserError: it is none; says what one looks like.
    """
    digits = text.strip().lower().removeprefix("sha256:")
    if not re.fullmatch(r"[0-9a-f]{64}", digits):
        raise UserError(
            f"{text!r} is no ledger head: `lakatos verify` prints one, sha256: and 64 hex digits. Give all of them."
        )
    return f"sha256:{digits}"
