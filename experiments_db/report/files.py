"""The log as files: a report of one run as a single HTML page, every hypothesis as CSV or JSON Lines, claims as tests.

All of it shows the documents of `documents`, so the numbers are those of `--json`. The page needs no network and
runs no script; whatever a language model, a behaviour file or the database says is text in it and never markup. A file
is replaced whole or not at all.
"""

from __future__ import annotations

import csv
import errno
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from markupsafe import Markup

from lakatos.experiments_db.documents import COLUMNS, TYPES, documents, entry_line, run_document
from lakatos.experiments_db.mechanism import run_mechanism
from lakatos.experiments_db.regression import file_of, regressions, to_text
from lakatos.experiments_db.report import charts, heat_map
from lakatos.experiments_db.report.drift_chart import drift_svg
from lakatos.experiments_db.report.rendering import render
from lakatos.experiments_db.report.resources import static
from lakatos.experiments_db.store import Store
from lakatos.tools.errors import UserError

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_report(store: Store, run_id: int, path: Path) -> Path:
    """Write one investigation as one HTML file that opens from disk.

    Raises:
        UserError: there is no such run, or the file cannot be written there.
    """
    return write_text(_render(store, run_id), path)


Lines = Iterable[dict[str, Any]]  # `documents.entry_line` of hypotheses


def write_csv(store: Store, path: Path, lines: Lines | None = None) -> Path:
    """Write every hypothesis (or these) as a row.

    A list is joined by spaces; text that a spreadsheet would run gets a ' in front.

    Raises:
        UserError: the file cannot be written there.
    """
    with _replaced(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in _lines(store) if lines is None else lines:
            writer.writerow([_cell(row[column]) for column in COLUMNS])
    return path


def write_jsonl(store: Store, path: Path, lines: Lines | None = None) -> Path:
    """Write every hypothesis (or these) as a line of JSON.

    Raises:
        UserError: the file cannot be written there.
    """
    with _replaced(path) as file:
        for line in _lines(store) if lines is None else lines:
            file.write(json.dumps(line, allow_nan=False) + "\n")
    return path


def write_parquet(store: Store, path: Path, lines: Lines | None = None) -> Path:
    """Write every hypothesis (or these) as a row of a Parquet file, typed; a list stays a list.

    Raises:
        UserError: the file cannot be written there.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = list(_lines(store) if lines is None else lines)
    columns = {name: pa.array([row[name] for row in rows], _parquet_type(name, pa)) for name in COLUMNS}
    with _replaced(path, binary=True) as file:
        pq.write_table(pa.table(columns), file)
    return path


def write_tests(store: Store, folder: Path, accepted_only: bool = False) -> list[Path]:
    """Write every confirmed claim that nobody retracted as a test, and leave other files in the folder alone.

    Args:
        accepted_only: only claims whose reviews say accepted.

    Raises:
        UserError: the folder or a file in it cannot be written.
    """
    files = [file_of(store, entry) for entry in regressions(store, accepted_only)]
    try:
        folder.expanduser().mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"Cannot make the folder {folder}: {error.strerror or error}; name another.") from error
    written = []
    for claim in files:
        with _replaced(folder / claim.file_name) as file:
            file.write(to_text(claim))
        written.append(folder / claim.file_name)
    return written


def write_drift(histories: list[dict[str, Any]], path: Path) -> Path:
    """Write claims over their re-runs (`drift.drift_document`) as an SVG picture.

    Raises:
        UserError: the file cannot be written there.
    """
    return write_text(drift_svg(histories), path)


def write_text(text: str, path: Path) -> Path:
    """Write a text as a file.

    Raises:
        UserError: the file cannot be written there.
    """
    with _replaced(path) as file:
        file.write(text)
    return path


def _lines(store: Store) -> Lines:
    return (entry_line(entry) for entry in store.hypotheses())


def _parquet_type(column: str, pa: Any) -> Any:
    """Types stand beforehand, so that a log without a single effect has the same columns."""
    if column == "components":
        return pa.list_(pa.string())
    return {int: pa.int64(), float: pa.float64(), bool: pa.bool_(), str: pa.string()}[TYPES[column]]


def _render(store: Store, run_id: int) -> str:
    run = run_document(store, run_id)
    own = {h.id for h in run.hypotheses}
    return render(
        "report.html",
        run=run,
        study_counts=asdict(store.counts()),
        scale=charts.common_scale(run.hypotheses),
        heat_map=heat_map.tested(documents.heat_map(run), (run.explored or {}).get("attributions", [])),
        link=lambda key: f"#h{key}" if key in own else None,
        mechanism=run_mechanism(store, run_id),
        css=Markup(static("report.css") + static("mechanism.css")),
    )


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        value = " ".join(value)
    if isinstance(value, str) and value.startswith(_FORMULA):
        return "'" + value
    return value


@contextmanager
def _replaced(path: Path, binary: bool = False) -> Iterator[IO[Any]]:
    """A file that takes the place of `path` when all is written, and leaves no trace if it is not."""
    target = path.expanduser()
    how: dict[str, Any] = {"mode": "wb"} if binary else {"mode": "w", "encoding": "utf-8", "newline": ""}
    try:
        if target.exists() and not target.is_file() and not target.is_dir():  # a pipe or a device: nothing to replace
            with target.open(**how) as file:
                yield file
            return
        target = target.resolve()  # a link stays a link
        draft = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        try:
            with draft.open(**how) as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, target)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise UserError(f"Cannot write {path}: {_mend(error, target)}") from error


def _mend(error: OSError, target: Path) -> str:
    folder = target.parent
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full. Free some space or name a file on another disk; what was there before is unchanged."
    if error.errno == errno.ENAMETOOLONG:
        return "the name is too long; choose a shorter one."
    if target.is_dir() or error.errno == errno.EISDIR:
        return "that is a folder; name a file in it."
    if folder.exists() and not folder.is_dir():
        return f"{folder} is a file, not a folder; name another place."
    if error.errno == errno.ENOENT:
        return f"there is no folder {folder}. Make it (mkdir -p {folder}) or name another place."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"nothing may be written in {folder}; change its permissions or name another place."
    return f"{error.strerror or error}; name another place."
