"""Triggers that make tables append-only and keep draws after registration, for SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa

APPEND_ONLY = (
    "studies",
    "runs",
    "events",
    "llm_calls",
    "proposals",
    "refusals",
    "hypotheses",
    "batches",
    "effects",
    "evidence",
    "ledger",
)
_AFTER_REGISTRATION = "batches_after_registration"


def triggers(dialect: str) -> set[str]:
    """The names of all triggers that a database of this dialect must have."""
    actions = ("update", "delete", "replace") if dialect == "sqlite" else ("update", "delete")
    return {f"{table}_no_{action}" for table in APPEND_ONLY for action in actions} | {_AFTER_REGISTRATION}


def missing(connection: sa.Connection) -> list[str]:
    """The triggers that the schema has and this database lacks."""
    dialect = connection.dialect.name
    query = (
        "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        if dialect == "sqlite"
        else "SELECT tgname FROM pg_trigger"
    )
    return sorted(triggers(dialect) - set(connection.execute(sa.text(query)).scalars()))


def statements(dialect: str) -> Iterator[str]:
    """The DDL for a dialect. Raises ValueError for one that has none."""
    if dialect == "sqlite":
        yield from _sqlite()
    elif dialect == "postgresql":
        yield from _postgresql()
    else:
        raise ValueError(f"lakatos keeps its log in SQLite or PostgreSQL, not in {dialect}")


def _sqlite() -> Iterator[str]:
    for table in APPEND_ONLY:
        for action in ("update", "delete"):
            yield (
                f"CREATE TRIGGER {table}_no_{action} BEFORE {action.upper()} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
        yield (  # INSERT OR REPLACE deletes without firing delete triggers
            f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} "
            f"WHEN EXISTS (SELECT 1 FROM {table} WHERE id = NEW.id) "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        )
    yield (
        "CREATE TRIGGER batches_after_registration BEFORE INSERT ON batches "
        "WHEN NEW.drawn_at <= (SELECT registered_at FROM hypotheses WHERE id = NEW.hypothesis_id) "
        "BEGIN SELECT RAISE(ABORT, 'a batch must be drawn after its hypothesis was registered'); END"
    )


def _postgresql() -> Iterator[str]:
    yield (
        "CREATE FUNCTION lakatos_append_only() RETURNS trigger AS $$ "
        "BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$ LANGUAGE plpgsql"
    )
    for table in APPEND_ONLY:
        for action in ("update", "delete"):
            yield (
                f"CREATE TRIGGER {table}_no_{action} BEFORE {action.upper()} ON {table} "
                "FOR EACH ROW EXECUTE FUNCTION lakatos_append_only()"
            )
    yield (
        "CREATE FUNCTION lakatos_after_registration() RETURNS trigger AS $$ BEGIN "
        "IF NEW.drawn_at <= (SELECT registered_at FROM hypotheses WHERE id = NEW.hypothesis_id) THEN "
        "RAISE EXCEPTION 'a batch must be drawn after its hypothesis was registered'; END IF; "
        "RETURN NEW; END $$ LANGUAGE plpgsql"
    )
    yield (
        "CREATE TRIGGER batches_after_registration BEFORE INSERT ON batches "
        "FOR EACH ROW EXECUTE FUNCTION lakatos_after_registration()"
    )
