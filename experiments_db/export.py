"""The log as files: a report of one run as a single HTML page, and every hypothesis as CSV or JSON Lines.

All of it shows the documents of `documents.py`, so the numbers are those of `--json`. The page needs no network and
runs no script; whatever a language model, a behaviour file or the database says is text in it and never markup. A file
is replaced whole or not at all.
"""

from __future__ import annotations

import csv
import errno
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any, TextIO

import jinja2
from markupsafe import Markup

from lakatos.experiments_db import charts, documents
from lakatos.experiments_db.store import Store
from lakatos.tools.claim_text import in_words
from lakatos.tools.errors import UserError
from lakatos.tools.hypothesis import CLAIM

COLUMNS = (
    "id",
    "slot",
    "run",
    "state",
    "text",
    "kind",
    "group",
    "reading",
    "of_these_templates",
    "role",
    "components",
    "behaviour",
    "model",
    "proposer",
    "effect",
    "unit",
    "low",
    "high",
    "level",
    "fraction",
    "margin",
    "predicted",
    "weakest",
    "e",
    "p",
    "n",
    "stop",
    "error",
    "flagged",
    "forwards",
    "registered_at",
    "claim_hash",
    "contradicted_by",
    "replicated_by",
    "review",
)

_TEMPLATES = "lakatos.experiments_db.templates"
_PROMPTS_SHOWN = 5
_ROWS_SHOWN = 12  # of each table of exploration
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
# characters that would reorder or break the page: shown as their number
_UNSHOWABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


def write_report(store: Store, run_id: int, path: Path) -> Path:
    """Write one investigation as one HTML file that opens from disk.

    Raises:
        UserError: there is no such run, or the file cannot be written there.
    """
    page = _render(store, run_id)
    with _replaced(path) as file:
        file.write(page)
    return path


def write_csv(store: Store, path: Path) -> Path:
    """Write every hypothesis as a row. A list is joined by spaces; text that a spreadsheet would run gets a ' in front.

    Raises:
        UserError: the file cannot be written there.
    """
    with _replaced(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for entry in store.hypotheses():
            row = documents.entry_line(entry)
            writer.writerow([_cell(row[column]) for column in COLUMNS])
    return path


def write_jsonl(store: Store, path: Path) -> Path:
    """Write every hypothesis as a line of JSON.

    Raises:
        UserError: the file cannot be written there.
    """
    with _replaced(path) as file:
        for entry in store.hypotheses():
            file.write(json.dumps(documents.entry_line(entry), allow_nan=False) + "\n")
    return path


def by_quantile(prompts: list[dict[str, Any]], how_many: int = _PROMPTS_SHOWN) -> list[tuple[str, dict[str, Any]]]:
    """Prompts spread evenly over the main effect, the worst first, each with the quantile that it stands for."""
    ranked = sorted(prompts, key=charts.main_effect)
    last = len(ranked) - 1
    names = {0.0: "worst", 0.5: "median", 1.0: "best"}
    chosen: dict[int, str] = {}
    for k in range(how_many):
        share = k / (how_many - 1)
        if ranked:
            chosen.setdefault(round(share * last), names.get(share, charts.percent(share)))
    return [(name, ranked[place]) for place, name in chosen.items()]


def _render(store: Store, run_id: int) -> str:
    run = documents.run_document(store, run_id)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("lakatos.experiments_db", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: "" if value is None else value,
    )
    environment.filters |= {
        "number": _exactly(charts.number),
        "signed": _exactly(charts.signed),
        "percent": _exactly(charts.percent),
        "claim_in_words": lambda record: in_words(CLAIM.validate_python(record["claim"]), record["behaviour"]),
        "by_quantile": by_quantile,
        "moment": _moment,
        "exact_json": lambda value: json.dumps(value, indent=1, ensure_ascii=False),
    }
    explored = run["explored"] or {}
    page = environment.get_template("report.html").render(
        run=run,
        study_counts=asdict(store.counts()),
        charts=charts,
        scale=charts.common_scale(run["hypotheses"]),
        heat_map=charts.heat_map(documents.heat_map(run), explored.get("attributions", [])),
        explored=explored,
        rows_shown=_ROWS_SHOWN,
        css=Markup(resources.files(_TEMPLATES).joinpath("report.css").read_text("utf-8")),
    )
    return _UNSHOWABLE.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", page)


def _exactly(form: Callable[..., str]) -> Callable[..., Any]:
    """A number as people read it, with all its digits beside it for whoever parses the page."""

    def show(value: float | None, *how: Any, **more: Any) -> Any:
        shown = form(value, *how, **more)
        return shown if value is None else Markup('<data value="{}">{}</data>').format(repr(value), shown)

    return show


def _moment(at: str) -> str:
    return at[:19].replace("T", " ") + " UTC"


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        value = " ".join(value)
    if isinstance(value, str) and value.startswith(_FORMULA):
        return "'" + value
    return value


@contextmanager
def _replaced(path: Path) -> Iterator[TextIO]:
    """A file that takes the place of `path` when all is written, and leaves no trace if it is not."""
    target = path.expanduser()
    try:
        if target.exists() and not target.is_file() and not target.is_dir():  # a pipe or a device: nothing to replace
            with target.open("w", encoding="utf-8", newline="") as file:
                yield file
            return
        target = target.resolve()  # a link stays a link
        draft = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        try:
            with draft.open("w", encoding="utf-8", newline="") as file:
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
