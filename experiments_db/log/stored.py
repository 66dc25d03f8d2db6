"""Rows as they lie in the database, decoded one by one: a cell that cannot be read hides no other row."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from lakatos.experiments_db.log import tables as m
from lakatos.experiments_db.log.unreadable import Document


@dataclass
class Stored:
    """One table: its rows by id, and what is wrong with the others."""

    rows: dict[int, Any] = field(default_factory=dict)
    unreadable: dict[int, str] = field(default_factory=dict)  # id -> which cell, and why
    problem: str | None = None  # of the whole table


def read_table(connection: sa.Connection, table: type[Any]) -> Stored:
    """Every row of a table, in the order of ids."""
    found = Stored(problem=_lacks(connection, table))
    for key, cells in () if found.problem else _raw(connection, table):
        try:
            found.rows[key] = table(**_values(table, cells))
        except ValueError as error:
            found.unreadable[key] = str(error)
    return found


def first_unreadable(connection: sa.Connection) -> str | None:
    """The first table or row that cannot be read, in words; None: all can be."""
    tables: tuple[type[Any], ...] = (*m.CHAINED, m.LedgerEntry)
    for table in tables:
        problem = _lacks(connection, table)
        if problem is not None:
            return problem
        for key, cells in _raw(connection, table):
            try:
                _values(table, cells)
            except ValueError as error:
                return f"{table.__tablename__} row {key}: {error}"
    return None


def _lacks(connection: sa.Connection, table: type[Any]) -> str | None:
    name, inspector = table.__tablename__, sa.inspect(connection)
    if name not in inspector.get_table_names():
        return f"table {name}: is not there"
    lacks = sorted(set(table.__table__.columns.keys()) - {c["name"] for c in inspector.get_columns(name)})
    return f"table {name}: has no column {', '.join(lacks)}" if lacks else None


def _raw(connection: sa.Connection, table: type[Any]) -> Iterator[tuple[int, Mapping[Any, Any]]]:
    """Cells as the driver gives them; JSON as text."""
    bare = sa.table(table.__tablename__, *[sa.column(c.name) for c in table.__table__.columns])
    cells = [
        sa.cast(bare.c[c.name], sa.Text).label(c.name) if isinstance(c.type, Document) else bare.c[c.name]
        for c in table.__table__.columns
    ]
    try:
        rows = connection.execute(sa.select(*cells).order_by(bare.c.id)).mappings().all()
    except DBAPIError:  # text that is no UTF-8: then row by row
        ids = connection.execute(sa.select(bare.c.id).order_by(bare.c.id)).scalars().all()
        for key in ids:
            try:
                yield key, connection.execute(sa.select(*cells).where(bare.c.id == key)).mappings().one()
            except DBAPIError as error:
                yield key, {c.name: error for c in table.__table__.columns}
        return
    for row in rows:
        yield row["id"], row


def _values(table: type[Any], cells: Mapping[Any, Any]) -> dict[str, Any]:
    """A row as what its columns hold. Raises ValueError, naming the column."""
    return {column.name: _value(column, cells[column.name]) for column in table.__table__.columns}


def _value(column: Any, cell: Any) -> Any:
    """A cell as what its column holds.

    Raises:
        ValueError: it is something else; names the column.
    """
    if isinstance(cell, DBAPIError):
        raise ValueError(f"cannot be read ({cell.orig})")
    if cell is None and column.nullable:
        return None
    if isinstance(column.type, Document):
        return _document(column, cell)
    if isinstance(column.type, sa.Boolean) and cell in (0, 1):
        return bool(cell)
    kinds: tuple[type, ...] = (str,)
    if isinstance(column.type, sa.Float):
        kinds = (float,)
    elif isinstance(column.type, sa.Integer):
        kinds = (int,)
    if isinstance(column.type, sa.Boolean) or not isinstance(cell, kinds) or isinstance(cell, bool):
        raise ValueError(f"its {column.name} is {_short(cell)}, which the column cannot hold")
    return cell


def _document(column: Any, cell: Any) -> Any:
    try:
        value = json.loads(cell)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"its {column.name} is no JSON ({error})") from error
    if not isinstance(value, column.type.kind):
        raise ValueError(f"its {column.name} is {_short(value)}, which the column cannot hold")
    return value


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}..."
