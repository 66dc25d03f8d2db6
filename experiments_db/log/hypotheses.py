"""What the log holds of hypotheses: slots, claims, prompts with their numbers, reviews, re-runs."""

from __future__ import annotations

import functools
import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from lakatos.experiments_db.log import tables as m
from lakatos.experiments_db.log.rows import RowReader
from lakatos.experiments_db.log.unreadable import reading
from lakatos.experiments_db.log.values import Rows, Tested, explored_data, passed_over, to_data
from lakatos.experiments_db.verdict import Slot
from lakatos.tools.claim import CLAIM, AnyClaim, describe
from lakatos.tools.evidence import Data, Prediction

_AT_ONCE = 500  # ids in one query


def _frozen() -> Any:
    h, e, x, again = m.HypothesisRow, m.EvidenceRow, m.Extension, aliased(m.EvidenceRow)
    extensions = sa.select(sa.func.count(x.id)).where(x.hypothesis_id == h.id).correlate(h).scalar_subquery()
    newest = sa.select(sa.func.max(again.id)).where(again.hypothesis_id == h.id).correlate(h)
    return sa.and_(
        e.hypothesis_id == h.id,
        e.id == newest.having(sa.func.count(again.id) > extensions).scalar_subquery(),
    )


FROZEN = _frozen()  # joins hypotheses with what stands: the newest evidence, unless an extension has reopened the test


class HypothesisReader(RowReader):
    """The registered hypotheses of a study."""

    @property
    def _mine(self) -> Any:
        return m.HypothesisRow.study_id == self.study.id

    def untested(self, run_id: int) -> int:
        """How many proposals of a run are not settled yet: neither refused nor tested to their end."""
        h, p = m.HypothesisRow, m.Proposal
        ended = sa.select(m.EvidenceRow.hypothesis_id)
        settled = sa.select(h.proposal_id).where(h.id.in_(ended)).union(sa.select(m.Refusal.proposal_id))
        waiting = sa.select(sa.func.count(p.id)).where(p.run_id == run_id, p.id.not_in(settled))
        return int(self.column_of(waiting)[0])

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
            .select_from(h)
            .outerjoin(e, FROZEN)
            .outerjoin(count, count.c.hypothesis_id == h.id)
            .where(self._mine)
            .order_by(h.slot)
        )
        rows = self._read(lambda s: s.connection().execute(select).all())
        atoms = functools.cache(lambda text: tuple(map(sys.intern, json.loads(text))))  # the same few in very many
        planned = self.study.planned
        return [Slot(*[*row[:8], atoms(row[8]), *row[9:], planned]) for row in rows]

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

    def prompts(self, hypothesis_id: int) -> list[Tested]:
        """The prompts of a hypothesis's test with their numbers, in the order they were drawn."""
        row = self.hypothesis_row(hypothesis_id)
        batches = self.batches(hypothesis_id)
        of_draw = [b.draw_id for b in batches if b.draw_id is not None]
        draws = self.all(m.Draw, m.Draw.id.in_(of_draw))
        prompts, effects = defaultdict(list), defaultdict(list)
        for prompt in self.all(m.Prompt, m.Prompt.draw_id.in_(of_draw)):
            prompts[prompt.draw_id].append(prompt)
        for effect in self.all(m.Effect, m.Effect.batch_id.in_([b.id for b in batches if b.draw_id is None])):
            effects[effect.batch_id].append(effect)
        with reading(f"A prompt of hypotheses row {hypothesis_id}"):
            return Rows({draw.id: draw for draw in draws}, prompts, effects).tested(row.prediction(), batches)

    def data(self, hypothesis_id: int) -> Data:
        """The stored numbers of a hypothesis."""
        prompts = self.prompts(hypothesis_id)
        with reading(f"A prompt of hypotheses row {hypothesis_id}"):
            return to_data(prompts)

    def batches(self, hypothesis_id: int) -> list[m.Batch]:
        """The batches of a hypothesis, in order."""
        return self.all(m.Batch, m.Batch.hypothesis_id == hypothesis_id)

    def stop_of(self, hypothesis_id: int) -> str | None:
        """Why the test of a hypothesis ended; None: it has not."""
        e = m.EvidenceRow
        frozen = sa.select(e.stop).join(m.HypothesisRow, FROZEN).where(e.hypothesis_id == hypothesis_id)
        return next(iter(self.column_of(frozen)), None)

    def frozen_at(self, hypothesis_id: int) -> str | None:
        """When the evidence of a hypothesis was frozen; None: it has not been."""
        e = m.EvidenceRow
        frozen = sa.select(e.at).join(m.HypothesisRow, FROZEN).where(e.hypothesis_id == hypothesis_id)
        return next(iter(self.column_of(frozen)), None)

    def extensions(self, ids: Sequence[int] | None = None) -> list[m.Extension]:
        """The extensions of the tests of these hypotheses (of the whole study if None), oldest first."""
        mine = sa.select(m.HypothesisRow.id).where(self._mine) if ids is None else ids
        return self.all(m.Extension, m.Extension.hypothesis_id.in_(mine))

    # -- streams -----------------------------------------------------------------------------------------------------

    def streams(self) -> list[m.Stream]:
        """Every stream of the study, in the order of their opening."""
        return self.all(m.Stream, m.Stream.study_id == self.study.id)

    def draws_of(self, hypothesis_id: int) -> dict[int, tuple[m.Stream, int]]:
        """The stream of each batch of a test, and the number of its draw there. Batches of before streams have none."""
        b = m.Batch
        query = sa.select(b.number, m.Draw.stream_id, m.Draw.number).join(m.Draw, m.Draw.id == b.draw_id)
        taken = self.rows_of(query.where(b.hypothesis_id == hypothesis_id))
        streams = {s.id: s for s in self.all(m.Stream, m.Stream.id.in_({stream for _, stream, _ in taken}))}
        return {number: (streams[stream], drawn) for number, stream, drawn in taken}

    def passed_over(self, stream: m.Stream) -> frozenset[str]:
        """What a stream leaves out, because its claims had bet on it before; see `values.passed_over`."""
        rows = self.all(m.HypothesisRow, self._mine, m.HypothesisRow.claim_hash.in_(stream.members))
        bet = self.bet_on([row.id for row in rows], stream.id)
        return passed_over(rows[0].prediction().battery.unit, bet) if bet else frozenset()

    def drawn(self, stream_id: int) -> int:
        """How many draws a stream has had."""
        return int(self.column_of(sa.select(sa.func.count(m.Draw.id)).where(m.Draw.stream_id == stream_id))[0])

    def bet_on(self, hypotheses: Sequence[int], before: int) -> list[tuple[str, str]]:
        """Uid and template of each prompt that tests of these hypotheses used before a stream was opened."""
        b = m.Batch
        alone = sa.select(m.Effect.uid, m.Effect.template).join(b, b.id == m.Effect.batch_id)
        shared = sa.select(m.Prompt.uid, m.Prompt.template).join(b, b.draw_id == m.Prompt.draw_id)
        of_older = (alone, shared.where(m.Prompt.stream_id < before))
        found = [self.rows_of(query.where(b.hypothesis_id.in_(hypotheses))) for query in of_older]
        return [(uid, template) for rows in found for uid, template in rows]

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

    def measured_prompts(self, hypothesis_id: int | None) -> list[tuple[int, int, int]]:
        """Hypothesis, batch number and place of each prompt of a test."""
        b = m.Batch
        shared = sa.select(b.hypothesis_id, b.number, m.Prompt.place).join(m.Prompt, m.Prompt.draw_id == b.draw_id)
        alone = sa.select(b.hypothesis_id, b.number, m.Effect.place).join(m.Effect, m.Effect.batch_id == b.id)
        both = [self.rows_of(_only(query, b.hypothesis_id, hypothesis_id)) for query in (shared, alone)]
        return sorted((h, number, place) for rows in both for h, number, place in rows)

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


def _only(query: Any, column: Any, value: int | None) -> Any:
    return query if value is None else query.where(column == value)
