"""Appending to the log."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from lakatos.experiments_db.log import tables as m
from lakatos.experiments_db.log.appending import Append, Burned, Conflict, Duplicate, R, StoreError
from lakatos.experiments_db.log.clock import newest_time, now, stamp
from lakatos.experiments_db.log.reader import Reader
from lakatos.experiments_db.log.row import GENESIS
from lakatos.experiments_db.log.rows import NEWEST
from lakatos.experiments_db.log.seeds import derive_seed, seeded_nonce, stream_key
from lakatos.experiments_db.log.values import columns, texts
from lakatos.tools.behaviour import PromptPair
from lakatos.tools.evidence import Evidence, Values

_ATTEMPTS = 20
_RAISED = "P0001"  # PostgreSQL's state of what a trigger refuses

T = TypeVar("T")


@dataclass(frozen=True)
class Share:
    """What one claim takes from a draw."""

    hypothesis_id: int
    number: int  # of the claim's batches: 0, 1, ...
    own: Values  # name -> [n] the numbers that are the claim's alone
    e_after: float
    engine: str
    forwards: float  # its part of what the draw cost
    seconds: float

    def cells(self) -> dict[str, Any]:
        """The cells of its row in `batches`."""
        return {**asdict(self), "own": columns(self.own)}


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
                    last, previous = connection.execute(NEWEST).one_or_none() or (0, GENESIS)
                    append = Append(session, newest_time(connection))
                    result = build(append)
                    append.write(connection)
                    rows = [[row.__tablename__, row.id, row.digest] for row in append.rows]
                    entry = m.LedgerEntry(id=last + 1, rows=rows, previous=previous)
                    written = {"id": entry.id, "rows": rows, "previous": previous, "entry_hash": entry.compute_hash()}
                    connection.execute(sa.insert(m.LedgerEntry), written)
                return result
            except DBAPIError as error:
                refused = isinstance(error, IntegrityError) or getattr(error.orig, "sqlstate", "") == _RAISED
                if refused and "ledger" in str(error.orig) and attempt < _ATTEMPTS:
                    continue
                if refused:
                    raise Conflict(f"The log does not take this: {error.orig}.") from error
                raise StoreError(
                    f"Cannot write to {self.engine.url}: {error.orig}. Nothing of this step was kept."
                ) from error
        raise AssertionError("unreachable: the last attempt raises")

    def add(self, row: R) -> R:
        """Append one row."""
        return self.append(lambda a: a.add(row))

    def found(self, name: str, alpha: float, secret_seed: str | None, planned: int | None = None) -> m.Study:
        """The study of this name, founded now unless another process has just done so.

        Args:
            planned: how many hypotheses share most of alpha (see `slot_weights`).
        """

        def build(append: Append) -> m.Study:
            existing = append.session.scalars(sa.select(m.Study).where(m.Study.name == name)).one_or_none()
            seeded = None if secret_seed is None else hashlib.sha256(f"lakatos secret {secret_seed} {name}".encode())
            return existing or append.add(
                m.Study(
                    name=name,
                    alpha=alpha,
                    planned=planned,
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
        row: Callable[[int], m.HypothesisRow],
        claim_hash: str,
        behaviour: str,
        unburned: Collection[str] = (),
    ) -> m.HypothesisRow:
        """Give a claim its slot and freeze its record, before any confirmation prompt exists.

        Args:
            row: from the slot to the row, but for the time.
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
            fresh = row(taken + 1)
            fresh.registered_at = append.now()
            return append.add(fresh)

        return self.append(build)

    def open_stream(self, members: Sequence[str]) -> m.Stream:
        """Open a stream of confirmation prompts for registered claims. Its nonce is drawn now.

        So not even a copy of the database tells beforehand which prompts they will get. In a seeded study the nonce
        follows from the number of the stream.

        Args:
            members: the hashes of the claims, in the order of their slots.

        Raises:
            Conflict: one of them is not registered, has a stream that it has not used up, or its evidence is frozen.
        """

        def build(append: Append) -> m.Stream:
            before = sa.select(sa.func.count(m.Stream.id)).where(m.Stream.study_id == self.study.id)
            nonce = self._nonce(f"stream {1 + append.session.execute(before).scalar_one()}")
            seed = str(self.seed(stream_key(members, nonce), "pairs"))
            return append.add(m.Stream(study_id=self.study.id, members=list(members), nonce=nonce, seed=seed))

        return self.append(build)

    def add_draw(
        self,
        stream: m.Stream,
        number: int,
        drawn_at: str,
        pairs: Iterable[PromptPair],
        common: Values,
        shares: Iterable[Share],
        crashes: Mapping[int, Evidence] | None = None,
    ) -> None:
        """Append a measured draw of a stream: its prompts, what belongs to all claims, and each claim's own.

        Args:
            crashes: the evidence of claims whose test failed on this draw, by hypothesis.
        """

        def build(append: Append) -> None:
            draw = append.add(m.Draw(stream_id=stream.id, number=number, drawn_at=drawn_at, common=columns(common)))
            for place, pair in enumerate(pairs):
                told = {"uid": pair.uid, "template": pair.template, "prompt": texts(pair)}
                append.add(m.Prompt(stream_id=stream.id, draw_id=draw.id, place=place, **told))
            for share in shares:
                append.add(m.Batch(draw_id=draw.id, seed=stream.seed, drawn_at=drawn_at, **share.cells()))
            for hypothesis_id, evidence in (crashes or {}).items():
                append.add(_evidence(hypothesis_id, evidence))

        self.append(build)

    def add_extension(self, hypothesis_id: int, begun: int, pairs: int) -> m.Extension:
        """Append that a test which ended without success may go on.

        Args:
            begun: prompts that it has used.
            pairs: how many more it may use, in whole batches.

        Raises:
            Conflict: it has not ended for want of pairs or for futility.
        """
        return self.add(m.Extension(hypothesis_id=hypothesis_id, begun=begun, pairs=pairs))

    def freeze(self, hypothesis_id: int, evidence: Evidence) -> None:
        """Append the evidence of a finished or crashed test."""
        self.add(_evidence(hypothesis_id, evidence))

    def add_rerun(self, hypothesis_id: int, **told: Any) -> m.Rerun:
        """Append what came of putting a claim to the question again; see `tables.Rerun` for what is told."""
        return self.add(m.Rerun(hypothesis_id=hypothesis_id, **told))

    def _seen(self, session: Session, prompts: set[str]) -> bool:
        """Whether the study has a number of any of these prompts, under whatever name or version of the behaviour."""
        shared = sa.select(m.Prompt.prompt).join(m.Stream, m.Stream.id == m.Prompt.stream_id)
        alone = sa.select(m.Effect.prompt).join(m.Batch, m.Batch.id == m.Effect.batch_id)
        alone = alone.join(m.HypothesisRow, m.HypothesisRow.id == m.Batch.hypothesis_id)
        drawn = (shared.where(m.Stream.study_id == self.study.id), alone.where(self._mine))
        return any(prompt["clean"] in prompts for query in drawn for prompt in session.scalars(query))

    # -- time and seeds ----------------------------------------------------------------------------------------------

    def time(self) -> str:
        """The time, later than that of every row that is there: a clock may have been set back."""
        newest = self._read(lambda s: newest_time(s.connection()))
        return max(now(), stamp(datetime.fromisoformat(newest) + timedelta(microseconds=1)) if newest else "")

    def seed(self, key: str, purpose: str) -> int:
        """HMAC-SHA256 under the study's secret: for confirmation prompts the key is `stream_key`."""
        return derive_seed(self.study.secret, key, purpose)

    def _nonce(self, what: str) -> str:
        if self.study.secret_source == "random":
            return secrets.token_hex(16)
        return seeded_nonce(self.study.secret, what)


def _evidence(hypothesis_id: int, evidence: Evidence) -> m.EvidenceRow:
    record = evidence.model_dump(mode="json")
    return m.EvidenceRow(hypothesis_id=hypothesis_id, e=evidence.e, p=evidence.p, stop=evidence.stop, record=record)
