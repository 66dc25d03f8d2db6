"""Appending to the log."""

from __future__ import annotations

import hashlib
import itertools
import secrets
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from lakatos.experiments_db.log import tables as m
from lakatos.experiments_db.log.clock import newest_time, now, stamp
from lakatos.experiments_db.log.reader import Reader
from lakatos.experiments_db.log.rows import NEWEST
from lakatos.experiments_db.log.seeds import derive_seed, seeded_nonce
from lakatos.tools.errors import ProposalError, UserError
from lakatos.tools.evidence import Evidence

_ATTEMPTS = 20

T = TypeVar("T")
R = TypeVar("R", bound=m.Row)


class StoreError(UserError):
    """The log could not be written: nothing of that step was kept, and the step can be repeated."""


class Conflict(Exception):
    """The database refused a row that breaks the protocol, or that another process was faster to append."""


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


class Log(Reader):
    """A study's log, open for appending. `Log` is the only writer, and it only appends.

    * Every append is one transaction: all of its rows are there afterwards, or none. It ends in a ledger entry, which
      chains the digests of its rows to those before.
    * Two processes that append at once follow one another, because no two entries may name the same predecessor.
    * The database refuses UPDATE, DELETE, and rows that break the protocol (triggers; see `migrations`). Such a refusal
      is a `Conflict`.
    * Rows come back in the order in which they were appended, and no row is dated before one that is there.
    * A reader sees every append that was finished when its query began; `snapshot` keeps one moment for many queries.
    * One `Log` may be used by many threads: each call has a connection of its own.
    """

    study: m.Study

    def append(self, build: Callable[[Append], T]) -> T:
        """Append what `build` adds, in one transaction, and chain it.

        Raises:
            Conflict: a constraint of the database refused a row; nothing was appended.
            StoreError: the disk is full, or the database cannot be written; nothing was appended.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                with (
                    self.engine.connect().execution_options(writes=True, appends=True) as connection,
                    connection.begin(),
                    Session(connection, expire_on_commit=False) as session,
                ):
                    last, previous = connection.execute(NEWEST).one_or_none() or (0, m.GENESIS)
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
                    raise Conflict(f"The log does not take this: {error.orig}.") from error
            except DBAPIError as error:
                raise StoreError(
                    f"Cannot write to {self.engine.url}: {error.orig}. Nothing of this step was kept."
                ) from error
        raise AssertionError("unreachable: the last attempt raises")

    def add(self, row: R) -> R:
        """Append one row."""
        return self.append(lambda a: a.add(row))

    def found(self, name: str, alpha: float, secret_seed: str | None) -> m.Study:
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

    def begin_run(self, **told: Any) -> m.Run:
        """Append the beginning of a run of this study; see `tables.Run` for what is told."""
        return self.add(m.Run(study_id=self.study.id, **told))

    def event(
        self, run_id: int, kind: str, payload: dict[str, Any], forwards: float = 0.0, seconds: float = 0.0
    ) -> m.Event:
        """Append something that happened in a run."""
        return self.add(m.Event(run_id=run_id, kind=kind, payload=payload, forwards=forwards, seconds=seconds))

    def call(self, run_id: int, **told: Any) -> m.LLMCall:
        """Append a request to a language model that has ended; see `tables.LLMCall` for what is told."""
        return self.add(m.LLMCall(run_id=run_id, **told))

    def propose(
        self,
        run_id: int,
        round_: int,
        proposals: Sequence[Mapping[str, Any]],
        call_id: int | None = None,
        first: int = 0,
    ) -> list[m.Proposal]:
        """Append what was put forward in a round, word for word.

        Args:
            call_id: the request to a language model that it came from.
            first: the place of the first; those before it are in the log.
        """

        def build(append: Append) -> list[m.Proposal]:
            about = {"run_id": run_id, "round": round_, "llm_call_id": call_id}
            return [append.add(m.Proposal(**about, place=k, proposal=dict(p))) for k, p in enumerate(proposals, first)]

        return self.append(build)

    def refuse(self, proposal_id: int, kind: str, reason: str, duplicate_of: int | None = None) -> m.Refusal:
        """Append that a proposal was not registered, and why."""
        return self.add(m.Refusal(proposal_id=proposal_id, kind=kind, reason=reason, duplicate_of=duplicate_of))

    def register(
        self,
        row: Callable[[int, str], m.HypothesisRow],
        claim_hash: str,
        behaviour: str,
        unburned: Collection[str] = (),
    ) -> m.HypothesisRow:
        """Give a claim its slot and freeze its record, before any confirmation prompt exists.

        Args:
            row: from the slot and the nonce to the row, but for the time. The nonce is drawn now, so that not even a
                copy of the database tells beforehand which prompts a claim will get; in a seeded study it follows from
                the slot.
            unburned: clean prompts that the claim's test may use up, of which this study must have seen no number.

        Raises:
            Duplicate: the claim is registered already.
            Burned: the list of pairs has been used.
        """
        h = m.HypothesisRow

        def build(append: Append) -> m.HypothesisRow:
            twin = append.session.execute(sa.select(h.id).where(self._mine, h.claim_hash == claim_hash)).scalar()
            if twin is not None:
                raise Duplicate(twin)
            if unburned and self._seen(append.session, set(unburned)):
                raise Burned(behaviour)
            taken = append.session.execute(sa.select(sa.func.max(h.slot)).where(self._mine)).scalar() or 0
            fresh = row(taken + 1, self._nonce(taken + 1))
            fresh.registered_at = append.now()
            return append.add(fresh)

        return self.append(build)

    def add_batch(self, hypothesis_id: int, prompts: Iterable[Mapping[str, Any]], **told: Any) -> None:
        """Append a measured batch of confirmation prompts.

        Args:
            prompts: claim_hash, place, uid, template, prompt and measured of each (see `tables.Effect`).
            told: see `tables.Batch`.
        """

        def build(append: Append) -> None:
            batch = append.add(m.Batch(hypothesis_id=hypothesis_id, **told))
            for prompt in prompts:
                append.add(m.Effect(batch_id=batch.id, **prompt))

        self.append(build)

    def freeze(self, hypothesis_id: int, evidence: Evidence) -> None:
        """Append the evidence of a finished or crashed test."""
        record = evidence.model_dump(mode="json")
        self.add(
            m.EvidenceRow(hypothesis_id=hypothesis_id, e=evidence.e, p=evidence.p, stop=evidence.stop, record=record)
        )

    def add_rerun(self, hypothesis_id: int, **told: Any) -> m.Rerun:
        """Append what came of putting a claim to the question again; see `tables.Rerun` for what is told."""
        return self.add(m.Rerun(hypothesis_id=hypothesis_id, **told))

    def _seen(self, session: Session, prompts: set[str]) -> bool:
        """Whether the study has a number of any of these prompts, under whatever name or version of the behaviour."""
        drawn = (
            sa.select(m.Effect.prompt)
            .join(m.Batch, m.Batch.id == m.Effect.batch_id)
            .join(m.HypothesisRow, m.HypothesisRow.id == m.Batch.hypothesis_id)
            .where(self._mine)
        )
        return any(prompt["clean"] in prompts for prompt in session.scalars(drawn))

    # -- time and seeds ----------------------------------------------------------------------------------------------

    def time(self) -> str:
        """The time, later than that of every row that is there: a clock may have been set back."""
        newest = self._read(lambda s: newest_time(s.connection()))
        return max(now(), stamp(datetime.fromisoformat(newest) + timedelta(microseconds=1)) if newest else "")

    def seed(self, key: str, purpose: str) -> int:
        """HMAC-SHA256 under the database's secret: for confirmation prompts the key is `Entry.seed_key`."""
        return derive_seed(self.study.secret, key, purpose)

    def _nonce(self, slot: int) -> str:
        if self.study.secret_source == "random":
            return secrets.token_hex(16)
        return seeded_nonce(self.study.secret, slot)
