"""Investigations: one a row, and one whole with what was looked at, what it cost and what a language model said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lakatos.experiments_db.documents.hypothesis import HypothesisDocument, hypothesis_document
from lakatos.experiments_db.documents.record import Document
from lakatos.experiments_db.documents.study import StudyDocument, study_document
from lakatos.experiments_db.log import Counts, LLMCall, Refused, RunRecord
from lakatos.experiments_db.store import Store
from lakatos.experiments_db.verdict import Judgement


@dataclass(frozen=True)
class RunLine(Document):
    """An investigation in one row, with spend and denominators."""

    id: int
    study: str | StudyDocument  # its name; in a whole document the study itself
    at: str
    behaviour: str
    model: str
    proposer: str
    status: str
    seed: str
    counts: Counts
    forwards: float
    seconds: float
    tokens: int
    llm_calls: int
    money: float | None  # None: the run was told no price

    @classmethod
    def of(cls, store: Store, run: RunRecord, judged: Mapping[int, Judgement]) -> RunLine:
        """The row of a run."""
        return cls(
            id=run.id,
            study=run.study,
            at=run.at,
            behaviour=run.behaviour,
            model=run.model,
            proposer=run.proposer,
            status=run.status,
            seed=run.seed,
            counts=store.counted(judged, run.id),
            forwards=run.forwards,
            seconds=run.seconds,
            tokens=run.tokens,
            llm_calls=run.llm_calls,
            money=run.money,
        )


@dataclass(frozen=True)
class Phase(Document):
    """What a run spent on one thing."""

    phase: str
    seconds: float
    forwards: float


@dataclass(frozen=True)
class Moment(Document):
    """Something that happened in a run."""

    at: str
    kind: str
    reason: str | None  # why, or who did it


@dataclass(frozen=True)
class CallLine(Document):
    """One request to a language model."""

    purpose: str
    model: str
    prompt: str
    tokens: int
    error: str | None

    @classmethod
    def of(cls, call: LLMCall) -> CallLine:
        """The row of a request."""
        return cls(call.purpose, call.model, call.prompt, call.tokens_in + call.tokens_out, call.error)


@dataclass(frozen=True)
class LookedAt(Document):
    """A run of this database, whatever its study, and what became of it: the selection of tasks."""

    run: int
    behaviour: str
    model: str
    status: str
    tested: int
    confirmed: int


@dataclass(frozen=True)
class RunFacts(Document):
    """What a run was about, what happened in it, what exploration found, what a language model said."""

    study: StudyDocument
    behaviour_version: int
    behaviour_hash: str
    question: str
    selected_because: str
    considered: Any  # other behaviours
    weights: str
    config: Mapping[str, Any]
    environment: Mapping[str, Any]
    presence: Mapping[str, Any] | None  # None: it was not looked for
    explored: Mapping[str, Any] | None
    phases: tuple[Phase, ...]
    timeline: tuple[Moment, ...]
    prose: tuple[str, ...]
    llm: tuple[CallLine, ...]


@dataclass(frozen=True)
class RunDocument(RunFacts, RunLine):
    """One investigation whole: selection statement, presence, exploration, hypotheses, refusals, prose, spend."""

    study: StudyDocument
    looked_at_before: tuple[LookedAt, ...]
    unlisted_before: int  # more of them
    hypotheses: tuple[HypothesisDocument, ...]
    refused: tuple[Refused, ...]


def run_lines(store: Store) -> list[RunLine]:
    """Every investigation, with spend and denominators."""
    judged = store.judgements()
    return [RunLine.of(store, run, judged) for run in store.runs()]


def run_document(store: Store, run_id: int) -> RunDocument:
    """One investigation whole.

    Raises:
        UserError: there is no such run in this study.
    """
    facts = run_facts(store, run_id)
    return RunDocument(
        **vars(RunLine.of(store, store.run(run_id), store.judgements())) | vars(facts),
        looked_at_before=_looked_at_before(store, run_id),
        unlisted_before=0,
        hypotheses=tuple(hypothesis_document(store, e) for e in store.hypotheses(run_id)),
        refused=tuple(store.refused(run_id)),
    )


def run_facts(store: Store, run_id: int) -> RunFacts:
    """What a run was about and what happened in it.

    Raises:
        UserError: there is no such run in this study.
    """
    row, events, calls = store.own_run(run_id), store.events(run_id), store.calls(run_id)
    payloads = {event.kind: event.payload for event in events}
    definition = row.behaviour_definition
    return RunFacts(
        study=study_document(store),
        behaviour_version=definition["version"],
        behaviour_hash=row.behaviour_hash,
        question=definition["question"],
        selected_because=definition["selected_because"],
        considered=definition["considered"],
        weights=row.weights,
        config=row.config,
        environment=row.environment,
        presence=payloads.get("checked"),
        explored=payloads.get("explored"),
        phases=tuple(Phase(*spent) for spent in store.phases(run_id)),
        timeline=tuple(Moment(e.at, e.kind, e.payload.get("reason") or e.payload.get("author")) for e in events),
        prose=tuple(c.response for c in calls if c.purpose == "interpret" and c.response),
        llm=tuple(CallLine.of(call) for call in calls),
    )


def _looked_at_before(store: Store, run_id: int) -> tuple[LookedAt, ...]:
    """Every run in this database before this one."""
    studies = store.every_study()
    judged = {key: judgement for study in studies for key, judgement in study.judgements().items()}
    before = sorted((r for study in studies for r in study.runs() if r.id < run_id), key=lambda r: r.id)
    counted = [(run, store.counted(judged, run.id)) for run in before]
    return tuple(LookedAt(r.id, r.behaviour, r.model, r.status, n.tested, n.confirmed) for r, n in counted)
