"""Reading the log back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session, defer

from lakatos.experiments_db.log import tables as m
from lakatos.experiments_db.log.hypotheses import FROZEN, HypothesisReader
from lakatos.experiments_db.log.records import Counts, Entry
from lakatos.experiments_db.log.runs import RunReader
from lakatos.experiments_db.log.standing import standing
from lakatos.experiments_db.log.unreadable import reading
from lakatos.experiments_db.verdict import Judgement
from lakatos.tools.evidence import Evidence


class Reader(HypothesisReader, RunReader):
    """What the log says of a study, or of the whole database. It knows no verdict, and takes those it is given."""

    @contextmanager
    def snapshot(self) -> Iterator[Reader]:
        """A reader of the same study that sees the log as it is now, whatever is appended meanwhile."""
        with self._moment() as connection:
            reader = Reader(self.engine, connection)
            if "study" in vars(self):  # a reader of the whole log has none
                reader.study = self.study
            yield reader

    def entries(
        self, judged: Mapping[int, Judgement], ids: Sequence[int] | None = None, run_id: int | None = None
    ) -> list[Entry]:
        """Hypotheses of the study, in slot order, for whoever knows already where they stand.

        Args:
            judged: where each of them stands, by id.
            ids: only these.
            run_id: only those of this run.
        """
        h = m.HypothesisRow
        where = [self._mine]
        where += [] if ids is None else [h.id.in_(ids)]
        where += [] if run_id is None else [h.run_id == run_id]

        def query(session: Session) -> list[Any]:
            its_own = m.Batch.hypothesis_id == h.id  # an index leads to a hypothesis's batches
            n = sa.select(sa.func.count()).select_from(m.Batch).where(its_own).correlate(h).scalar_subquery()
            spent = sa.select(sa.func.sum(m.Batch.forwards)).where(its_own).correlate(h).scalar_subquery()
            return list(
                session.execute(
                    sa.select(h, m.EvidenceRow, m.Run.proposer, n, spent)
                    .options(defer(h.calibration), defer(h.atoms))
                    .select_from(h)
                    .join(m.Run, m.Run.id == h.run_id)
                    .outerjoin(m.EvidenceRow, FROZEN)
                    .where(*where)
                    .order_by(h.slot)
                )
            )

        found = self._read(query)
        only = [row.id for row, *_ in found] if len(where) > 1 else None
        said: dict[int, list[m.Review]] = defaultdict(list)
        for review in self.reviews(only):
            said[review.hypothesis_id].append(review)
        extended: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for x in self.extensions(only):
            extended[x.hypothesis_id].append((x.begun, x.pairs))
        entries = [_entry(*[*row, judged[row[0].id]]) for row in found]
        return [replace(e, extensions=tuple(extended[e.id]), standing=standing(said[e.id])) for e in entries]

    def counted(self, judged: Mapping[int, Judgement], run_id: int | None = None) -> Counts:
        """Denominators: how much was proposed, refused, registered, tested, and what came of it.

        Args:
            judged: where every hypothesis of the study stands, by id.
            run_id: of this run; of the whole study if None.
        """
        h, e = m.HypothesisRow, m.EvidenceRow
        hypotheses = sa.select(h.id, e.stop).select_from(h).outerjoin(e, FROZEN)
        hypotheses = hypotheses.where(self._mine if run_id is None else h.run_id == run_id)
        proposals = sa.select(sa.func.count(m.Proposal.id)).where(self._of_study(m.Proposal.run_id, run_id))
        refusals = proposals.join(m.Refusal, m.Refusal.proposal_id == m.Proposal.id)
        proposed, refused, rows = self._read(
            lambda s: (s.scalars(proposals).one(), s.scalars(refusals).one(), s.execute(hypotheses).all())
        )
        found = [judged[key] for key, _ in rows]
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


def _entry(
    h: m.HypothesisRow,
    e: m.EvidenceRow | None,
    proposer: str,
    batches: int,
    forwards: float | None,
    judgement: Judgement,
) -> Entry:
    """A hypothesis and its evidence as one record. Raises Unreadable: somebody has forged them."""
    with reading(f"evidence row {e.id}" if e is not None else ""):
        evidence = Evidence.model_validate(e.record) if e is not None else None
    with reading(f"hypotheses row {h.id}"):
        return Entry(
            id=h.id,
            run_id=h.run_id,
            slot=h.slot,
            claim_hash=h.claim_hash,
            registered_at=h.registered_at,
            prediction=h.prediction(),
            rationale=h.rationale,
            proposer=proposer,
            batches=batches,
            forwards=h.forwards + (forwards or 0.0),
            evidence=evidence,
            judgement=judgement,
        )
