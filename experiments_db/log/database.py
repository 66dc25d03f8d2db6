"""Engines: opening a database, bringing its schema up to date, and what a dialect needs."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DatabaseError, SQLAlchemyError

from lakatos.tools.errors import UserError

_BUSY_SECONDS = 60


def open_engine(url: str, *, create: bool = True) -> sa.Engine:
    """Connect, and migrate to the newest schema.

    Args:
        url: a SQLAlchemy URL, or a path (taken as SQLite).
        create: whether a database that does not exist is made.

    Raises:
        UserError: it cannot be opened, is no lakatos database, or was written by another version of lakatos.
    """
    url = url if "://" in url else f"sqlite:///{url}"
    try:
        parsed = sa.make_url(url)
        file = Path(parsed.database) if parsed.get_backend_name() == "sqlite" and parsed.database else None
        if file is not None and not file.exists() and not create:
            raise UserError(f"There is no database {file}. `lakatos run` makes one; --db or LAKATOS_DB names another.")
        if file is not None and not file.parent.is_dir():
            raise UserError(f"There is no folder {file.parent.absolute()} to put the database in.")
        engine = sa.create_engine(parsed)
        if engine.dialect.name == "sqlite":
            _prepare_sqlite(engine)
        else:
            _queue_writers(engine)
        _migrate(engine)
    except (SQLAlchemyError, ImportError) as error:
        raise UserError(f"Cannot open the database {url}: {_short(error)}") from error
    return engine


def _prepare_sqlite(engine: sa.Engine) -> None:
    """Write-ahead log, foreign keys, patience; and transactions that begin as writers, so that two writers queue."""

    def connected(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # SQLAlchemy's begin event below starts transactions, not the driver
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {_BUSY_SECONDS * 1000}")
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    def began(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN")

    sa.event.listen(engine, "connect", connected)
    sa.event.listen(engine, "begin", began)


def _queue_writers(engine: sa.Engine) -> None:
    """Two that write at once follow one another, as in SQLite: ids and the chain are counted on from the last."""

    def began(connection: sa.Connection) -> None:
        if connection.get_execution_options().get("appends"):
            connection.exec_driver_sql("LOCK TABLE ledger IN SHARE ROW EXCLUSIVE MODE")

    sa.event.listen(engine, "begin", began)


def _migrate(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        tables = set(sa.inspect(connection).get_table_names())
        found = None
        if "alembic_version" in tables:
            found = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
        elif tables:
            raise UserError(f"{engine.url} holds another program's tables: {', '.join(sorted(tables)[:5])}.")
    if found == _newest():
        return
    from alembic import command
    from alembic.util import CommandError

    config = _alembic()
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise UserError(
                f"{engine.url} was written by another lakatos (schema {found}, not {_newest()}): "
                "read it with that version, or begin another log with --db."
            ) from error


@functools.cache
def _newest() -> str:
    names = sorted(p.stem for p in (Path(__file__).parent / "migrations" / "versions").glob("[0-9]*.py"))
    return names[-1].split("_")[0]


def _alembic() -> Any:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


def _short(error: Exception) -> str:
    return str(error.orig) if isinstance(error, DatabaseError) else str(error).splitlines()[0]
