"""How a guard becomes triggers of SQLite and PostgreSQL. What is written here is in databases: it is frozen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Rule(NamedTuple):
    """Rows of `table` are refused with `message` where `broken` holds of them."""

    name: str
    table: str
    broken: str  # SQL over NEW
    message: str


def names(dialect: str, tables: Iterable[str], rules: Iterable[Rule]) -> dict[str, str]:
    """The triggers that guard these tables in a dialect: name -> table."""
    actions = ("update", "delete", "replace") if dialect == "sqlite" else ("update", "delete")
    append_only = {f"{table}_no_{action}": table for table in tables for action in actions}
    return append_only | {rule.name: rule.table for rule in rules}


def made(dialect: str, tables: Iterable[str], rules: Iterable[Rule]) -> Iterator[str]:
    """The DDL that makes these tables append-only and holds the rules."""
    yield from (_sqlite if dialect == "sqlite" else _postgresql)(tables, rules)


def dropped(dialect: str, tables: Iterable[str], rules: Iterable[Rule]) -> Iterator[str]:
    """The DDL that takes away what `made` makes."""
    kept = tuple(rules)
    for name, table in names(dialect, tables, kept).items():
        yield f"DROP TRIGGER {name}" + (f" ON {table}" if dialect == "postgresql" else "")
    if dialect == "postgresql":
        yield from (f"DROP FUNCTION lakatos_{rule.name}()" for rule in kept)


def _sqlite(tables: Iterable[str], asked: Iterable[Rule]) -> Iterator[str]:
    for table in tables:
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
    for rule in asked:
        yield (
            f"CREATE TRIGGER {rule.name} BEFORE INSERT ON {rule.table} WHEN {rule.broken} "
            f"BEGIN SELECT RAISE(ABORT, '{rule.message}'); END"
        )


def _postgresql(tables: Iterable[str], asked: Iterable[Rule]) -> Iterator[str]:
    yield (
        "CREATE OR REPLACE FUNCTION lakatos_append_only() RETURNS trigger AS $$ "
        "BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$ LANGUAGE plpgsql"
    )
    for table in tables:
        for action in ("update", "delete"):
            yield (
                f"CREATE TRIGGER {table}_no_{action} BEFORE {action.upper()} ON {table} "
                "FOR EACH ROW EXECUTE FUNCTION lakatos_append_only()"
            )
    for rule in asked:
        yield (
            f"CREATE FUNCTION lakatos_{rule.name}() RETURNS trigger AS $$ BEGIN IF ({rule.broken}) THEN "
            f"RAISE EXCEPTION '{rule.message}'; END IF; RETURN NEW; END $$ LANGUAGE plpgsql"
        )
        yield (
            f"CREATE TRIGGER {rule.name} BEFORE INSERT ON {rule.table} "
            f"FOR EACH ROW EXECUTE FUNCTION lakatos_{rule.name}()"
        )
