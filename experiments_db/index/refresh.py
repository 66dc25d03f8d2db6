"""Bringing the index up to date with the log: what was appended since tells which rows may have changed.

A batch changes the numbers of its hypothesis, a review its standing. A registration or a frozen test may change what
the study says of any hypothesis: then all are judged again, and only those rows are written anew of which something
changed. All of it is read from the log in the state of one moment.
"""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from secrets import token_hex
from typing import Any, Final

from lakatos.experiments_db.documents import KEPT, entry_line
from lakatos.experiments_db.index.seal import MODULUS, Seal
from lakatos.experiments_db.log import GENESIS, Entry, now
from lakatos.experiments_db.store import StudyReader
from lakatos.experiments_db.verdict import Judgement, selected_level
from lakatos.tools.claim import in_words
from lakatos.tools.component import Component

AT_ONCE: Final = 500  # ids in one query, rows in one insert
JUDGED: Final = ("hypotheses", "evidence")  # what an append to makes the study be judged again

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Read:
    """How far an index has read its log."""

    ledger: int  # id of the last entry that it knows
    hash: str  # of that entry
    study: str
    at: str
    revision: int  # grows with every change that counts and cells may show; reviews change neither
    evidence: int  # the ledger entry that last touched what corrections are made of
    level: float  # `verdict.selected_level`
    born: str  # drawn when it was begun: revisions of another beginning are others
    weight: str  # of all rows; see `seal.py`

    @property
    def told(self) -> tuple[Any, ...]:
        """What is sealed."""
        return astuple(self)


NOTHING: Final = Read(0, GENESIS, "", "", 0, 0, 1.0, "", "0")


@dataclass
class Appended:
    """What the ledger says was appended since: ids by table."""

    head: tuple[int, str]
    anew: bool = False  # the index is of another log: everything is to be read
    entries: int = 0
    judged: int = 0  # the last entry with something that makes the study be judged again
    ids: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))

    @property
    def judges(self) -> bool:
        """Whether the study is to be judged again."""
        return self.anew or self.judged > 0


def read_state(index: sqlite3.Connection) -> Read | None:
    """How far the index has read; None: it is empty."""
    row = index.execute("SELECT * FROM meta").fetchone()
    return Read(*row[:-1]) if row else None


def appended(log: StudyReader, known: Read | None) -> Appended:
    """What was appended since the index last read."""
    found = Appended(log.newest_entry())
    if known is None or known.study != log.study.digest or not _follows(log, known):
        found.anew, found.judged = True, found.head[0]
        return found
    for number, rows in log.appended_since(known.ledger):
        found.entries += 1
        for table, key, _ in rows:
            if table in JUDGED:
                found.judged = number
            if table != "effects":
                found.ids[table].append(key)
    return found


def update(
    index: sqlite3.Connection, log: StudyReader, seal: Seal, progress: Progress = lambda _done, _of: None
) -> None:
    """Bring the index to the state of the log. In one transaction of the index and one of the log."""
    known = read_state(index)
    if known and (known.ledger, known.hash) == log.newest_entry() and known.study == log.study.digest:
        return
    new = appended(log, known)
    known = known or NOTHING
    if new.anew:
        for table in ("hypotheses", "lines", "components", "reviewers", "runs", "search", "meta"):
            index.execute(f"DELETE FROM {table}")
    level = known.level
    batched, changed = _touched(log, new)
    before = _judgements(index, None if new.judges else changed)
    judged = {key: _begun(judgement) if key in batched else judgement for key, judgement in before.items()}
    if new.judges:
        slots = log.slots()
        known_all = all(slot.id in before for slot in slots)
        judged = log.judgements(slots, {key: j.group for key, j in before.items()} if known_all else None)
        level = selected_level(judged.values(), log.study.alpha)
        changed |= {key for key, judgement in judged.items() if before.get(key) != judgement}
    runs = _runs_touched(log, new)
    weight = (0 if new.anew else int(known.weight, 16)) - seal.weigh_runs(index)
    _write_runs(index, log, runs)
    weight += seal.weigh_runs(index)
    order = sorted(key for key in changed if key in judged)
    differs = bool(new.anew or runs)
    for done in range(0, len(order), AT_ONCE):
        progress(done, len(order))
        some = order[done : done + AT_ONCE]
        weight -= seal.weigh(index, [key for key in some if key in before])
        differs |= _write(index, log, judged, some, before)
        weight += seal.weigh(index, some)
    progress(len(order), len(order))
    read = Read(
        *new.head,
        study=log.study.digest,
        at=now(),
        revision=known.revision + differs,
        evidence=new.judged or known.evidence,
        level=level,
        born=token_hex(8) if new.anew else known.born,
        weight=f"{weight % MODULUS:x}",
    )
    index.execute("DELETE FROM meta")
    marks = ", ".join("?" * (len(read.told) + 1))
    index.execute(f"INSERT INTO meta VALUES ({marks})", (*read.told, seal.close(read.told)))


def _follows(log: StudyReader, known: Read) -> bool:
    """Whether the log still has the entry that the index read last: it is the log that the index is of."""
    if known.ledger == 0:
        return known.hash == GENESIS
    return log.entry_hash(known.ledger) == known.hash


def _judgements(index: sqlite3.Connection, ids: Collection[int] | None) -> dict[int, Judgement]:
    """Where these hypotheses (all, if None) stood when the index last read."""
    some = "" if ids is None else "WHERE id IN (SELECT value FROM json_each(?))"
    select = f'SELECT id, state, "group", contradicted_by, replicated_by FROM hypotheses {some}'
    rows = index.execute(select, () if ids is None else (json.dumps(list(ids)),))
    return {key: Judgement(*rest) for key, *rest in rows}


def _begun(judgement: Judgement) -> Judgement:
    """What a batch makes of a judgement; evidence would make the study be judged again."""
    return replace(judgement, state="testing") if judgement.state == "registered" else judgement


def _touched(log: StudyReader, new: Appended) -> tuple[set[int], set[int]]:
    """The hypotheses of which a batch was appended, and those of which anything was."""
    batched = set(_of_ids(log.batched, new.ids["batches"]))
    said = {*_of_ids(log.reviewed, new.ids["reviews"]), *_of_ids(log.frozen, new.ids["evidence"])}
    return batched, batched | said


def _runs_touched(log: StudyReader, new: Appended) -> set[int]:
    """The runs of the study of which something is counted anew: what was proposed and refused."""
    mine = set(log.run_ids())
    if new.anew:
        return mine
    refused = _of_ids(log.proposals_refused, new.ids["refusals"])
    runs = _of_ids(log.runs_of_proposals, [*new.ids["proposals"], *refused])
    return mine & {*runs, *new.ids["runs"]}


def _of_ids(find: Callable[[Sequence[int]], list[int]], ids: Sequence[int]) -> Iterator[int]:
    """What the rows with these ids are about."""
    for some in _parts(ids):
        yield from find(some)


def _parts(ids: Sequence[int]) -> Iterable[Sequence[int]]:
    return (ids[start : start + AT_ONCE] for start in range(0, len(ids), AT_ONCE))


def _write_runs(index: sqlite3.Connection, log: StudyReader, runs: Collection[int]) -> None:
    for some in _parts(sorted(runs)):
        index.executemany("INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?)", log.proposed_and_refused(some))


def _write(
    index: sqlite3.Connection,
    log: StudyReader,
    judged: Mapping[int, Judgement],
    ids: Sequence[int],
    before: Mapping[int, Judgement],
) -> bool:
    """Write the rows of some hypotheses anew; whether anything differs that counts and cells show."""
    old = [(key,) for key in ids if key in before]
    counted = _counted(index, ids)
    for table, column in (("search", "rowid"), ("components", "hypothesis"), ("reviewers", "hypothesis")):
        index.executemany(f"DELETE FROM {table} WHERE {column} = ?", old)
    entries = log.entries(judged, ids)
    lines = [entry_line(entry) for entry in entries]
    marks = ", ".join("?" * len(KEPT))
    index.executemany(f"INSERT OR REPLACE INTO hypotheses VALUES ({marks})", map(_row, lines))
    index.executemany("INSERT OR REPLACE INTO lines VALUES (?, ?)", ((x["id"], json.dumps(x)) for x in lines))
    index.executemany("INSERT INTO components VALUES (?, ?, ?, ?, ?, ?)", (c for x in lines for c in _components(x)))
    said = sorted({(review.hypothesis_id, review.author) for review in log.reviews(ids)})
    index.executemany("INSERT INTO reviewers VALUES (?, ?)", said)
    bodies = ((entry.id, _body(entry, line)) for entry, line in zip(entries, lines, strict=True))
    index.executemany("INSERT INTO search (rowid, body) VALUES (?, ?)", bodies)
    return _counted(index, ids) != counted


def _counted(index: sqlite3.Connection, ids: Sequence[int]) -> list[Any]:
    """Of some rows, the columns that may change and that something is counted by."""
    select = 'SELECT id, state, "group", stop, fraction FROM hypotheses WHERE id IN (SELECT value FROM json_each(?))'
    return index.execute(select, (json.dumps(list(ids)),)).fetchall()


def _row(line: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(line[name] for name in KEPT)


def _components(line: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    """Rows of `components`; `first` of those that differ in position only."""
    seen = set()
    for text in line["components"]:
        place = Component.parse(text)
        cell = (place.layer, place.kind, place.index)
        position = None if place.position is None else str(place.position)
        yield line["id"], *cell, position, cell not in seen
        seen.add(cell)


def _body(entry: Entry, line: Mapping[str, Any]) -> str:
    """Everything that a search finds a hypothesis by."""
    names = ("text", "kind", "role", "behaviour", "model", "proposer", "reading", "stop", "error", "claim_hash")
    parts = [*(line[name] for name in names), in_words(entry.claim, entry.behaviour), entry.rationale, line["review"]]
    return "\n".join(part for part in parts if part).replace("\0", " ")
