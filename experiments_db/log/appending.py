"""One append being built, and what may keep it from the log."""

from __future__ import annotations

import itertools
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import Session

from lakatos.experiments_db.log.clock import now
from lakatos.experiments_db.log.row import Row
from lakatos.tools.errors import ProposalError, UserError

R = TypeVar("R", bound=Row)


class StoreError(UserError):
    """The log could not be written: nothing of that step was kept, and the step can be repeated."""


class Conflict(Exception):
    """The database refused a row that breaks the protocol, or that another process was faster to append."""


class Duplicate(ProposalError):
    """The claim is in the log already: rewording it does not make a new one."""

    def __init__(self, hypothesis_id: int) -> None:
        super().__init__(f"this claim is registered already, as hypothesis {hypothesis_id}")
        self.duplicate_of = hypothesis_id


class Burned(ProposalError):
    """A fixed list of pairs that a test would use up, after numbers of it have been seen."""

    def __init__(self, behaviour: str) -> None:
        super().__init__(
            f"the confirmation pairs of {behaviour} are a fixed list that tests of this study have used: a claim made "
            "now could have been fitted to them. Add pairs to the file (more than twice as many as a test may use), "
            "or claim everything in one round."
        )


class Append:
    """One append being built: gives each row its id, its time and its digest.

    `session` is for reading: rows are written when all of them are there, table by table in the order of their adding.
    """

    def __init__(self, session: Session, after: str = "") -> None:
        self.session = session
        self.after = after  # the time of the newest row
        self.rows: list[Row] = []
        self._cells: list[dict[str, Any]] = []
        self._last: dict[type[Row], int] = {}

    def add(self, row: R) -> R:
        """Put a row into this append; its id is known afterwards."""
        table = type(row)
        if table not in self._last:
            self._last[table] = self.session.connection().execute(sa.select(sa.func.max(table.id))).scalar() or 0
        self._last[table] += 1
        row.id = self._last[table]
        row.at = self.now()
        cells = row.cells()
        row.digest = row.digest_of(cells)
        self.rows.append(row)
        self._cells.append({**cells, "digest": row.digest})
        return row

    def now(self) -> str:
        """The time, and never one before that of a row that is there: a clock may have been set back."""
        self.after = max(now(), self.after)
        return self.after

    def write(self, connection: sa.Connection) -> None:
        """Insert the rows: those of one table that follow one another go together."""
        whole = zip(self.rows, self._cells, strict=True)
        for table, rows in itertools.groupby(whole, lambda pair: type(pair[0])):
            connection.execute(sa.insert(table), [cells for _, cells in rows])
