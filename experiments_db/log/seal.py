"""What the log was at a moment, written where its writer cannot change it.

A cheat who computes every digest and the whole chain anew leaves no trace in the log. A seal is one line of a file that
belongs under version control, or anywhere else beyond the writer's reach: the number and the hash of the newest ledger
entry, how many rows each table had, and the time. The hash stands for every row up to there, whatever it says. So any
row that was changed, added or taken away before a seal is found. So is a row that was written later and says that it
was written before. What was never sealed, nothing holds.

    {"sealed_at": "2026-05-04T10:11:12+00:00", "entries": 812, "head": "sha256:...", "rows": {"studies": 1, ...}}
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import sqlalchemy as sa
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from lakatos.experiments_db.log import tables as m
from lakatos.experiments_db.log.reader import Reader
from lakatos.experiments_db.log.row import GENESIS
from lakatos.tools.errors import UserError

_AT_ONCE = timedelta(seconds=60)  # a row is dated before it is committed: so much earlier it may say it was


class Seal(BaseModel):
    """One line of a seal file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sealed_at: AwareDatetime
    entries: int = Field(ge=0)  # number of the newest ledger entry
    head: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")  # its hash
    rows: dict[str, int]  # table -> rows

    def __str__(self) -> str:
        return f"the seal of {self.sealed_at.isoformat(timespec='seconds')}"


def make_seal(log: Reader) -> Seal:
    """A seal of the log as it is now."""
    with log.snapshot() as log:
        newest = sa.select(m.LedgerEntry.id).order_by(m.LedgerEntry.id.desc()).limit(1)
        number = [entry for (entry,) in log.rows_of(newest)]
        rows = {t.__tablename__: log.rows_of(sa.select(sa.func.count()).select_from(t))[0][0] for t in m.CHAINED}
        return Seal(sealed_at=datetime.now(UTC), entries=number[0] if number else 0, head=log.ledger_head(), rows=rows)


def seal_file(database: str) -> Path:
    """The seal file that belongs to a database file: beside it.

    Raises:
        UserError: the database is no file.
    """
    if "://" in database and not database.startswith("sqlite:///"):
        raise UserError(f"{database} is no file that a seal could lie beside: name one with --file.")
    return Path(f"{database.removeprefix('sqlite:///')}.seal")


def append_seal(path: Path, seal: Seal) -> None:
    """Add a line to a seal file, making the file if need be.

    Raises:
        UserError: it cannot be written, or is no seal file.
    """
    if path.exists():
        read_seals(path)  # appending to another file would spoil it
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(seal.model_dump_json() + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise UserError(f"Cannot write the seal to {path}: {error.strerror}. --file names another place.") from error


def read_seals(path: Path) -> list[Seal]:
    """The seals of a file, in its order.

    Raises:
        UserError: it cannot be read, or a line is no seal; names the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"Cannot read the seals in {path}: {error}. `lakatos seal` makes such a file.") from error
    seals = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                seals.append(Seal.model_validate_json(line))
            except ValidationError as error:
                first = error.errors()[0]
                where = ".".join(map(str, first["loc"])) or "the line"
                raise UserError(f"{path}, line {number} is no seal: {where}: {first['msg']}") from error
    if not seals:
        raise UserError(f"{path} holds no seal.")
    return seals


def broken_seals(log: Reader, seals: Sequence[Seal]) -> list[str]:
    """What the log says otherwise than it did when it was sealed; [] where nothing does."""
    with log.snapshot() as log:
        return list(_broken(log, seals))


def _broken(log: Reader, seals: Sequence[Seal]) -> Iterator[str]:
    for earlier, later in pairwise(seals):
        if later.sealed_at < earlier.sealed_at or later.entries < earlier.entries:
            yield f"{later} follows {earlier}, which is of a later time or of a longer log"
    ledger = sa.select(m.LedgerEntry.id, m.LedgerEntry.entry_hash, m.LedgerEntry.rows).order_by(m.LedgerEntry.id)
    entries = log.rows_of(ledger)
    sealed, now = {seal.entries for seal in seals}, Counter[str]()
    state = {0: (GENESIS, Counter[str]())}  # entry -> its hash, and the rows of each table up to there
    for number, entry_hash, rows in entries:
        now.update(row[0] for row in rows)
        if number in sealed:
            state[number] = entry_hash, now.copy()
    for seal in seals:
        if seal.entries not in state:
            yield f"ledger: {seal} is of {seal.entries} entries, and there are {len(entries)}: the log was cut short"
            continue
        head, counts = state[seal.entries]
        counted = [f"{table}: {n} then, {counts[table]} now" for table, n in seal.rows.items() if n != counts[table]]
        if counted or head != seal.head:
            more = f" ({'; '.join(counted)})" if counted else ""
            yield f"ledger row {seal.entries}: is not what {seal} holds: rows before it were changed{more}"
    yield from _backdated(log, seals, [(number, rows) for number, _, rows in entries])


def _backdated(log: Reader, seals: Sequence[Seal], entries: Sequence[tuple[int, list[list[object]]]]) -> Iterator[str]:
    """Rows that were appended after a seal and say that they were there before."""
    times = {table.__tablename__: dict(log.rows_of(sa.select(table.id, table.at))) for table in m.CHAINED}
    waiting = sorted(seals, key=lambda seal: seal.entries, reverse=True)
    latest: Seal | None = None  # of those made before the entry
    for number, rows in entries:
        while waiting and waiting[-1].entries < number:
            seal = waiting.pop()
            latest = seal if latest is None or seal.sealed_at > latest.sealed_at else latest
        for table, key, _ in rows if latest else ():
            at = times.get(str(table), {}).get(key)
            if latest and at is not None and _time(at) < latest.sealed_at - _AT_ONCE:
                yield f"{table} row {key}: says it was written at {at}, and {latest} has no such row"


def _time(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
