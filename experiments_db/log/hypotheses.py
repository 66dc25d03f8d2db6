"""What the log holds of hypotheses: slots, claims, prompts with their numbers, reviews, re-runs."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from lakatos.experiments_db.log import tables as m
from lakatos.experiments_db.log.rows import Rows
from lakatos.experiments_db.log.unreadable import reading
from lakatos.experiments_db.log.values import explored_data, to_data
from lakatos.experiments_db.verdict import Slot
from lakatos.tools.claim import CLAIM, AnyClaim, describe
from lakatos.tools.evidence import Data, Prediction

_AT_ONCE = 500  # ids in one query


class Hypotheses(Rows):
    """The registered hypotheses of a study."""

    @property
    def _mine(self) -> Any:
        return m.HypothesisRow.study_id == self.study.id

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
            .where(self._mine)
            .order_by(h.slot)
        )
        rows = self._read(lambda s: s.connection().execute(select).all())
        atoms = functools.cache(lambda text: tuple(map(sys.intern, json.loads(text))))  # the same few in very many
        return [Slot(*[*row[:8], atoms(row[8]), *row[9:]]) for row in rows]

    def registered(self) -> int:
        """How many hypotheses the study has."""
        return int(self.column_of(sa.select(sa.func.count(m.HypothesisRow.id)).where(self._mine))[0])

    def with_number(self, number: int) -> list[int]:
        """The study's hypothesis of this number, if there is one."""
        return self._ids(m.HypothesisRow.id == number)

    def with_hash(self, beginning: str) -> list[int]:
        """The study's hypotheses whose claim hashes begin with these hex digits."""
        return self._ids(m.HypothesisRow.claim_hash.startswith(f"sha256:{beginning}", autoescape=True))

    def of_proposals(self, proposals: Sequence[int]) -> dict[int, int]:
        """Which hypothesis each of these proposals became: proposal -> hypothesis."""
        h = m.HypothesisRow
        return dict(self.rows_of(sa.select(h.proposal_id, h.id).where(h.proposal_id.in_(proposals)).order_by(h.id)))

    def hypothesis_row(self, hypothesis_id: int) -> m.HypothesisRow:
        """The row of a hypothesis, of whatever study. Raises LookupError: there is none."""
        return self.all(m.HypothesisRow, m.HypothesisRow.id == hypothesis_id)[0]

    def proposal_of(self, hypothesis_id: int) -> m.Proposal:
        """The proposal that a hypothesis was registered from."""
        own = sa.select(m.HypothesisRow.proposal_id).where(m.HypothesisRow.id == hypothesis_id)
        return self.all(m.Proposal, m.Proposal.id.in_(own))[0]

    def about_the_same(self, hypothesis_id: int, prediction: Prediction) -> dict[int, AnyClaim]:
        """The study's other claims about exactly these components, on the same behaviour and weights."""
        h = m.HypothesisRow
        same = (
            h.behaviour_hash == prediction.behaviour_hash,
            h.weights == prediction.weights,
            h.subject == "+".join(prediction.claim.tested.components),
        )
        return dict(self.claims(self._ids(*same, h.id != hypothesis_id)))

    def proposed_beside(self, hypothesis_id: int) -> dict[int, Prediction]:
        """The hypotheses that were proposed in the same round of the same run."""
        h, p = m.HypothesisRow, m.Proposal
        own = self.proposal_of(hypothesis_id)
        beside = sa.select(p.id).where(p.run_id == own.run_id, p.round == own.round)
        rows = self.all(h, h.proposal_id.in_(beside), h.id != hypothesis_id)
        return {row.id: row.prediction() for row in rows}

    def claims(self, ids: Iterable[int]) -> Mapping[int, AnyClaim]:
        """Claims by id."""
        claims = {}
        for key, record in self._records(ids):
            with reading(f"hypotheses row {key}"):
                claims[key] = CLAIM.validate_python(record["claim"])
        return claims

    def texts(self, ids: Iterable[int]) -> dict[int, str]:
        """Claims in one line, by id."""
        texts = {}
        for key, record in self._records(ids):
            with reading(f"hypotheses row {key}"):
                texts[key] = describe(CLAIM.validate_python(record["claim"]), record["behaviour"])
        return texts

    def calibration(self, hypothesis_id: int) -> Data:
        """The exploration numbers that a claim's constants come from: seen before it was registered."""
        found = self.column_of(sa.select(m.HypothesisRow.calibration).where(m.HypothesisRow.id == hypothesis_id))
        with reading(f"hypotheses row {hypothesis_id}"):
            return explored_data(found[0])

    def effects(self, hypothesis_id: int) -> list[m.Effect]:
        """The per-prompt rows of a hypothesis, in the order they were drawn."""
        return self.column_of(_drawn(hypothesis_id, m.Effect))

    def data(self, hypothesis_id: int) -> Data:
        """The stored numbers of a hypothesis."""
        rows = self.rows_of(_drawn(hypothesis_id, m.Effect.template, m.Effect.measured))
        with reading(f"A prompt of hypotheses row {hypothesis_id}"):
            return to_data(rows)

    def batches(self, hypothesis_id: int) -> list[m.Batch]:
        """The batches of a hypothesis, in order."""
        return self.all(m.Batch, m.Batch.hypothesis_id == hypothesis_id)

    def frozen_at(self, hypothesis_id: int) -> str | None:
        """When the evidence of a hypothesis was frozen; None: it has not been."""
        found = self.column_of(sa.select(m.EvidenceRow.at).where(m.EvidenceRow.hypothesis_id == hypothesis_id))
        return found[0] if found else None

    def reviews(self, ids: Sequence[int] | None = None) -> list[m.Review]:
        """What people said of these hypotheses (of the whole study if None), oldest first."""
        mine = sa.select(m.HypothesisRow.id).where(self._mine) if ids is None else ids
        return self.all(m.Review, m.Review.hypothesis_id.in_(mine))

    def reruns(self, ids: Sequence[int] | None = None) -> list[m.Rerun]:
        """What came of running these hypotheses (those of the whole study if None) again, oldest first."""
        mine = sa.select(m.HypothesisRow.id).where(self._mine) if ids is None else ids
        return self.all(m.Rerun, m.Rerun.hypothesis_id.in_(mine))

    def rerun_row(self, number: int) -> m.Rerun:
        """The row of a re-run. Raises LookupError: there is none."""
        return self.all(m.Rerun, m.Rerun.id == number)[0]

    # -- which hypotheses some rows are about ------------------------------------------------------------------------

    def batched(self, batches: Sequence[int]) -> list[int]:
        """The hypotheses of these batches."""
        return self.column_of(sa.select(m.Batch.hypothesis_id).where(m.Batch.id.in_(batches)))

    def reviewed(self, reviews: Sequence[int]) -> list[int]:
        """The hypotheses of these reviews."""
        return self.column_of(sa.select(m.Review.hypothesis_id).where(m.Review.id.in_(reviews)))

    def frozen(self, evidence: Sequence[int]) -> list[int]:
        """The hypotheses of these rows of evidence."""
        return self.column_of(sa.select(m.EvidenceRow.hypothesis_id).where(m.EvidenceRow.id.in_(evidence)))

    # -- what was measured: of the whole database, or of one hypothesis ----------------------------------------------

    def measured_prompts(self, hypothesis_id: int | None) -> Sequence[Any]:
        """Hypothesis, batch number, place and effects row of each prompt of a test."""
        drawn = sa.select(m.Batch.hypothesis_id, m.Batch.number, m.Effect.place, m.Effect.id)
        drawn = drawn.join(m.Batch, m.Batch.id == m.Effect.batch_id)
        return self.rows_of(_only(drawn, m.Batch.hypothesis_id, hypothesis_id))

    def explored_prompts(self, hypothesis_id: int | None) -> list[tuple[int, int]]:
        """Each hypothesis with the number of its exploration prompts."""
        h = m.HypothesisRow
        rows = self.rows_of(_only(sa.select(h.id, h.calibration), h.id, hypothesis_id))
        return [(key, len(calibration["templates"])) for key, calibration in rows]

    def rerun_prompts(self, hypothesis_id: int | None) -> Sequence[Any]:
        """Hypothesis, reruns row and number of prompts of each re-run."""
        again = sa.select(m.Rerun.hypothesis_id, m.Rerun.id, m.Rerun.n)
        return self.rows_of(_only(again, m.Rerun.hypothesis_id, hypothesis_id))

    def _ids(self, *match: Any) -> list[int]:
        return self.column_of(sa.select(m.HypothesisRow.id).where(*match, self._mine))

    def _records(self, ids: Iterable[int]) -> Iterator[Any]:
        wanted = list(ids)
        for start in range(0, len(wanted), _AT_ONCE):
            h = m.HypothesisRow
            yield from self.rows_of(sa.select(h.id, h.record).where(h.id.in_(wanted[start : start + _AT_ONCE])))


def _drawn(hypothesis_id: int, *columns: Any) -> Any:
    """These columns of a hypothesis's prompts, in the order they were drawn."""
    ordered = sa.select(*columns).join(m.Batch, m.Batch.id == m.Effect.batch_id)
    return ordered.where(m.Batch.hypothesis_id == hypothesis_id).order_by(m.Batch.number, m.Effect.place)


def _only(query: Any, column: Any, value: int | None) -> Any:
    return query if value is None else query.where(column == value)
