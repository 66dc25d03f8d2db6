"""The only writer: appends rows and chains them; what `reading.py` does with them, it does too.

Every append is one transaction that ends in a ledger entry; two processes that append at once follow one another,
because no two entries may name the same predecessor. Nothing here updates or deletes, and the database would refuse.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import secrets
from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from lakatos.experiments_db import models as m
from lakatos.experiments_db.database import open_engine
from lakatos.experiments_db.reading import GENESIS, Reader
from lakatos.experiments_db.unreadable import reading
from lakatos.tools.errors import ProposalError, UserError
from lakatos.tools.evidence import Evidence, Values

DEFAULT_ALPHA = 0.05
STUDY = "main"
_ATTEMPTS = 20
_NEWEST = sa.select(m.LedgerEntry.id, m.LedgerEntry.entry_hash).order_by(m.LedgerEntry.id.desc()).limit(1)
_NEWEST_ROWS = sa.select(m.LedgerEntry.rows).order_by(m.LedgerEntry.id.desc()).limit(1)

T = TypeVar("T")
R = TypeVar("R", bound=m.Row)


def open_store(
    url: str,
    *,
    study: str | None = None,
    run: int | None = None,
    create: bool = True,
    alpha: float = DEFAULT_ALPHA,
    secret_seed: str | None = None,
) -> Store:
    """Open a database, making it if need be.

    Args:
        url: a path or a SQLAlchemy URL.
        study: the family over which error is controlled; by default `main`, or the only one that there is.
        run: open the study of this run instead.
        create: whether to make a database, or a study, that does not exist.
        alpha: the false discovery rate of a new study; an existing one keeps its own.
        secret_seed: derive a new study's secret from this instead of drawing it. Then whoever knows the seed can
            know the confirmation prompts beforehand; the log says so.

    Raises:
        UserError: no such study; or see `lakatos.experiments_db.database.open_engine`.
    """
    engine = open_engine(url, create=create)
    if run is not None:
        own = Reader(engine).study_of(run)
        if study not in (None, own):
            raise UserError(f"Run {run} is of the study {own}, not of {study}.")
        study = own
    return Store(engine, study, create, alpha, secret_seed)


def now() -> str:
    """UTC, ISO 8601, microseconds."""
    return _stamp(datetime.now(UTC))


def newest_time(connection: sa.Connection) -> str:
    """When the newest row was appended; empty in an empty log."""
    with reading("The newest ledger row"):
        rows = connection.execute(_NEWEST_ROWS).scalar()
        if not rows:
            return ""
        table, key, _ = rows[-1]
    at: Any = sa.select(sa.column("at")).select_from(sa.table(table)).where(sa.column("id") == key)
    return str(connection.execute(at).scalar() or "")


def _stamp(time: datetime) -> str:
    return time.isoformat(timespec="microseconds")


class StoreError(UserError):
    """The log could not be written: nothing of that step was kept, and the step can be repeated."""


class Append:
    """One append being built: gives each row its id, its time and its digest.

    `session` is for reading: rows are written when all of them are there, table by table in the order of their adding.
    """

    def __init__(self, session: Session, after: str = "") -> None:
        self.session = session
        self.after = after  # the time of the newest row
        self.rows: list[m.Row] = []
        self._contents: list[dict[str, Any]] = []
        self._last: dict[type[m.Row], int] = {}

    def add(self, row: R) -> R:
        """Put a row into this append; its id is known afterwards."""
        table = type(row)
        if table not in self._last:
            self._last[table] = self.session.connection().execute(sa.select(sa.func.max(table.id))).scalar() or 0
        self._last[table] += 1
        row.id = self._last[table]
        row.at = self.now()
        content = row.content()
        row.digest = row.digest_of(content)
        self.rows.append(row)
        self._contents.append({**content, "digest": row.digest})
        return row

    def now(self) -> str:
        """The time, and never one before that of a row that is there: a clock may have been set back."""
        self.after = max(now(), self.after)
        return self.after

    def write(self, connection: sa.Connection) -> None:
        """Insert the rows: those of one table that follow one another go together."""
        whole = zip(self.rows, self._contents, strict=True)
        for table, rows in itertools.groupby(whole, lambda pair: type(pair[0])):
            connection.execute(sa.insert(table), [content for _, content in rows])


class Store(Reader):
    """A study's log."""

    def __init__(
        self,
        engine: sa.Engine,
        study: str | None = None,
        create: bool = True,
        alpha: float = DEFAULT_ALPHA,
        secret_seed: str | None = None,
    ) -> None:
        super().__init__(engine)
        known = {row.name: row for row in self.all(m.Study)}
        if study is None and len(known) > 1 and STUDY not in known:
            raise UserError(f"{engine.url} has the studies {', '.join(known)}: name one with --study.")
        name = study or (next(iter(known)) if len(known) == 1 else STUDY)
        if name not in known and not create:  # who only reads must not found a study: its secret would be another's
            has = f"it has {', '.join(known)}" if known else "nothing has been begun in it"
            raise UserError(f"{engine.url} has no study {name!r}; {has}.")
        self.study = known[name] if name in known else self._founded(name, alpha, secret_seed)

    # -- appending ---------------------------------------------------------------------------------------------------

    def append(self, build: Callable[[Append], T]) -> T:
        """Append what `build` adds, in one transaction, and chain it.

        Raises:
            IntegrityError: a constraint of the database refused a row; nothing was appended.
            StoreError: the disk is full, or the database cannot be written; nothing was appended.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                with (
                    self.engine.connect().execution_options(writes=True, appends=True) as connection,
                    connection.begin(),
                    Session(connection, expire_on_commit=False) as session,
                ):
                    last, previous = connection.execute(_NEWEST).one_or_none() or (0, GENESIS)
                    append = Append(session, newest_time(connection))
                    result = build(append)
                    append.write(connection)
                    rows = [[row.__tablename__, row.id, row.digest] for row in append.rows]
                    entry = m.LedgerEntry(id=last + 1, rows=rows, previous=previous)
                    written = {"id": entry.id, "rows": rows, "previous": previous, "entry_hash": entry.compute_hash()}
                    connection.execute(sa.insert(m.LedgerEntry), written)
                return result
            except IntegrityError as error:
                if "ledger" not in str(error.orig) or attempt == _ATTEMPTS:
                    raise
            except DBAPIError as error:
                raise StoreError(
                    f"Cannot write to {self.engine.url}: {error.orig}. Nothing of this step was kept."
                ) from error
        raise AssertionError("unreachable: the last attempt raises")

    def _founded(self, name: str, alpha: float, secret_seed: str | None) -> m.Study:
        """The study of this name, founded now unless another process has just done so."""

        def build(append: Append) -> m.Study:
            existing = append.session.scalars(sa.select(m.Study).where(m.Study.name == name)).one_or_none()
            seeded = None if secret_seed is None else hashlib.sha256(f"lakatos secret {secret_seed} {name}".encode())
            return existing or append.add(
                m.Study(
                    name=name,
                    alpha=alpha,
                    secret=secrets.token_hex(32) if seeded is None else seeded.hexdigest(),
                    secret_source="random" if seeded is None else "seed",
                )
            )

        return self.append(build)

    def event(
        self, run_id: int, kind: str, payload: dict[str, Any], forwards: float = 0.0, seconds: float = 0.0
    ) -> None:
        """Append something that happened in a run."""
        self.append(
            lambda a: a.add(m.Event(run_id=run_id, kind=kind, payload=payload, forwards=forwards, seconds=seconds))
        )

    def add(self, row: R) -> R:
        """Append one row."""
        return self.append(lambda a: a.add(row))

    def register(
        self,
        row: m.HypothesisRow,
        finish: Callable[[int, str], dict[str, Any]],
        unburned: Collection[str] = (),
    ) -> m.HypothesisRow:
        """Give a claim its slot and freeze its record, before any confirmation prompt exists.

        Args:
            row: everything but slot, time and record.
            unburned: clean prompts that the claim's test may use up, of which this study must have seen no number.
            finish: from the slot and the nonce to the record. The nonce is drawn now, so that not even a copy of the
                database tells beforehand which prompts a claim will get; in a seeded study it follows from the slot.

        Raises:
            Duplicate: the claim is registered already.
            Burned: the list of pairs has been used.
        """

        def build(append: Append) -> m.HypothesisRow:
            twin = append.session.execute(
                sa.select(m.HypothesisRow.id).where(
                    m.HypothesisRow.study_id == row.study_id, m.HypothesisRow.claim_hash == row.claim_hash
                )
            ).scalar()
            if twin is not None:
                raise Duplicate(twin)
            if unburned and self._seen(append.session, set(unburned)):
                raise Burned(row.behaviour)
            slots = sa.select(sa.func.max(m.HypothesisRow.slot)).where(m.HypothesisRow.study_id == row.study_id)
            taken = append.session.execute(slots).scalar() or 0
            fresh = m.HypothesisRow(
                study_id=row.study_id,
                run_id=row.run_id,
                proposal_id=row.proposal_id,
                claim_hash=row.claim_hash,
                kind=row.kind,
                behaviour=row.behaviour,
                behaviour_hash=row.behaviour_hash,
                weights=row.weights,
                subject=row.subject,
                atoms=row.atoms,
                rationale=row.rationale,
                calibration=row.calibration,
                forwards=row.forwards,
                seconds=row.seconds,
                slot=taken + 1,
                record=finish(taken + 1, self._nonce(taken + 1)),
                registered_at=append.now(),
            )
            return append.add(fresh)

        return self.append(build)

    def add_batch(self, batch: m.Batch, effects: Iterable[m.Effect]) -> None:
        """Append a measured batch with its per-prompt effects."""

        def build(append: Append) -> None:
            append.add(batch)
            for effect in effects:
                effect.batch_id = batch.id
                append.add(effect)

        self.append(build)

    def freeze(self, hypothesis_id: int, evidence: Evidence) -> None:
        """Append the evidence of a finished or crashed test."""
        record = evidence.model_dump(mode="json")
        self.add(
            m.EvidenceRow(hypothesis_id=hypothesis_id, e=evidence.e, p=evidence.p, stop=evidence.stop, record=record)
        )

    def _seen(self, session: Session, prompts: set[str]) -> bool:
        """Whether the study has a number of any of these prompts, under whatever name or version of the behaviour."""
        drawn = (
            sa.select(m.Effect.prompt)
            .join(m.Batch, m.Batch.id == m.Effect.batch_id)
            .join(m.HypothesisRow, m.HypothesisRow.id == m.Batch.hypothesis_id)
            .where(m.HypothesisRow.study_id == self.study.id)
        )
        return any(prompt["clean"] in prompts for prompt in session.scalars(drawn))

    def time(self) -> str:
        """The time, later than that of every row that is there: a clock may have been set back."""
        newest = self._read(lambda s: newest_time(s.connection()))
        return max(now(), _stamp(datetime.fromisoformat(newest) + timedelta(microseconds=1)) if newest else "")

    def seed(self, key: str, purpose: str) -> int:
        """HMAC-SHA256 under the database's secret: for confirmation prompts the key is `Entry.seed_key`."""
        return derive_seed(self.study.secret, key, purpose)

    def _nonce(self, slot: int) -> str:
        if self.study.secret_source == "random":
            return secrets.token_hex(16)
        return seeded_nonce(self.study.secret, slot)

    def verify(self, progress: Callable[[int, int], None] = lambda _done, _of: None) -> list[str]:
        """Re-derive everything from rows; the lies found, [] where there are none (see `verify`)."""
        from lakatos.experiments_db.verify import verify

        return verify(self.engine, progress)


class Duplicate(ProposalError):
    """The claim is in the log already: rewording it does not make a new one."""

    def __init__(self, hypothesis_id: int) -> None:
        super().__init__(f"this claim is registered already, as hypothesis {hypothesis_id}")
        self.duplicate_of = hypothesis_id


class Burned(ProposalError):
    """A fixed list of pairs that a test would use up, after numbers of it have been seen."""

    def __init__(self, behaviour: str) -> None:
        super().__init__(
            f"the confirmation pairs of {behaviour} are a fixed list that tests of this study have used: a claim made "
            "now could have been fitted to them. Add pairs to the file (more than twice as many as a test may use), "
            "or claim everything in one round."
        )


def derive_seed(secret: str, key: str, purpose: str) -> int:
    """HMAC-SHA256(secret, key and purpose) as an integer of 256 bits."""
    digest = hmac.new(bytes.fromhex(secret), f"{key}|{purpose}".encode(), hashlib.sha256)
    return int.from_bytes(digest.digest(), "big")


def exploration_seed(run_seed: str, purpose: str) -> int:
    """The seed of one exploration stream of a run. Nothing that it gives is ever confirmed on."""
    digest = hashlib.sha256(f"{run_seed}|exploration|{purpose}".encode()).digest()
    return int.from_bytes(digest[:8], "big")


def seeded_nonce(secret: str, slot: int) -> str:
    """The nonce of a slot in a seeded study: 64 hex digits; a drawn one has 32."""
    return f"{derive_seed(secret, f'slot {slot}', 'nonce'):064x}"


def seed_commitment(seed: int) -> str:
    """What the record says of a seed before it is used."""
    return "sha256:" + hashlib.sha256(str(seed).encode()).hexdigest()


def from_values(values: Values, place: int) -> dict[str, float]:
    """One prompt's numbers, to be stored."""
    return {name: float(column[place]) for name, column in values.items()}
