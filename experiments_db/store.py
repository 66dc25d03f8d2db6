"""The only owner of sessions: appends rows, chains them, and reads them back as records.

Every append is one transaction that ends in a ledger entry; two processes that append at once follow one another,
because no two entries may name the same predecessor. Nothing here updates or deletes, and the database would refuse.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import numpy as np
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from lakatos.experiments_db import models as m
from lakatos.experiments_db.correction import with_states
from lakatos.experiments_db.database import open_engine
from lakatos.experiments_db.records import Counts, Entry, Refused, RunRecord
from lakatos.tools.battery import Values
from lakatos.tools.errors import ProposalError, UserError
from lakatos.tools.evidence import Evidence

DEFAULT_ALPHA = 0.05
STUDY = "main"
GENESIS = "sha256:" + "0" * 64
_ATTEMPTS = 20

T = TypeVar("T")
R = TypeVar("R", bound=m.Row)


def open_store(url: str, *, create: bool = True, alpha: float = DEFAULT_ALPHA, secret_seed: str | None = None) -> Store:
    """Open a database, making it if need be.

    Args:
        url: a path or a SQLAlchemy URL.
        create: whether to make a database that does not exist.
        alpha: the false discovery rate of a new study; an existing one keeps its own.
        secret_seed: derive a new database's secret from this instead of drawing it. Then whoever knows the seed can
            know the confirmation prompts beforehand; the log says so.

    Raises:
        UserError: see `lakatos.experiments_db.database.open_engine`.
    """
    store = Store(open_engine(url, create=create))
    store.ensure_study(alpha, secret_seed)
    return store


def now() -> str:
    """UTC, ISO 8601, microseconds."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


class StoreError(UserError):
    """The log could not be written: nothing of that step was kept, and the step can be repeated."""


class Append:
    """One append being built: gives each row its id, its time and its digest."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.rows: list[m.Row] = []

    def add(self, row: R) -> R:
        """Put a row into this append; its id is known afterwards."""
        table = type(row)
        last = self.session.execute(sa.select(sa.func.max(table.id))).scalar()
        row.id = (last or 0) + 1
        row.at = now()
        row.digest = row.compute_digest()
        self.session.add(row)
        self.session.flush()
        self.rows.append(row)
        return row


class Store:
    """A study's log."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine
        self.study: m.Study = self._read(lambda s: s.execute(sa.select(m.Study)).scalar())  # type: ignore[assignment]

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
                    self.engine.connect().execution_options(writes=True) as connection,
                    Session(connection, expire_on_commit=False) as session,
                    session.begin(),
                ):
                    last = session.execute(sa.select(m.LedgerEntry).order_by(m.LedgerEntry.id.desc()).limit(1)).scalar()
                    append = Append(session)
                    result = build(append)
                    entry = m.LedgerEntry(
                        id=last.id + 1 if last else 1,
                        rows=[[row.__tablename__, row.id, row.digest] for row in append.rows],
                        previous=last.entry_hash if last else GENESIS,
                    )
                    entry.entry_hash = entry.compute_hash()
                    session.add(entry)
                return result
            except IntegrityError as error:
                if "ledger" not in str(error.orig) or attempt == _ATTEMPTS:
                    raise
            except DBAPIError as error:
                raise StoreError(
                    f"Cannot write to {self.engine.url}: {error.orig}. Nothing of this step was kept."
                ) from error
        raise AssertionError("unreachable: the last attempt raises")

    def ensure_study(self, alpha: float, secret_seed: str | None) -> None:
        """Found the study of a new database; do nothing in one that has its study."""
        if self.study is not None:
            return

        def build(append: Append) -> m.Study:
            existing = append.session.execute(sa.select(m.Study)).scalar()
            seeded = None if secret_seed is None else hashlib.sha256(f"lakatos secret {secret_seed}".encode())
            return existing or append.add(
                m.Study(
                    name=STUDY,
                    alpha=alpha,
                    secret=secrets.token_hex(32) if seeded is None else seeded.hexdigest(),
                    secret_source="random" if seeded is None else "seed",
                )
            )

        self.study = self.append(build)

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

    def register(self, row: m.HypothesisRow, finish: Callable[[int, str], dict[str, Any]]) -> m.HypothesisRow:
        """Give a claim its slot and freeze its record, before any confirmation prompt exists.

        Args:
            row: everything but slot, time and record.
            finish: from the slot and the nonce to the record. The nonce is drawn now, so that not even a copy of the
                database tells beforehand which prompts a claim will get; in a seeded study it follows from the slot.

        Raises:
            ProposalError: the claim is registered already; the error names the hypothesis in `duplicate_of`.
        """

        def build(append: Append) -> m.HypothesisRow:
            twin = append.session.execute(
                sa.select(m.HypothesisRow.id).where(
                    m.HypothesisRow.study_id == row.study_id, m.HypothesisRow.claim_hash == row.claim_hash
                )
            ).scalar()
            if twin is not None:
                raise Duplicate(twin)
            taken = append.session.execute(sa.select(sa.func.max(m.HypothesisRow.slot))).scalar() or 0
            fresh = m.HypothesisRow(
                study_id=row.study_id,
                run_id=row.run_id,
                proposal_id=row.proposal_id,
                claim_hash=row.claim_hash,
                rationale=row.rationale,
                calibration=row.calibration,
                forwards=row.forwards,
                seconds=row.seconds,
                slot=taken + 1,
                record=finish(taken + 1, self._nonce(taken + 1)),
                registered_at=now(),
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

    def seed(self, key: str, purpose: str) -> int:
        """HMAC-SHA256 under the database's secret: for confirmation prompts the key is `Entry.seed_key`."""
        return derive_seed(self.study.secret, key, purpose)

    def _nonce(self, slot: int) -> str:
        if self.study.secret_source == "random":
            return secrets.token_hex(16)
        return f"{self.seed(f'slot {slot}', 'nonce'):064x}"

    def limits(self, run_id: int) -> dict[str, Any]:
        """The limits that a run was last resumed with, where they were changed."""
        changed: dict[str, Any] = {}
        for event in self.all(m.Event, m.Event.run_id == run_id, m.Event.kind == "resumed"):
            changed |= event.payload.get("limits", {})
        return changed

    # -- reading -----------------------------------------------------------------------------------------------------

    def _read(self, query: Callable[[Session], T]) -> T:
        with Session(self.engine, expire_on_commit=False) as session:
            return query(session)

    def all(self, table: type[R], *where: Any) -> list[R]:
        """Rows of a table in the order they were appended."""
        return self._read(lambda s: list(s.scalars(sa.select(table).where(*where).order_by(table.id))))

    def run_row(self, run_id: int) -> m.Run:
        """A run's row.

        Raises:
            UserError: there is no such run.
        """
        row = self._read(lambda s: s.get(m.Run, run_id))
        if row is None:
            raise UserError(f"There is no run {run_id} in {self.engine.url}; `lakatos runs` lists them.")
        return row

    def hypotheses(self) -> list[Entry]:
        """Every registered hypothesis of the study, in slot order, with its official state."""

        def query(session: Session) -> list[Entry]:
            spent = {
                row.hypothesis_id: (row.n, row.forwards)
                for row in session.execute(
                    sa.select(
                        m.Batch.hypothesis_id,
                        sa.func.count().label("n"),
                        sa.func.sum(m.Batch.forwards).label("forwards"),
                    ).group_by(m.Batch.hypothesis_id)
                )
            }
            rows = session.execute(
                sa.select(m.HypothesisRow, m.EvidenceRow, m.Run.proposer)
                .join(m.Run, m.Run.id == m.HypothesisRow.run_id)
                .outerjoin(m.EvidenceRow, m.EvidenceRow.hypothesis_id == m.HypothesisRow.id)
                .order_by(m.HypothesisRow.slot)
            )
            return [
                Entry(
                    id=h.id,
                    run_id=h.run_id,
                    slot=h.slot,
                    claim_hash=h.claim_hash,
                    registered_at=h.registered_at,
                    record=h.record,
                    rationale=h.rationale,
                    proposer=proposer,
                    batches=spent.get(h.id, (0, 0.0))[0],
                    forwards=h.forwards + spent.get(h.id, (0, 0.0))[1],
                    evidence=Evidence.model_validate(e.record) if e is not None else None,
                )
                for h, e, proposer in rows
            ]

        return with_states(self._read(query), self.study.alpha)

    def hypothesis(self, key: str) -> Entry:
        """One hypothesis by its number or by the beginning of its claim hash.

        Raises:
            UserError: none, or several.
        """
        entries = self.hypotheses()
        short = key.removeprefix("sha256:")
        found = [e for e in entries if str(e.id) == key] or [
            e for e in entries if len(short) >= 4 and e.claim_hash.removeprefix("sha256:").startswith(short)
        ]
        if len(found) != 1:
            what = f"{len(found)} hypotheses match" if found else "There is no hypothesis"
            raise UserError(f"{what} {key!r}; `lakatos log` lists their numbers and hashes.")
        return found[0]

    def effects(self, hypothesis_id: int) -> list[m.Effect]:
        """The per-prompt rows of a hypothesis, in the order they were drawn."""
        return self._read(
            lambda s: list(
                s.scalars(
                    sa.select(m.Effect)
                    .join(m.Batch, m.Batch.id == m.Effect.batch_id)
                    .where(m.Batch.hypothesis_id == hypothesis_id)
                    .order_by(m.Batch.number, m.Effect.place)
                )
            )
        )

    def batches(self, hypothesis_id: int) -> list[m.Batch]:
        """The batches of a hypothesis, in order."""
        return self.all(m.Batch, m.Batch.hypothesis_id == hypothesis_id)

    def refused(self, run_id: int | None = None) -> list[Refused]:
        """Proposals that were not registered, and why."""

        def query(session: Session) -> list[Refused]:
            select = sa.select(m.Refusal, m.Proposal).join(m.Proposal, m.Proposal.id == m.Refusal.proposal_id)
            if run_id is not None:
                select = select.where(m.Proposal.run_id == run_id)
            return [
                Refused(p.proposal, r.kind, r.reason, r.duplicate_of)
                for r, p in session.execute(select.order_by(m.Refusal.id))
            ]

        return self._read(query)

    def runs(self) -> list[RunRecord]:
        """Every investigation with what it spent."""
        return [self.run(row.id) for row in self.all(m.Run)]

    def run(self, run_id: int) -> RunRecord:
        """One investigation: its events, spend and status."""
        row = self.run_row(run_id)
        mine = m.HypothesisRow.run_id == run_id

        def query(session: Session) -> tuple[list[str], list[Any], Any]:
            kinds = session.scalars(sa.select(m.Event.kind).where(m.Event.run_id == run_id).order_by(m.Event.id))
            spent = [
                session.execute(select).one()
                for select in (
                    _sums(m.Event).where(m.Event.run_id == run_id),
                    _sums(m.HypothesisRow).where(mine),
                    _sums(m.Batch).join(m.HypothesisRow, m.HypothesisRow.id == m.Batch.hypothesis_id).where(mine),
                )
            ]
            calls = sa.select(
                sa.func.count(),
                sa.func.coalesce(sa.func.sum(m.LLMCall.tokens_in + m.LLMCall.tokens_out), 0),
                sa.func.coalesce(sa.func.sum(m.LLMCall.seconds), 0.0),
            ).where(m.LLMCall.run_id == run_id)
            return list(kinds), spent, session.execute(calls).one()

        kinds, spent, (n_calls, tokens, llm_seconds) = self._read(query)
        ends = [kind for kind in kinds if kind in ("started", "resumed", "stopped", "failed", "finished")]
        status: dict[str, Any] = {"stopped": "stopped", "failed": "failed", "finished": "finished"}
        return RunRecord(
            id=row.id,
            at=row.at,
            behaviour=row.behaviour,
            model=row.model,
            proposer=row.proposer,
            seed=row.seed,
            config=row.config,
            environment=row.environment,
            status=status.get(ends[-1] if ends else "", "running"),
            forwards=sum(forwards for forwards, _ in spent),
            seconds=sum(seconds for _, seconds in spent) + llm_seconds,
            tokens=tokens,
            llm_calls=n_calls,
        )

    def counts(self, run_id: int | None = None, known: Sequence[Entry] | None = None) -> Counts:
        """Denominators: how much was proposed, refused, registered, tested, and what came of it.

        Args:
            run_id: of this run; of everything if None.
            known: what `hypotheses()` gave, if it has just been asked.
        """
        entries = [e for e in (self.hypotheses() if known is None else known) if run_id in (None, e.run_id)]
        where = [] if run_id is None else [m.Proposal.run_id == run_id]
        return Counts(
            proposed=len(self.all(m.Proposal, *where)),
            refused=len(self.refused(run_id)),
            registered=len(entries),
            tested=sum(e.evidence is not None for e in entries),
            confirmed=sum(e.state == "confirmed" for e in entries),
            refuted=sum(e.state == "refuted" for e in entries),
            inconclusive=sum(e.state == "inconclusive" for e in entries),
            crashed=sum(e.crashed for e in entries),
        )

    def ledger_head(self) -> str:
        """The newest entry's hash: quote it, and nothing before it can be changed unnoticed."""
        entries = sa.select(m.LedgerEntry.entry_hash).order_by(m.LedgerEntry.id.desc()).limit(1)
        return self._read(lambda s: s.execute(entries).scalar()) or GENESIS

    def holds(self, entry_hash: str) -> bool:
        """Whether the chain has an entry with this hash."""
        found = sa.select(m.LedgerEntry.id).where(m.LedgerEntry.entry_hash == entry_hash)
        return self._read(lambda s: s.execute(found).scalar()) is not None

    def verify(self, progress: Callable[[int, int], None] = lambda _done, _of: None) -> list[str]:
        """Re-derive everything from rows; the lies found, [] where there are none (see `verify.py`)."""
        from lakatos.experiments_db.verify import verify

        return verify(self, progress)


def _sums(table: type[m.Event] | type[m.HypothesisRow] | type[m.Batch]) -> Any:
    zero = 0.0
    return sa.select(
        sa.func.coalesce(sa.func.sum(table.forwards), zero), sa.func.coalesce(sa.func.sum(table.seconds), zero)
    )


class Duplicate(ProposalError):
    """The claim is in the log already: rewording it does not make a new one."""

    def __init__(self, hypothesis_id: int) -> None:
        super().__init__(f"this claim is registered already, as hypothesis {hypothesis_id}")
        self.duplicate_of = hypothesis_id


def derive_seed(secret: str, key: str, purpose: str) -> int:
    """HMAC-SHA256(secret, key and purpose) as an integer of 256 bits."""
    digest = hmac.new(bytes.fromhex(secret), f"{key}|{purpose}".encode(), hashlib.sha256)
    return int.from_bytes(digest.digest(), "big")


def seed_commitment(seed: int) -> str:
    """What the record says of a seed before it is used."""
    return "sha256:" + hashlib.sha256(str(seed).encode()).hexdigest()


def to_values(effects: Sequence[m.Effect]) -> Values:
    """Stored per-prompt numbers as arrays: name -> [n]."""
    names = effects[0].measured if effects else {}
    return {name: np.array([effect.measured[name] for effect in effects]) for name in names}


def from_values(values: Values, place: int) -> dict[str, float]:
    """One prompt's numbers, to be stored."""
    return {name: float(column[place]) for name, column in values.items()}
