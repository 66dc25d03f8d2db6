"""What the log holds of runs: what each began with, what happened in it, what was proposed, what it has spent."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, Literal

import sqlalchemy as sa
from sqlalchemy.orm import Session

from lakatos.experiments_db.log import tables as m
from lakatos.experiments_db.log.records import Refused, RunRecord, Status
from lakatos.experiments_db.log.rows import RowReader
from lakatos.tools.errors import NotThere

SEARCHED: Final = "searched"  # the kind of event that says what a proposer looked for on exploration prompts
EXPLAINED: Final = "explained"  # ... that holds what the confirmed nodes of a run do together, prompt by prompt
_PHASES: Mapping[str, str] = {  # kinds of events that cost something
    "checked": "checking the behaviour",
    "explored": "exploring",
    "searching": "searching, interrupted",
    SEARCHED: "searching",
    EXPLAINED: "measuring what is explained",
}
_STATUS: Mapping[str, Status] = {"stopped": "stopped", "failed": "failed", "finished": "finished"}
_ENDS = ("started", "resumed", *_STATUS)  # kinds of events that say where a run stands


class RunReader(RowReader):
    """The runs of a study."""

    def run_row(self, run_id: int) -> m.Run:
        """A run's row.

        Raises:
            UserError: there is no such run.
        """
        row = self._read(lambda s: s.get(m.Run, run_id))
        if row is None:
            raise NotThere(f"There is no run {run_id} in {self.engine.url}; `lakatos runs` lists them.")
        return row

    def own_run(self, run_id: int) -> m.Run:
        """A run's row. Raises UserError: there is no such run in this study."""
        row = self.run_row(run_id)
        if row.study_id != self.study.id:
            other = self.study_of(run_id)
            raise NotThere(f"Run {run_id} is of another study, {other}: `--study {other}` shows it.")
        return row

    def study_of(self, run_id: int) -> str:
        """The study that a run belongs to. Raises UserError: there is no such run."""
        study_id = self.run_row(run_id).study_id
        return str(self.column_of(sa.select(m.Study.name).where(m.Study.id == study_id))[0])

    def runs(self) -> list[RunRecord]:
        """Every investigation of the study with what it spent."""
        return [self.run(key) for key in self.run_ids()]

    def run_ids(self) -> list[int]:
        """The study's runs, oldest first."""
        return self.column_of(self._own.order_by(m.Run.id))

    def newest_runs(self, most: int, skip: int = 0, before: int | None = None) -> list[int]:
        """Some of the study's runs, the newest first; only those that were begun before one, if it is given."""
        which = self._own if before is None else self._own.where(m.Run.id < before)
        return self.column_of(which.order_by(m.Run.id.desc()).limit(most).offset(skip))

    def runs_before(self, run_id: int) -> int:
        """How many runs of this database came before one, whatever their study."""
        return int(self.column_of(sa.select(sa.func.count(m.Run.id)).where(m.Run.id < run_id))[0])

    def definition(self, behaviour: str) -> dict[str, Any]:
        """A behaviour as the newest run of the study about it defines it."""
        about = (m.Run.study_id == self.study.id, m.Run.behaviour == behaviour)
        newest = sa.select(m.Run.behaviour_definition).where(*about).order_by(m.Run.id.desc()).limit(1)
        return dict(self.column_of(newest)[0])

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
        ends = [kind for kind in kinds if kind in _ENDS]
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
            status=_STATUS.get(ends[-1] if ends else "", "running"),
            forwards=sum(forwards for forwards, _ in spent),
            seconds=sum(seconds for _, seconds in spent) + llm_seconds,
            tokens=tokens_in + tokens_out,
            llm_calls=n_calls,
            money=_price(row.config, tokens_in, tokens_out),
        )

    def phases(self, run_id: int) -> list[tuple[str, float, float]]:
        """What a run spent on what, the most seconds first: phase, seconds, forward passes."""
        mine = m.HypothesisRow.run_id == run_id
        tests = _sums(m.Batch).join(m.HypothesisRow, m.HypothesisRow.id == m.Batch.hypothesis_id).where(mine)
        events = _sums(m.Event).add_columns(m.Event.kind).where(m.Event.run_id == run_id).group_by(m.Event.kind)
        answers = sa.select(sa.func.sum(m.LLMCall.seconds)).where(m.LLMCall.run_id == run_id)
        found = [(_PHASES[kind], s, f) for f, s, kind in self.rows_of(events) if kind in _PHASES]
        for phase, query in (("fixing constants", _sums(m.HypothesisRow).where(mine)), ("testing", tests)):
            found += [(phase, s, f) for f, s in self.rows_of(query)]
        found.append(("asking a language model", float(self.column_of(answers)[0] or 0.0), 0.0))
        return sorted((own for own in found if own[1] > 0), key=lambda own: -own[1])

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

    # -- what happened in a run --------------------------------------------------------------------------------------

    def events(self, run_id: int, *kinds: str) -> list[m.Event]:
        """What happened in a run, in order: everything, or these kinds."""
        return self.all(m.Event, m.Event.run_id == run_id, *([m.Event.kind.in_(kinds)] if kinds else []))

    def event_of(self, run_id: int, kind: str) -> m.Event | None:
        """The newest event of this kind."""
        found = self.events(run_id, kind)
        return found[-1] if found else None

    def every_event(self, kind: str) -> list[m.Event]:
        """The events of this kind of every run of the database."""
        return self.all(m.Event, m.Event.kind == kind)

    def stages(self, run_id: int, round_: int | None = None) -> list[dict[str, Any]]:
        """The stages of a run's search, or of one of its rounds: stage, and the proposals that it made and left."""
        events = self.events(run_id, SEARCHED)
        own = [e for e in events if round_ is None or e.payload["round"] == round_]
        return [stage for event in own for stage in event.payload["stages"]]

    def failures(self, most: int) -> list[tuple[m.Event, m.Run]]:
        """The newest failures of the study's runs."""
        failed = sa.select(m.Event, m.Run).join(m.Run, m.Run.id == m.Event.run_id)
        failed = failed.where(m.Event.kind == "failed", m.Run.study_id == self.study.id)
        return [(event, run) for event, run in self.rows_of(failed.order_by(m.Event.id.desc()).limit(most))]

    def last_heard(self, run_id: int) -> str:
        """When a run last appended anything; empty: never."""
        events = sa.select(sa.func.max(m.Event.at)).where(m.Event.run_id == run_id)
        batches = sa.select(sa.func.max(m.Batch.at)).join(m.HypothesisRow, m.HypothesisRow.id == m.Batch.hypothesis_id)
        newest = [*self.column_of(events), *self.column_of(batches.where(m.HypothesisRow.run_id == run_id))]
        return max(filter(None, newest), default="")

    def limits(self, run_id: int) -> dict[str, Any]:
        """The limits that a run was last resumed with, where they were changed."""
        changed: dict[str, Any] = {}
        for event in self.events(run_id, "resumed"):
            changed |= event.payload.get("limits", {})
        return changed

    def calls(
        self,
        run_id: int,
        round_: int | None = None,
        purpose: Literal["propose", "question", "interpret"] | None = None,
    ) -> list[m.LLMCall]:
        """A run's requests to a language model, in order: all, or those of a round, or for a purpose."""
        where = [m.LLMCall.run_id == run_id]
        where += [] if round_ is None else [m.LLMCall.round == round_]
        where += [] if purpose is None else [m.LLMCall.purpose == purpose]
        return self.all(m.LLMCall, *where)

    # -- what was proposed in a run ----------------------------------------------------------------------------------

    def proposals(self, run_id: int, round_: int | None = None) -> list[m.Proposal]:
        """What was put forward in a run, or in one of its rounds, in order."""
        return self.all(
            m.Proposal, m.Proposal.run_id == run_id, *([] if round_ is None else [m.Proposal.round == round_])
        )

    def refusals(self, proposals: Sequence[int]) -> dict[int, m.Refusal]:
        """What became of those of these proposals that were refused, by proposal."""
        return {row.proposal_id: row for row in self.all(m.Refusal, m.Refusal.proposal_id.in_(proposals))}

    def proposals_refused(self, refusals: Sequence[int]) -> list[int]:
        """The proposals of these refusals."""
        return self.column_of(sa.select(m.Refusal.proposal_id).where(m.Refusal.id.in_(refusals)))

    def runs_of_proposals(self, proposals: Sequence[int]) -> list[int]:
        """The run of each of these proposals."""
        return self.column_of(sa.select(m.Proposal.run_id).where(m.Proposal.id.in_(proposals)))

    def refused(self, run_id: int | None = None) -> list[Refused]:
        """Proposals that were not registered, and why: of a run, or of the study."""
        return self._refused(self._of_study(m.Proposal.run_id, run_id), m.Refusal.id)

    def newest_refused(self, most: int, skip: int) -> list[Refused]:
        """Some of the study's proposals that were not registered, the newest first."""
        return self._refused(self._of_study(m.Proposal.run_id, None), m.Refusal.id.desc(), most, skip)

    def proposed_and_refused(self, runs: Collection[int]) -> list[tuple[int, str, int, int]]:
        """Of these runs: number, behaviour, how many claims were proposed, how many of them refused."""
        proposed = sa.select(m.Proposal.run_id, sa.func.count()).where(m.Proposal.run_id.in_(runs))
        refused = proposed.join(m.Refusal, m.Refusal.proposal_id == m.Proposal.id)
        counts = [dict(self.rows_of(q.group_by(m.Proposal.run_id))) for q in (proposed, refused)]
        names = self.rows_of(sa.select(m.Run.id, m.Run.behaviour).where(m.Run.id.in_(runs)))
        return [(key, name, counts[0].get(key, 0), counts[1].get(key, 0)) for key, name in names]

    def _refused(self, where: Any, order: Any, most: int | None = None, skip: int = 0) -> list[Refused]:
        joined = sa.select(m.Refusal, m.Proposal).join(m.Proposal, m.Proposal.id == m.Refusal.proposal_id)
        rows = self.rows_of(joined.where(where).order_by(order).limit(most).offset(skip))
        return [Refused(p.proposal, r.kind, r.reason, r.duplicate_of) for r, p in rows]

    @property
    def _own(self) -> Any:
        return sa.select(m.Run.id).where(m.Run.study_id == self.study.id)

    def _of_study(self, column: Any, run_id: int | None) -> Any:
        return column == run_id if run_id is not None else column.in_(self._own)


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
