"""The chain: entries follow one another, name rows that are there, and rows follow one another in ids and in time."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

from lakatos.experiments_db.log import GENESIS
from lakatos.experiments_db.log import tables as m
from lakatos.experiments_db.log.row import Base, Row
from lakatos.experiments_db.verify.log import WholeLog, names

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00")


def chain_lies(log: WholeLog) -> Iterator[str]:
    """What of the ledger does not follow, and what of the rows is not what it names."""
    previous = GENESIS
    chained: set[tuple[str, int]] = set()
    for number, entry in enumerate(log.entries, 1):
        if entry.id != number or entry.previous != previous or entry.compute_hash() != entry.entry_hash:
            yield f"ledger row {entry.id}: does not follow from the entry before it"
        previous = entry.entry_hash
        if len(names(entry)) != len(entry.rows):
            yield f"ledger row {entry.id}: names rows in another form than table, id, digest"
            continue
        for table, key, digest in entry.rows:
            if (table, key) in chained:
                yield f"ledger row {entry.id}: names {table} row {key} a second time"
            chained.add((table, key))
            yield from _row(log, table, key, digest)
    if log.ledger.problem is not None:
        return
    for name, table in log.tables.items():
        for key in sorted({*table.rows, *table.unreadable}):
            if (name, key) not in chained:
                yield f"{name} row {key}: was not appended through the ledger"


def order_lies(log: WholeLog) -> Iterator[str]:
    """Holes in the ids, rows before what they speak of, times that run backwards."""
    newest: dict[str, int] = defaultdict(int)
    before = ""
    for name, key in log.appended:
        if key != newest[name] + 1 and name in log.tables:
            yield f"{name} row {key}: follows row {newest[name]}; ids are given without holes, in order"
        newest[name] = key
        row = log[name].get(key) if name in log.tables else None
        if row is None:
            continue
        yield from _references(log, row)
        if not _TIME.fullmatch(row.at):
            yield f"{name} row {key}: its time {row.at!r} is none"
        elif row.at < before:
            yield f"{name} row {key}: says that it was appended at {row.at}, after a row of {before}"
        else:
            yield from _earlier(log, row, before)
            before = row.at


def _row(log: WholeLog, table: str, key: int, digest: str) -> Iterator[str]:
    if table not in log.tables:
        yield f"ledger: names {table} row {key}, and there is no such table"
        return
    stored = log.tables[table]
    if stored.problem is not None or key in stored.unreadable:
        return
    row = stored.rows.get(key)
    if row is None:
        yield f"{table} row {key}: is in the ledger and not in the table"
        return
    try:
        derived = row.compute_digest()
    except (ValueError, RecursionError) as error:
        yield f"{table} row {key}: has no digest ({error}){_where(row)}"
        return
    if derived != digest or row.digest != digest:
        yield f"{table} row {key}: is not what was appended{_where(row)}"


def _where(row: Row) -> str:
    if isinstance(row, m.Effect):
        return f" (batch {row.batch_id}, prompt {row.uid})"
    if isinstance(row, m.Prompt):
        return f" (draw {row.draw_id}, prompt {row.uid})"
    return f" (hypothesis {row.hypothesis_id})" if isinstance(row, m.Batch | m.EvidenceRow | m.Extension) else ""


def _references(log: WholeLog, row: Row) -> Iterator[str]:
    """A row speaks of rows that were appended before it."""
    own = log.place(row)
    for column in Base.metadata.tables[row.__tablename__].columns:
        for link in column.foreign_keys:
            target = (link.column.table.name, getattr(row, column.name))
            if target[1] is None or (target in log.appended and log.appended[target][1] < own):
                continue
            yield f"{row.__tablename__} row {row.id}: speaks of {target[0]} row {target[1]}, which was not there yet"


def _earlier(log: WholeLog, row: Row, before: str) -> Iterator[str]:
    """The times inside a row lie between the row before it and itself."""
    here = f"{row.__tablename__} row {row.id}"
    if isinstance(row, m.HypothesisRow) and not before <= row.registered_at <= row.at:
        yield f"{here}: says that it was registered at {row.registered_at}, and was appended at {row.at}"
    if isinstance(row, m.Batch | m.Draw):
        yield from _drawn(log, row)


def _drawn(log: WholeLog, row: m.Batch | m.Draw) -> Iterator[str]:
    """Drawn after the stream was opened or the claim was registered, and not before what has a lower number."""
    here = f"{row.__tablename__} row {row.id}"
    if isinstance(row, m.Draw):
        stream = log["streams"].get(row.stream_id)
        earlier = [d.drawn_at for d in log.draws_of.get(row.stream_id, []) if d.number < row.number]
        known = max([*earlier, stream.at if stream else ""])
    else:
        claim = log["hypotheses"].get(row.hypothesis_id)
        batches = [b.drawn_at for b in log.batches_of.get(row.hypothesis_id, []) if b.number < row.number]
        known = max([*batches, claim.registered_at if claim else ""])
    if not known <= row.drawn_at <= row.at:
        yield f"{here}: says that it was drawn at {row.drawn_at}: after {known}, before {row.at} would be true"
