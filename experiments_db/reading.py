"""Reading the log back: rows as records, with the states that follow from all of them."""

from __future__ import annotations

import functools
import json
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, defer

from lakatos.experiments_db import models as m
from lakatos.experiments_db.correction import judge
from lakatos.experiments_db.records import Counts, Entry, Interval, Judgement, Refused, RunRecord, Slot
from lakatos.experiments_db.reviews import standing
from lakatos.experiments_db.stored import first_unreadable
from lakatos.experiments_db.unreadable import Unreadable, UnreadableCell, reading
from lakatos.tools.claim import CLAIM, AnyClaim, describe
from lakatos.tools.errors import NotThere, UserError
from lakatos.tools.evidence import Data, Evidence, Values, parts_of
from lakatos.tools.statistics import confidence_interval

GENESIS = "sha256:" + "0" * 64
_AT_ONCE = 500  # ids in one query

T = TypeVar("T")
R = TypeVar("R", bound=m.Row)


class Reader:
    """Queries over the log; `study` is the family that verdicts are about."""

    def __init__(self, engine: sa.Engine, connection: sa.Connection | None = None) -> None:
        self.engine = engine
        self.study: m.Study
        self._bind: sa.Engine | sa.Connection = connection or engine

    def _read(self, query: Callable[[Session], T]) -> T:
        try:
            with Session(self._bind, expire_on_commit=False) as session:
                return query(session)
        except (UnreadableCell, DBAPIError) as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: Exception) -> Unreadable:
        """What of the log cannot be read: the first table or row, where one is to blame."""
        with self.engine.connect() as connection:
            told = first_unreadable(connection)
        return Unreadable(told or f"The log {self.engine.url} cannot be read ({getattr(error, 'orig', error)})")

    @contextmanager
    def snapshot(self) -> Iterator[Reader]:
        """A reader of this study that sees the log as it is now, whatever is appended meanwhile."""
        level = {} if self.engine.dialect.name == "sqlite" else {"isolation_level": "REPEATABLE READ"}
        with self.engine.connect().execution_options(**level) as connection, connection.begin():
            reader = Reader(self.engine, connection)
            if "study" in vars(self):  # a reader of the whole log has none
                reader.study = self.study
            yield reader

    def all(self, table: type[R], *where: Any) -> list[R]:
        """Rows of a table in the order they were appended."""
        return self._read(lambda s: list(s.scalars(sa.select(table).where(*where).order_by(table.id))))

    def rows_of(self, query: Any) -> Sequence[Any]:
        """The rows that a query of columns finds."""
        return self._read(lambda s: s.execute(query).all())

    # -- hypotheses --------------------------------------------------------------------------------------------------

    def slots(self) -> list[Slot]:
        """Every registered hypothesis of the study, in slot order: what corrections need, and no more."""
        h, e = m.HypothesisRow, m.EvidenceRow
        count = sa.select(m.Batch.hypothesis_id, sa.func.count().label("n")).group_by(m.Batch.hypothesis_id).subquery()
        select = (
            sa.select(
                *(h.id, h.run_id, h.slot, h.kind, h.behaviour, h.behaviour_hash, h.weights, h.subject),
                sa.cast(h.atoms, sa.Text),
                *(sa.func.coalesce(count.c.n, 0), e.stop, e.e, e.p),
            )
            .outerjoin(e, e.hypothesis_id == h.id)
            .outerjoin(count, count.c.hypothesis_id == h.id)
            .where(h.study_id == self.study.id)
            .order_by(h.slot)
        )
        rows = self._read(lambda s: s.connection().execute(select).all())
        atoms = functools.cache(lambda text: tuple(map(sys.intern, json.loads(text))))  # the same few in very many
        return [Slot(*[*row[:8], atoms(row[8]), *row[9:]]) for row in rows]

    def judgements(
        self, slots: Sequence[Slot] | None = None, grouped: Mapping[int, int] | None = None
    ) -> dict[int, Judgement]:
        """Where each hypothesis of the study stands, by id; see `correction.judge`."""
        return judge(self.slots() if slots is None else slots, self.study.alpha, self._claims, grouped)

    def hypotheses(self, run_id: int | None = None) -> list[Entry]:
        """Every registered hypothesis of the study (or of one run), in slot order, with its official state."""
        return self._entries([] if run_id is None else [m.HypothesisRow.run_id == run_id])

    def hypothesis(self, key: str) -> Entry:
        """One hypothesis by its number or by the beginning of its claim hash.

        Raises:
            UserError: none, or several.
        """
        short = key.removeprefix("sha256:")
        matches = [m.HypothesisRow.id == int(key)] if key.isdigit() and len(key) < 10 else []
        if len(short) >= 4:
            matches.append(m.HypothesisRow.claim_hash.startswith(f"sha256:{short}", autoescape=True))
        for match in matches:
            found = self.ids(match)
            if len(found) > 1:
                raise UserError(f"{len(found)} hypotheses match {key!r}; `lakatos log` lists their numbers and hashes.")
            if found:
                return self._entries([m.HypothesisRow.id == found[0]])[0]
        raise NotThere(
            f"There is no hypothesis {key!r} here; `lakatos log` lists them; of a hash give four characters or more."
        )

    def ids(self, match: Any) -> list[int]:
        """The numbers of the study's hypotheses whose rows match."""
        return self._read(lambda s: list(s.scalars(sa.select(m.HypothesisRow.id).where(match, self._mine))))

    @property
    def _mine(self) -> Any:
        return m.HypothesisRow.study_id == self.study.id

    def _entries(self, where: Sequence[Any]) -> list[Entry]:
        slots = self.slots()
        judged = self.judgements(slots)
        return self.entries(judged, self.selected_level(len(slots), judged.values()), where)

    def selected_level(self, registered: int, judged: Iterable[Judgement]) -> float:
        """The confidence level of confirmed claims' intervals: 1 - alpha |confirmed| / |registered|."""
        return 1 - self.study.alpha * sum(j.state == "confirmed" for j in judged) / max(registered, 1)

    def entries(self, judged: Mapping[int, Judgement], level: float | None, where: Sequence[Any] = ()) -> list[Entry]:
        """The hypotheses whose rows match, in slot order, for whoever knows already where they stand.

        Args:
            judged: where each of them stands, by id.
            level: `selected_level` of the whole study; None: without the intervals of confirmed claims.
            where: conditions on rows of hypotheses.
        """

        def query(session: Session) -> list[Any]:
            h = m.HypothesisRow
            its_own = m.Batch.hypothesis_id == h.id  # an index leads to a hypothesis's batches
            n = sa.select(sa.func.count()).select_from(m.Batch).where(its_own).correlate(h).scalar_subquery()
            spent = sa.select(sa.func.sum(m.Batch.forwards)).where(its_own).correlate(h).scalar_subquery()
            return list(
                session.execute(
                    sa.select(h, m.EvidenceRow, m.Run.proposer, n, spent)
                    .options(defer(h.calibration), defer(h.atoms))
                    .join(m.Run, m.Run.id == m.HypothesisRow.run_id)
                    .outerjoin(m.EvidenceRow, m.EvidenceRow.hypothesis_id == m.HypothesisRow.id)
                    .where(self._mine, *where)
                    .order_by(m.HypothesisRow.slot)
                )
            )

        found = self._read(query)
        said: dict[int, list[m.Review]] = defaultdict(list)
        for review in self.reviews([h.id for h, *_ in found] if where else None):
            said[review.hypothesis_id].append(review)
        entries = [_entry(*row, judgement=judged[row[0].id], said=standing(said[row[0].id])) for row in found]
        return entries if level is None else [replace(e, selected=self.interval(e, level)) for e in entries]

    def interval(self, entry: Entry, level: float) -> Interval | None:
        """A confirmed claim's interval at 1 - alpha |confirmed| / |registered|; None for other claims.

        So the expected share of confirmed claims whose interval misses its mean is at most alpha, under any dependence,
        where the number of claims is not chosen by how they come out
        (Benjamini & Yekutieli 2005; for e-processes inverted: Xu, Wang & Ramdas 2024, "Post-selection inference for
        e-value based confidence intervals").
        """
        if entry.state != "confirmed":
            return None
        data = self.data(entry.id).by(entry.battery.unit)
        effect = parts_of(entry.claim, entry.battery, data.values)[0].effect
        low, high = confidence_interval(effect, entry.battery.lines[0].scale, level)
        return Interval(low, high, level)

    def _claims(self, ids: Iterable[int]) -> Mapping[int, AnyClaim]:
        wanted = list(ids)
        parts = (wanted[start : start + _AT_ONCE] for start in range(0, len(wanted), _AT_ONCE))
        rows = (row for some in parts for row in self._records(some))
        claims = {}
        for key, record in rows:
            with reading(f"hypotheses row {key}"):
                claims[key] = CLAIM.validate_python(record["claim"])
        return claims

    def _records(self, ids: Sequence[int]) -> Sequence[Any]:
        select = sa.select(m.HypothesisRow.id, m.HypothesisRow.record).where(m.HypothesisRow.id.in_(ids))
        return self._read(lambda s: s.execute(select).all())

    def texts(self, ids: Iterable[int]) -> dict[int, str]:
        """Claims in one line, by id."""
        wanted = list(ids)
        names = {slot.id: slot.behaviour for slot in self.slots()} if wanted else {}
        return {key: describe(claim, names[key]) for key, claim in self._claims(wanted).items()}

    # -- what tests are made of --------------------------------------------------------------------------------------

    def effects(self, hypothesis_id: int) -> list[m.Effect]:
        """The per-prompt rows of a hypothesis, in the order they were drawn."""
        return self._read(lambda s: list(s.scalars(_drawn(hypothesis_id, m.Effect))))

    def data(self, hypothesis_id: int) -> Data:
        """The stored numbers of a hypothesis."""
        numbers = _drawn(hypothesis_id, m.Effect.template, m.Effect.measured)
        rows = self._read(lambda s: s.execute(numbers).all())
        with reading(f"A prompt of hypotheses row {hypothesis_id}"):
            return to_data(rows)

    def batches(self, hypothesis_id: int) -> list[m.Batch]:
        """The batches of a hypothesis, in order."""
        return self.all(m.Batch, m.Batch.hypothesis_id == hypothesis_id)

    def reviews(self, ids: Sequence[int] | None = None) -> list[m.Review]:
        """What people said of these hypotheses (of the whole study if None), oldest first."""
        mine = sa.select(m.HypothesisRow.id).where(self._mine) if ids is None else ids
        return self.all(m.Review, m.Review.hypothesis_id.in_(mine))

    def reruns(self, ids: Sequence[int] | None = None) -> list[m.Rerun]:
        """What came of running these hypotheses (those of the whole study if None) again, oldest first."""
        mine = sa.select(m.HypothesisRow.id).where(self._mine) if ids is None else ids
        return self.all(m.Rerun, m.Rerun.hypothesis_id.in_(mine))

    def refused(self, run_id: int | None = None) -> list[Refused]:
        """Proposals that were not registered, and why."""
        select = (
            sa.select(m.Refusal, m.Proposal)
            .join(m.Proposal, m.Proposal.id == m.Refusal.proposal_id)
            .where(self._of_study(m.Proposal.run_id, run_id))
            .order_by(m.Refusal.id)
        )
        rows = self._read(lambda s: s.execute(select).all())
        return [Refused(p.proposal, r.kind, r.reason, r.duplicate_of) for r, p in rows]

    def _of_study(self, column: Any, run_id: int | None) -> Any:
        return (
            column == run_id
            if run_id is not None
            else column.in_(sa.select(m.Run.id).where(m.Run.study_id == self.study.id))
        )

    # -- runs --------------------------------------------------------------------------------------------------------

    def run_row(self, run_id: int) -> m.Run:
        """A run's row.

        Raises:
            UserError: there is no such run.
        """
        row = self._read(lambda s: s.get(m.Run, run_id))
        if row is None:
            raise NotThere(f"There is no run {run_id} in {self.engine.url}; `lakatos runs` lists them.")
        return row

    def study_of(self, run_id: int) -> str:
        """The study that a run belongs to. Raises UserError: there is no such run."""
        study_id = self.run_row(run_id).study_id
        return self._read(lambda s: s.scalars(sa.select(m.Study.name).where(m.Study.id == study_id)).one())

    def runs(self) -> list[RunRecord]:
        """Every investigation of the study with what it spent."""
        return [self.run(row.id) for row in self.all(m.Run, m.Run.study_id == self.study.id)]

    def run(self, run_id: int) -> RunRecord:
        """One investigation: its events, spend and status."""
        row = self.run_row(run_id)
        mine = m.HypothesisRow.run_id == run_id

        def query(session: Session) -> tuple[list[str], list[Any], Any, str]:
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
                sa.func.coalesce(sa.func.sum(m.LLMCall.tokens_in), 0),
                sa.func.coalesce(sa.func.sum(m.LLMCall.tokens_out), 0),
                sa.func.coalesce(sa.func.sum(m.LLMCall.seconds), 0.0),
            ).where(m.LLMCall.run_id == run_id)
            study = session.scalars(sa.select(m.Study.name).where(m.Study.id == row.study_id)).one()
            return list(kinds), spent, session.execute(calls).one(), study

        kinds, spent, (n_calls, tokens_in, tokens_out, llm_seconds), study = self._read(query)
        ends = [kind for kind in kinds if kind in ("started", "resumed", "stopped", "failed", "finished")]
        status: dict[str, Any] = {"stopped": "stopped", "failed": "failed", "finished": "finished"}
        return RunRecord(
            id=row.id,
            at=row.at,
            study=study,
            behaviour=row.behaviour,
            model=row.model,
            proposer=row.proposer,
            seed=row.seed,
            config=row.config,
            environment=row.environment,
            status=status.get(ends[-1] if ends else "", "running"),
            forwards=sum(forwards for forwards, _ in spent),
            seconds=sum(seconds for _, seconds in spent) + llm_seconds,
            tokens=tokens_in + tokens_out,
            llm_calls=n_calls,
            money=_price(row.config, tokens_in, tokens_out),
        )

    def spent(self) -> dict[str, Any]:
        """What the study has cost: exploration, tokens and requests of language models, money where it is known."""
        mine, call = m.Run.study_id == self.study.id, m.LLMCall
        events = _sums(m.Event).join(m.Run, m.Run.id == m.Event.run_id).where(mine)
        by_run = (
            sa.select(call.run_id, sa.func.count(), sa.func.sum(call.tokens_in), sa.func.sum(call.tokens_out))
            .join(m.Run, m.Run.id == call.run_id)
            .where(mine)
            .group_by(call.run_id)
        )
        (explored, _), calls = self._read(lambda s: (s.execute(events).one(), s.execute(by_run).all()))
        asked = [run_id for run_id, *_ in calls]
        configs = {run.id: run.config for run in self.all(m.Run, m.Run.id.in_(asked))} if asked else {}
        prices = [_price(configs[run_id], given, got) for run_id, _, given, got in calls]
        return {
            "explored": explored,
            "llm_calls": sum(n for _, n, _, _ in calls),
            "tokens": sum(given + got for _, _, given, got in calls),
            "money": sum(p for p in prices if p is not None) if any(p is not None for p in prices) else None,
        }

    def limits(self, run_id: int) -> dict[str, Any]:
        """The limits that a run was last resumed with, where they were changed."""
        changed: dict[str, Any] = {}
        for event in self.all(m.Event, m.Event.run_id == run_id, m.Event.kind == "resumed"):
            changed |= event.payload.get("limits", {})
        return changed

    def counts(self, run_id: int | None = None, judged: Mapping[int, Judgement] | None = None) -> Counts:
        """Denominators: how much was proposed, refused, registered, tested, and what came of it.

        Args:
            run_id: of this run; of the whole study if None.
            judged: what `judgements()` gave, if it has just been asked.
        """
        judgements = self.judgements() if judged is None else judged
        h, e = m.HypothesisRow, m.EvidenceRow
        hypotheses = sa.select(h.id, e.stop).outerjoin(e, e.hypothesis_id == h.id)
        hypotheses = hypotheses.where(self._mine if run_id is None else h.run_id == run_id)
        proposals = sa.select(sa.func.count(m.Proposal.id)).where(self._of_study(m.Proposal.run_id, run_id))
        refusals = proposals.join(m.Refusal, m.Refusal.proposal_id == m.Proposal.id)
        proposed, refused, rows = self._read(
            lambda s: (s.scalars(proposals).one(), s.scalars(refusals).one(), s.execute(hypotheses).all())
        )
        found = [judgements[key] for key, _ in rows]
        return Counts(
            proposed=proposed,
            refused=refused,
            registered=len(rows),
            tested=sum(stop is not None for _, stop in rows),
            confirmed=sum(j.state == "confirmed" for j in found),
            groups=len({j.group for j in found if j.state == "confirmed"}),
            refuted=sum(j.state == "refuted" for j in found),
            inconclusive=sum(j.state == "inconclusive" for j in found),
            crashed=sum(stop == "crashed" for _, stop in rows),
        )

    # -- the ledger --------------------------------------------------------------------------------------------------

    def ledger_head(self) -> str:
        """The newest entry's hash: quote it, and nothing before it can be changed unnoticed."""
        entries = sa.select(m.LedgerEntry.entry_hash).order_by(m.LedgerEntry.id.desc()).limit(1)
        return self._read(lambda s: s.execute(entries).scalar()) or GENESIS

    def holds(self, entry_hash: str) -> bool:
        """Whether the chain has an entry with this hash."""
        found = sa.select(m.LedgerEntry.id).where(m.LedgerEntry.entry_hash == entry_hash)
        return self._read(lambda s: s.execute(found).scalar()) is not None


def _entry(
    h: m.HypothesisRow,
    e: m.EvidenceRow | None,
    proposer: str,
    batches: int,
    forwards: float | None,
    *,
    judgement: Judgement,
    said: str | None,
) -> Entry:
    """A hypothesis and its evidence as one record. Raises Unreadable: somebody has forged them."""
    with reading(f"evidence row {e.id}" if e is not None else ""):
        evidence = Evidence.model_validate(e.record) if e is not None else None
    with reading(f"hypotheses row {h.id}"):
        entry = Entry(
            id=h.id,
            run_id=h.run_id,
            slot=h.slot,
            claim_hash=h.claim_hash,
            registered_at=h.registered_at,
            record=h.record,
            rationale=h.rationale,
            proposer=proposer,
            batches=batches,
            forwards=h.forwards + (forwards or 0.0),
            evidence=evidence,
            judgement=judgement,
            standing=said,
        )
        entry.check()
    return entry


def _drawn(hypothesis_id: int, *columns: Any) -> Any:
    """These columns of a hypothesis's prompts, in the order they were drawn."""
    ordered = sa.select(*columns).join(m.Batch, m.Batch.id == m.Effect.batch_id)
    return ordered.where(m.Batch.hypothesis_id == hypothesis_id).order_by(m.Batch.number, m.Effect.place)


def to_data(effects: Sequence[m.Effect | sa.Row[Any]]) -> Data:
    """Stored per-prompt numbers as arrays: of rows with a template and what was measured."""
    names = effects[0].measured if effects else {}
    values: Values = {name: np.array([effect.measured[name] for effect in effects], dtype=float) for name in names}
    return Data(values, tuple(effect.template for effect in effects))


def ledger_hash(text: str) -> str:
    """A ledger head as it was noted, with or without the name of its algorithm.

    Raises:
        UserError: it is none; says what one looks like.
    """
    digits = text.strip().lower().removeprefix("sha256:")
    if not re.fullmatch(r"[0-9a-f]{64}", digits):
        raise UserError(
            f"{text!r} is no ledger head: `lakatos verify` prints one, sha256: and 64 hex digits. Give all of them."
        )
    return f"sha256:{digits}"


def _price(config: Mapping[str, Any], tokens_in: int, tokens_out: int) -> float | None:
    """What tokens cost at the prices that a run was told; None where it was told none."""
    prices = config.get("llm_price_in"), config.get("llm_price_out")
    if prices == (None, None):
        return None
    return ((prices[0] or 0.0) * tokens_in + (prices[1] or 0.0) * tokens_out) / 1e6


def _sums(table: type[m.Event] | type[m.HypothesisRow] | type[m.Batch]) -> Any:
    zero = 0.0
    return sa.select(
        sa.func.coalesce(sa.func.sum(table.forwards), zero), sa.func.coalesce(sa.func.sum(table.seconds), zero)
    )
