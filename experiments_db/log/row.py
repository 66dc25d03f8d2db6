"""What every table of the log has: the declarative base, and the chained row with its digest."""

from __future__ import annotations

import functools
from typing import Any, Final

from sqlalchemy import Integer, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from lakatos.experiments_db.log.unreadable import Document
from lakatos.tools.records import content_hash

GENESIS = "sha256:" + "0" * 64  # what the first ledger entry names as its predecessor
LATER: Final = {"later": True}  # marks a column that rows of older schemas lack


class Base(DeclarativeBase):
    """All tables."""

    type_annotation_map = {dict[str, Any]: Document(dict), list[Any]: Document(list)}  # noqa: RUF012 - SQLAlchemy's own form


class Row:
    """What every chained table has."""

    __tablename__: str
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    at: Mapped[str] = mapped_column(String(32))
    digest: Mapped[str] = mapped_column(String(71))

    def cells(self) -> dict[str, Any]:
        """Every column but the digest, JSON-ready."""
        return {name: getattr(self, name) for name in _columns(self.__tablename__)}

    def compute_digest(self) -> str:
        """The digest that the row's cells have, whatever the digest column says."""
        return self.digest_of(self.cells())

    def digest_of(self, cells: dict[str, Any]) -> str:
        """The digest of these cells in this row's table.

        An empty cell of a column that came later does not count: older rows keep their digests.
        """
        later = _later(self.__tablename__)
        told = {name: cell for name, cell in cells.items() if cell is not None or name not in later}
        return content_hash({"table": self.__tablename__, **told})


@functools.cache
def _columns(table: str) -> tuple[str, ...]:
    return tuple(c.name for c in Base.metadata.tables[table].columns if c.name != "digest")


@functools.cache
def _later(table: str) -> frozenset[str]:
    return frozenset(c.name for c in Base.metadata.tables[table].columns if c.info.get("later"))
