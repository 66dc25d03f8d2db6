"""What the commands have in common: options, opening the log, where things are printed."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

if TYPE_CHECKING:
    from lakatos.experiments_db import Store

Db = Annotated[str, typer.Option("--db", envvar="LAKATOS_DB", help="The log: a file (SQLite) or a SQLAlchemy URL.")]
Study = Annotated[
    str | None,
    typer.Option(
        "--study", help="The family over which error is controlled. Default: main, the only one unless you name others."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a table.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on standard error.")]
DB = "lakatos.db"


def open_log(db: str, study: str | None, run_id: int | None = None) -> Store:
    """The log, which must be there."""
    from lakatos.experiments_db import open_store

    return open_store(database_path(db), create=False, study=study, run=run_id)


def database_path(db: str) -> str:
    """A URL as it is, a path without its ~."""
    return db if "://" in db else str(Path(db).expanduser())


def print_json(document: dict[str, Any]) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def out() -> Console:
    """Standard output; where it is no terminal, wide enough for tables."""
    width = None if sys.stdout.isatty() else int(os.environ.get("COLUMNS") or "140")
    return Console(width=width)


def err() -> Console:
    """Standard error."""
    return Console(stderr=True)
