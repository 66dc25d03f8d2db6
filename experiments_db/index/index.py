"""The index of a log: what lists, searches and pages ask for, without judging the study at every request.

Verdicts are functions of all rows. The index holds what followed from them when it last read the log: it is a file
beside it that can be thrown away at any time (`file.py`), brought up to date by what the ledger says is new
(`refresh.py`). Its numbers are those of `lakatos log --json`, to the last digit.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from lakatos.experiments_db.documents import Cell
from lakatos.experiments_db.index.corrections import Corrections
from lakatos.experiments_db.index.query import NOT_REVIEWED, Query, limits, order, selection
from lakatos.experiments_db.index.records import Freshness, Page
from lakatos.experiments_db.index.refresh import NOTHING, read_state
from lakatos.experiments_db.index.upkeep import UpToDate
from lakatos.experiments_db.log import Counts, Entry
from lakatos.experiments_db.store import Store
from lakatos.experiments_db.verdict import OFFICIAL, STATES, Corrected, Interval, Judgement
from lakatos.tools.errors import NotThere, UserError

__all__ = ["Freshness", "Index", "Page", "Query"]

_MOST_NUMBERS: Final = 2000  # counts, facets and cells that are remembered
_FACETS: Final = ("state", "kind", "behaviour", "model", "run", "proposer")

T = TypeVar("T")


class Index(UpToDate):
    """What is known of one study's hypotheses.

    Args:
        store: the log.
        path: the file; see `IndexFile`.
    """

    def __init__(self, store: Store, path: Path | None = None) -> None:
        super().__init__(store, path)
        self._corrections = Corrections(store, lambda: (self._state() or NOTHING).evidence)
        self._known: dict[str, tuple[tuple[str, int], Any]] = {}  # counts, facets, cells: with the revision they are of
        self._known_intervals: dict[int, Interval] = {}

    def _prepare(self) -> None:
        self.counts(), self.facets(), self.cells(Query())  # what every first page shows

    # -- lists -------------------------------------------------------------------------------------------------------

    def page(self, query: Query) -> Page:
        """Hypotheses that a query asks for: `documents.entry_line` of each.

        Raises:
            UserError: no such order or component.
        """
        chosen, ordered, (most, after) = selection(query), order(query), limits(query)

        def find(index: sqlite3.Connection) -> tuple[int, _Lines]:
            found = index.execute(
                f"SELECT h.id FROM {chosen.tables} WHERE {chosen.where} ORDER BY {ordered} LIMIT ? OFFSET ?",
                (*chosen.values, most, after),
            )
            ids = [key for (key,) in found]
            total = index.execute(f"SELECT COUNT(*) FROM {chosen.tables} WHERE {chosen.where}", chosen.values)
            return total.fetchone()[0], _lines(index, ids)

        total, found = self._ask(find)
        return Page(self._with_intervals(found), total, max(1, query.page), most)

    def lines(self, ids: Sequence[int]) -> list[dict[str, Any]]:
        """`documents.entry_line` of these hypotheses, in their order, as far as they are there."""
        return self._with_intervals(self._ask(lambda index: _lines(index, ids)))

    def _with_intervals(self, found: _Lines) -> list[dict[str, Any]]:
        confirmed = [row["id"] for row in found.rows if row["state"] == "confirmed"]
        intervals = self._intervals(confirmed, found.level)
        for row in found.rows:
            if interval := intervals.get(row["id"]):
                row |= {"low": interval.low, "high": interval.high, "level": interval.level}
        return found.rows

    def ask(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What a query of your own finds in the index, in the state of one moment."""
        return self._ask(work)

    def spent(self) -> dict[str, Any]:
        """What the study has cost; see `Reader.spent`."""
        total = "SELECT COALESCE(SUM(forwards), 0.0) FROM hypotheses"
        forwards = self._ask(lambda index: index.execute(total).fetchone()[0])
        spent = self.store.spent()
        return {"forwards": forwards + spent.pop("explored"), **spent}

    def cells(self, query: Query) -> list[Cell]:
        """The places that the hypotheses of a query are about, in the order of layers."""
        chosen = selection(query)
        select = (
            "SELECT c.layer, c.kind, c.number, h.state, COUNT(*), h.fraction, MAX(ABS(h.fraction)) "
            f"FROM {chosen.tables} JOIN components c ON c.hypothesis = h.id "
            f"WHERE c.first AND {chosen.where} GROUP BY c.layer, c.kind, c.number, h.state"
        )

        def find(index: sqlite3.Connection) -> list[Any]:
            return [list(row[:6]) for row in index.execute(select, chosen.values)]

        found: dict[tuple[int, str, int | None], tuple[dict[str, int], list[float]]] = {}
        key = None if query.review or query.reviewer else f"cells {query.filters}"
        for layer, kind, number, state, count, fraction in self._memo(key, find):
            counts, fractions = found.setdefault((layer, kind, number), ({}, []))
            counts[state] = count
            fractions += [] if fraction is None else [fraction]
        return [
            Cell(*place, dict(sorted(counts.items(), key=_by_state)), max(fractions, key=abs, default=None))
            for place, (counts, fractions) in sorted(found.items(), key=lambda x: (x[0][0], x[0][1], x[0][2] or 0))
        ]

    def facets(self) -> dict[str, list[tuple[Any, int]]]:
        """For each filter of a query, the values that there are and how many hypotheses have them."""

        def values(index: sqlite3.Connection, names: Sequence[str]) -> dict[str, list[Any]]:
            select = "SELECT {0}, COUNT(*) FROM hypotheses GROUP BY {0}"
            return {name: index.execute(select.format(name)).fetchall() for name in names}

        def reviewed(index: sqlite3.Connection) -> dict[str, list[Any]]:
            authors = index.execute("SELECT author, COUNT(*) FROM reviewers GROUP BY author")
            return {**values(index, ["review"]), "reviewer": authors.fetchall()}

        lasting = self._memo("facets", lambda index: values(index, _FACETS))
        found = {name: [(v, n) for v, n in rows] for name, rows in (lasting | self._memo(None, reviewed)).items()}
        found["state"].sort(key=_by_state)
        found["review"] = [(NOT_REVIEWED if value is None else value, n) for value, n in found["review"]]
        return found

    def counts(self, run: int | None = None, behaviour: str | None = None) -> Counts:
        """Denominators of the study, or of a run, or of all runs about a behaviour: as `Reader.counts`."""
        conditions = [name for name, value in (("run", run), ("behaviour", behaviour)) if value is not None]
        values = tuple(value for value in (run, behaviour) if value is not None)
        where = " AND ".join(f"{name} = ?" for name in conditions) or "1"
        of_runs = where.replace("run = ?", "id = ?")

        def find(index: sqlite3.Connection) -> list[int]:
            proposals = index.execute(
                f"SELECT COALESCE(SUM(proposed), 0), COALESCE(SUM(refused), 0) FROM runs WHERE {of_runs}", values
            )
            hypotheses = index.execute(
                "SELECT COUNT(*), COUNT(stop), COUNT(*) FILTER (WHERE state = 'confirmed'), "
                "COUNT(DISTINCT CASE WHEN state = 'confirmed' THEN \"group\" END), "
                "COUNT(*) FILTER (WHERE state = 'refuted'), COUNT(*) FILTER (WHERE state = 'inconclusive'), "
                f"COUNT(*) FILTER (WHERE stop = 'crashed') FROM hypotheses WHERE {where}",
                values,
            )
            return [*proposals.fetchone(), *hypotheses.fetchone()]

        return Counts(*self._memo(f"counts {where} {values!r}", find))

    # -- one hypothesis ----------------------------------------------------------------------------------------------

    def judgement(self, hypothesis_id: int) -> Judgement:
        """Where a hypothesis stands.

        Raises:
            UserError: there is no such hypothesis.
        """
        select = 'SELECT state, "group", contradicted_by, replicated_by FROM hypotheses WHERE id = ?'
        row = self._ask(lambda index: index.execute(select, (hypothesis_id,)).fetchone())
        if row is None:
            raise self._nothing(str(hypothesis_id))
        return Judgement(*row)

    def level(self) -> float:
        """The confidence level of confirmed claims' intervals."""
        return self._ask(lambda index: (read_state(index) or NOTHING).level)

    def entry(self, key: str) -> Entry:
        """One hypothesis by its number or by the beginning of its claim hash.

        Raises:
            UserError: none, or several.
        """
        number = self._number(key)
        entry = self.store.entries({number: self.judgement(number)}, [number])[0]
        if entry.state != "confirmed":
            return entry
        level = self.level()
        return replace(entry, selected=self._intervals([number], level)[number])

    def entries(self, runs: Sequence[int], most: int) -> list[Entry]:
        """The hypotheses of these runs, in slot order; of more than so many, confirmed ones and then the newest."""
        select = (
            'SELECT id, state, "group", contradicted_by, replicated_by FROM hypotheses '
            "WHERE run IN (SELECT value FROM json_each(?)) ORDER BY state != 'confirmed', slot DESC LIMIT ?"
        )
        found = self._ask(lambda index: index.execute(select, (json.dumps(list(runs)), most)).fetchall())
        return self.store.entries({key: Judgement(*rest) for key, *rest in found}, [row[0] for row in found])

    def _number(self, key: str) -> int:
        short = key.removeprefix("sha256:").lower()
        if key.isascii() and key.isdigit() and len(key) < 10:
            select = "SELECT id FROM hypotheses WHERE id = ?"
            if self._ask(lambda index: index.execute(select, (int(key),)).fetchone()):
                return int(key)
        if len(short) >= 4 and short.isascii() and short.isalnum():
            select = "SELECT id FROM hypotheses WHERE claim_hash >= ? AND claim_hash < ?"
            bounds = (f"sha256:{short}", f"sha256:{short}~")
            found = self._ask(lambda index: index.execute(select, bounds).fetchall())
            if len(found) > 1:
                raise UserError(f"{len(found)} hypotheses match {key!r}; `lakatos log` lists their numbers and hashes.")
            if found:
                return int(found[0][0])
        raise self._nothing(key)

    def _nothing(self, key: str) -> NotThere:
        known = self.freshness()
        if known.current:
            return NotThere(f"There is no hypothesis {key!r} here; `lakatos log` lists their numbers and hashes.")
        return NotThere(
            f"No hypothesis {key!r} is known yet: the index read {known.read:,} of {known.now:,} ledger entries. "
            "Reload in a moment."
        )

    # -- corrections -------------------------------------------------------------------------------------------------

    def corrected(
        self, method: str = OFFICIAL, alpha: float | None = None, family: str = "study", wait: bool = False
    ) -> Corrected | None:
        """A correction over all hypotheses: see `lakatos.experiments_db.verdict.views`. None: it is being computed.

        Args:
            alpha: the study's own if None.
            wait: come back when it is computed, however large the study is.

        Raises:
            UserError: no such method or family, or alpha is none.
        """
        return self._corrections.of(method, alpha, family, at_once=wait or self._is_small())

    # -- what is remembered ------------------------------------------------------------------------------------------

    def _intervals(self, ids: Sequence[int], level: float) -> dict[int, Interval]:
        """The intervals of confirmed claims at the study's level, worked out once for each level."""
        kept = self._known_intervals
        found = {key: kept[key] for key in ids if key in kept and kept[key].level == level}
        missing = [key for key in ids if key not in found]
        if not missing:
            return found
        judged = dict.fromkeys(missing, Judgement("confirmed", 0))
        fresh = {
            entry.id: interval
            for entry in self.store.entries(judged, missing)
            if (interval := self.store.interval(entry, level)) is not None
        }
        kept |= fresh
        return found | fresh

    def _memo(self, key: str | None, find: Callable[[sqlite3.Connection], Any]) -> Any:
        """What `find` finds, worked out once for each revision of the index. Every time without a key."""
        if key is None:
            return self._ask(find)

        def look(index: sqlite3.Connection) -> tuple[tuple[str, int], Any]:
            read = read_state(index) or NOTHING
            revision, value = self._known.get(key, (None, None))
            return (read.born, read.revision), value if revision == (read.born, read.revision) else find(index)

        if len(self._known) >= _MOST_NUMBERS:
            self._known = {}
        revision, value = self._ask(look)
        self._known[key] = revision, value
        return value


class _Lines(NamedTuple):
    """Rows as they are kept, and the level of the intervals of those that are confirmed."""

    rows: list[dict[str, Any]]
    level: float


def _lines(index: sqlite3.Connection, ids: Sequence[int]) -> _Lines:
    lines = dict(_among(index, "SELECT id, line FROM lines WHERE id", ids))
    level = (read_state(index) or NOTHING).level
    return _Lines([json.loads(lines[key]) for key in ids if key in lines], level)


def _among(index: sqlite3.Connection, select: str, ids: Sequence[int]) -> list[Any]:
    return index.execute(f"{select} IN (SELECT value FROM json_each(?))", (json.dumps(list(ids)),)).fetchall()


def _by_state(item: tuple[str, int]) -> int:
    return STATES.index(item[0])
