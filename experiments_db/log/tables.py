"""The tables. Rows are only ever appended; the database itself refuses UPDATE and DELETE (see migrations).

Times are UTC, ISO 8601 with microseconds, so that text order is time order. `digest` is the sha256 of the row's other
columns; the ledger chains the digests of what was appended together.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Boolean, Float, ForeignKey, Index, Integer, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from lakatos.experiments_db.log.row import LATER, Base, Row
from lakatos.experiments_db.log.unreadable import Document
from lakatos.tools.evidence import Prediction
from lakatos.tools.records import content_hash


class Study(Row, Base):
    """The family over which error is controlled; by default everything in this database."""

    __tablename__ = "studies"
    name: Mapped[str] = mapped_column(String(200), unique=True)
    alpha: Mapped[float] = mapped_column(Float)
    secret: Mapped[str] = mapped_column(String(64))  # hex; confirmation seeds are HMACs under it
    secret_source: Mapped[str] = mapped_column(String(16))  # random | seed
    planned: Mapped[int | None] = mapped_column(Integer, info=LATER)  # hypotheses that share most of alpha


class Run(Row, Base):
    """One investigation."""

    __tablename__ = "runs"
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"))
    behaviour: Mapped[str] = mapped_column(String(200))
    behaviour_hash: Mapped[str] = mapped_column(String(71))
    behaviour_definition: Mapped[dict[str, Any]]
    controls: Mapped[dict[str, Any]]  # name -> definition of each control behaviour
    model: Mapped[str] = mapped_column(String(400))
    weights: Mapped[str] = mapped_column(String(71))
    proposer: Mapped[str] = mapped_column(String(40))
    seed: Mapped[str] = mapped_column(String(80))
    config: Mapped[dict[str, Any]]
    environment: Mapped[dict[str, Any]]


class Event(Row, Base):
    """Something that happened in a run: a phase, what it showed, what it cost; a stop, a resume, the end."""

    __tablename__ = "events"
    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id"), index=True)
    kind: Mapped[str] = mapped_column(String(40))
    payload: Mapped[dict[str, Any]]
    forwards: Mapped[float] = mapped_column(Float, default=0.0)
    seconds: Mapped[float] = mapped_column(Float, default=0.0)


class LLMCall(Row, Base):
    """One request to a language model: exactly what was sent and what came back."""

    __tablename__ = "llm_calls"
    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id"), index=True)
    round: Mapped[int] = mapped_column(Integer)
    purpose: Mapped[str] = mapped_column(String(40))
    attempt: Mapped[int] = mapped_column(Integer)
    model: Mapped[str] = mapped_column(String(200))
    prompt: Mapped[str] = mapped_column(String(200))  # name@version
    prompt_hash: Mapped[str] = mapped_column(String(71))
    request: Mapped[dict[str, Any]]
    response: Mapped[str | None] = mapped_column(Text)
    error: Mapped[str | None] = mapped_column(Text)
    tokens_in: Mapped[int] = mapped_column(Integer, default=0)
    tokens_out: Mapped[int] = mapped_column(Integer, default=0)
    seconds: Mapped[float] = mapped_column(Float, default=0.0)


class Proposal(Row, Base):
    """What a proposer put forward, word for word, before anyone judged it."""

    __tablename__ = "proposals"
    __table_args__ = (UniqueConstraint("run_id", "round", "place"),)
    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id"), index=True)
    round: Mapped[int] = mapped_column(Integer)
    place: Mapped[int] = mapped_column(Integer)
    proposal: Mapped[dict[str, Any]]
    llm_call_id: Mapped[int | None] = mapped_column(ForeignKey("llm_calls.id"))


class Refusal(Row, Base):
    """A proposal that was not registered, and why."""

    __tablename__ = "refusals"
    proposal_id: Mapped[int] = mapped_column(ForeignKey("proposals.id"), unique=True)
    kind: Mapped[str] = mapped_column(String(20))  # malformed | duplicate | untestable
    reason: Mapped[str] = mapped_column(Text)
    duplicate_of: Mapped[int | None] = mapped_column(ForeignKey("hypotheses.id"))


class HypothesisRow(Row, Base):
    """A registered claim. `record` is its `Prediction`: what was fixed before any confirmation prompt was drawn."""

    __tablename__ = "hypotheses"
    __table_args__ = (
        UniqueConstraint("study_id", "claim_hash"),
        UniqueConstraint("study_id", "slot"),
        Index("ix_hypotheses_about", "study_id", "behaviour_hash", "weights", "subject"),
    )
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"))
    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id"), index=True)
    proposal_id: Mapped[int] = mapped_column(ForeignKey("proposals.id"), unique=True)
    claim_hash: Mapped[str] = mapped_column(String(71))
    slot: Mapped[int] = mapped_column(Integer)  # 1, 2, ...
    registered_at: Mapped[str] = mapped_column(String(32))
    kind: Mapped[str] = mapped_column(String(20))
    behaviour: Mapped[str] = mapped_column(String(200))
    behaviour_hash: Mapped[str] = mapped_column(String(71))
    weights: Mapped[str] = mapped_column(String(71))
    subject: Mapped[str] = mapped_column(Text)  # the components, in canonical form
    atoms: Mapped[list[Any]]  # what overlaps with other claims: see `lakatos.tools.claim.atoms`
    record: Mapped[dict[str, Any]]
    rationale: Mapped[str] = mapped_column(Text)
    calibration: Mapped[dict[str, Any]]  # the exploration values that the constants in `record` come from
    forwards: Mapped[float] = mapped_column(Float)
    seconds: Mapped[float] = mapped_column(Float)

    def prediction(self) -> Prediction:
        """The record, typed. Raises ValueError: it is not one of lakatos."""
        return Prediction.model_validate(self.record)


class Stream(Row, Base):
    """Confirmation prompts that claims share. It was opened when all of them were registered; nobody joins it."""

    __tablename__ = "streams"
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), index=True)
    members: Mapped[list[Any]]  # the hashes of its claims, in the order of their slots
    nonce: Mapped[str] = mapped_column(String(64))  # hex; drawn when the stream was opened
    seed: Mapped[str] = mapped_column(String(80))  # of its pairs: an HMAC of members and nonce


class Draw(Row, Base):
    """Prompts of a stream that were drawn together, and the numbers that belong to no single claim."""

    __tablename__ = "draws"
    __table_args__ = (UniqueConstraint("stream_id", "number"),)
    stream_id: Mapped[int] = mapped_column(ForeignKey("streams.id"))
    number: Mapped[int] = mapped_column(Integer)
    drawn_at: Mapped[str] = mapped_column(String(32))
    common: Mapped[dict[str, Any]]  # logit_diff.clean, control.NAME.clean, ...: a number for each prompt, in order


class Prompt(Row, Base):
    """One prompt of a draw."""

    __tablename__ = "prompts"
    __table_args__ = (UniqueConstraint("stream_id", "uid"), UniqueConstraint("draw_id", "place"))
    stream_id: Mapped[int] = mapped_column(ForeignKey("streams.id"))
    draw_id: Mapped[int] = mapped_column(ForeignKey("draws.id"))
    place: Mapped[int] = mapped_column(Integer)
    uid: Mapped[str] = mapped_column(String(32))
    template: Mapped[str] = mapped_column(String(200))
    prompt: Mapped[dict[str, Any]]  # clean, corrupted, answer, wrong


class Batch(Row, Base):
    """What a claim's battery showed on a draw. Logs of before streams have a draw of its own for each claim."""

    __tablename__ = "batches"
    __table_args__ = (UniqueConstraint("hypothesis_id", "number"), Index("ix_batches_draw", "draw_id"))
    hypothesis_id: Mapped[int] = mapped_column(ForeignKey("hypotheses.id"))
    number: Mapped[int] = mapped_column(Integer)  # of this claim's test
    seed: Mapped[str] = mapped_column(String(80))
    drawn_at: Mapped[str] = mapped_column(String(32))
    e_after: Mapped[float] = mapped_column(Float)
    engine: Mapped[str] = mapped_column(String(20))
    forwards: Mapped[float] = mapped_column(Float)  # its share of what the draw cost
    seconds: Mapped[float] = mapped_column(Float)
    draw_id: Mapped[int | None] = mapped_column(ForeignKey("draws.id"), info=LATER)
    own: Mapped[dict[str, Any] | None] = mapped_column(Document(dict), info=LATER)  # like `Draw.common`, by claim


class Effect(Row, Base):
    """One prompt of one test, in logs of before streams: its raw numbers, by the names of `record["measures"]`."""

    __tablename__ = "effects"
    __table_args__ = (UniqueConstraint("claim_hash", "uid"),)
    batch_id: Mapped[int] = mapped_column(ForeignKey("batches.id"), index=True)
    claim_hash: Mapped[str] = mapped_column(String(71))
    place: Mapped[int] = mapped_column(Integer)
    uid: Mapped[str] = mapped_column(String(32))
    template: Mapped[str] = mapped_column(String(200))
    prompt: Mapped[dict[str, Any]]  # clean, corrupted, answer, wrong
    measured: Mapped[dict[str, Any]]  # clean, corrupted, intervened, random.0, control.NAME.clean, ...


class EvidenceRow(Row, Base):
    """A finished test, frozen; of a test that was extended and finished again, the newest counts."""

    __tablename__ = "evidence"
    hypothesis_id: Mapped[int] = mapped_column(ForeignKey("hypotheses.id"), index=True)
    e: Mapped[float] = mapped_column(Float)
    p: Mapped[float] = mapped_column(Float)
    stop: Mapped[str] = mapped_column(String(20))
    record: Mapped[dict[str, Any]]  # an `Evidence`


class Extension(Row, Base):
    """A test that ended without a confirmation may go on: on fresh prompts, from the e-value that it had."""

    __tablename__ = "extensions"
    hypothesis_id: Mapped[int] = mapped_column(ForeignKey("hypotheses.id"), index=True)
    begun: Mapped[int] = mapped_column(Integer)  # prompts that the test had used
    pairs: Mapped[int] = mapped_column(Integer)  # how many more it may use


class Review(Row, Base):
    """What a person says of a hypothesis, beside the machine's verdict: nothing of it changes a verdict."""

    __tablename__ = "reviews"
    hypothesis_id: Mapped[int] = mapped_column(ForeignKey("hypotheses.id"), index=True)
    author: Mapped[str] = mapped_column(String(100))  # as given: nobody checks it
    decision: Mapped[str] = mapped_column(String(20))  # score | accept | dispute | replicate | retract
    score: Mapped[int | None] = mapped_column(
        Integer
    )  # 1 (not credible) to 5 (beyond doubt), where that is the decision
    reason: Mapped[str] = mapped_column(Text)
    blind: Mapped[bool] = mapped_column(Boolean)  # the rationale was hidden from the author


class Rerun(Row, Base):
    """A tested claim put to the question again on fresh prompts: does it still hold?"""

    __tablename__ = "reruns"
    hypothesis_id: Mapped[int] = mapped_column(ForeignKey("hypotheses.id"), index=True)
    model: Mapped[str] = mapped_column(String(400))
    weights: Mapped[str] = mapped_column(String(71))
    outcome: Mapped[str] = mapped_column(String(20))  # held | failed | undecided
    n: Mapped[int] = mapped_column(Integer)  # prompts
    seed: Mapped[str] = mapped_column(String(80))
    environment: Mapped[dict[str, Any]]
    record: Mapped[dict[str, Any]]  # the claim's tolerances, and what each line of its battery showed
    prompts: Mapped[list[Any]]  # uid, template and measured numbers of each prompt
    forwards: Mapped[float] = mapped_column(Float)
    seconds: Mapped[float] = mapped_column(Float)


class LedgerEntry(Base):
    """One append: which rows, and the hash that chains it to the one before. No two can follow the same one."""

    __tablename__ = "ledger"
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    rows: Mapped[list[Any]]  # [table, id, digest] of each row
    previous: Mapped[str] = mapped_column(String(71), unique=True)
    entry_hash: Mapped[str] = mapped_column(String(71), unique=True)

    def compute_hash(self) -> str:
        """The hash that the entry's content has, whatever the column says."""
        return content_hash({"id": self.id, "rows": self.rows, "previous": self.previous})


CHAINED: tuple[type[Row], ...] = (
    Study,
    Run,
    Event,
    LLMCall,
    Proposal,
    Refusal,
    HypothesisRow,
    Stream,
    Draw,
    Prompt,
    Batch,
    Effect,
    EvidenceRow,
    Extension,
    Review,
    Rerun,
)
