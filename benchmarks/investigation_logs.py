"""Bytes of a log, table by table, for a tested claim."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any


def bytes_told(path: str) -> tuple[dict[str, Any], str]:
    """The bytes of a database and of the cells of each table, for each claim with evidence; and the same as text.

    A cell counts as many bytes as its text or blob has, a number eight. What is left is the database's own: indexes,
    pages that are not full.
    """
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as raw:
        (tested,) = raw.execute("SELECT count(DISTINCT hypothesis_id) FROM evidence").fetchone()
        tables = [name for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        sizes = {table: _cells(raw, table) for table in tables}
        whole = raw.execute("PRAGMA page_count").fetchone()[0] * raw.execute("PRAGMA page_size").fetchone()[0]
    each = max(1, tested)
    found = {"tested": tested, "bytes": whole, "a claim": whole / each, "cells": sizes}
    lines = [f"{path}: {tested} tested, {whole:,} bytes, {whole / each:,.0f} for each"]
    for table, size in sorted(sizes.items(), key=lambda item: -item[1]):
        if size:
            lines.append(f"  {table:<14} {size / each:>10,.0f}  {size / whole:5.1%}")
    lines.append(f"  {'(not cells)':<14} {(whole - sum(sizes.values())) / each:>10,.0f}")
    return found, "\n".join(lines)


def _cells(raw: sqlite3.Connection, table: str) -> int:
    columns = [row[1] for row in raw.execute(f"PRAGMA table_info({table})")]
    size = " + ".join(
        f"CASE WHEN typeof(\"{c}\") IN ('text', 'blob') THEN length(CAST(\"{c}\" AS BLOB))"
        f' WHEN "{c}" IS NULL THEN 0 ELSE 8 END'
        for c in columns
    )
    (found,) = raw.execute(f"SELECT coalesce(sum({size}), 0) FROM {table}").fetchone()
    return int(found)
