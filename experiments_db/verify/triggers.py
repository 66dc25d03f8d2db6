"""The triggers that guard tables: each is there, says what the migrations made it say, and there are no others."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import sqlalchemy as sa

from lakatos.experiments_db.log.migrations import guards

_POSTGRESQL = """
SELECT t.tgname, c.relname, t.tgenabled, t.tgtype, p.proname, p.prosrc, t.tgqual IS NULL
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid
WHERE NOT t.tgisinternal AND pg_table_is_visible(c.oid)
"""
_ROW, _BEFORE, _EVENTS = 1, 2, {"INSERT": 4, "DELETE": 8, "UPDATE": 16}  # bits of tgtype


def trigger_lies(connection: sa.Connection) -> Iterator[str]:
    """What of the guards is missing, altered, or not ours."""
    expected: Mapping[str, object]
    found: Mapping[str, object]
    if connection.dialect.name == "sqlite":
        expected, found = _expected_sqlite(), _found_sqlite(connection)
    else:
        expected, found = _expected_postgresql(), _found_postgresql(connection)
        rules = "SELECT rulename, tablename FROM pg_rules WHERE schemaname = current_schema() ORDER BY 1"
        for name, table in connection.execute(sa.text(rules)):
            if table in guards.APPEND_ONLY:
                yield f"rule {name} on {table} is not one of lakatos: rows may be changed or swallowed without a word"
    for name in sorted(expected.keys() - found.keys()):
        yield f"trigger {name} is missing: rows could have been changed without a word"
    for name in sorted(expected.keys() & found.keys()):
        if expected[name] != found[name]:
            yield f"trigger {name} is not the one that lakatos makes: rows could have been changed without a word"
    for name in sorted(found.keys() - expected.keys()):
        yield f"trigger {name} is not one of lakatos: rows may be changed or swallowed without a word"


def _expected_sqlite() -> dict[str, str]:
    made = guards.statements("sqlite", guards.APPEND_ONLY)
    return {statement.split()[2]: _plain(statement) for statement in made}


def _found_sqlite(connection: sa.Connection) -> dict[str, str]:
    rows = connection.execute(sa.text("SELECT name, tbl_name, sql FROM sqlite_master WHERE type = 'trigger'"))
    return {name: _plain(sql or "") for name, table, sql in rows if table in guards.APPEND_ONLY}


def _expected_postgresql() -> dict[str, tuple[object, ...]]:
    bodies: dict[str, str] = {}
    found: dict[str, tuple[object, ...]] = {}
    for statement in guards.statements("postgresql", guards.APPEND_ONLY):
        if function := re.match(r"CREATE (?:OR REPLACE )?FUNCTION (\w+)\(\).*?\$\$(.*)\$\$", statement, re.DOTALL):
            bodies[function[1]] = function[2]
            continue
        told = re.match(r"CREATE TRIGGER (\w+) BEFORE (\w+) ON (\w+) FOR EACH ROW EXECUTE FUNCTION (\w+)", statement)
        if told is None:
            raise ValueError(f"a guard of another form: {statement}")
        kind = _ROW | _BEFORE | _EVENTS[told[2]]
        found[told[1]] = (told[3], "O", kind, told[4], _plain(bodies[told[4]]), True)
    return found


def _found_postgresql(connection: sa.Connection) -> dict[str, tuple[object, ...]]:
    found: dict[str, tuple[object, ...]] = {}
    for name, table, enabled, kind, function, body, always in connection.execute(sa.text(_POSTGRESQL)):
        if table in guards.APPEND_ONLY:
            on = enabled.decode() if isinstance(enabled, bytes) else enabled
            ours = name not in found  # PostgreSQL lets two tables have triggers of one name
            found[name if ours else f"{name} on {table}"] = (table, on, kind, function, _plain(body), always)
    return found


def _plain(sql: str) -> str:
    """SQL without what does not count: runs of white space."""
    return " ".join(sql.split())
