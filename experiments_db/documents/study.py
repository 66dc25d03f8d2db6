"""Studies as documents: their plan, how their error is controlled, and what was tried in them."""

from __future__ import annotations

from dataclasses import dataclass

from lakatos.experiments_db.documents.record import Document
from lakatos.experiments_db.store import Store
from lakatos.experiments_db.verdict import OFFICIAL
from lakatos.tools.multiplicity import slot_weights, success_threshold


@dataclass(frozen=True)
class StudyLine(Document):
    """A study in one row: its plan, what was tried in it, and what the next hypothesis needs."""

    name: str
    at: str
    alpha: float
    planned: int | None  # hypotheses
    secret: str  # where it came from: random, seed
    registered: int
    tested: int
    confirmed: int
    first_threshold: float  # the e-value that confirms the first hypothesis alone
    next_threshold: float


@dataclass(frozen=True)
class StudyDocument(Document):
    """The study: over what error is controlled, how, and the ledger's head."""

    name: str
    alpha: float
    planned: int | None
    method: str
    family: str  # over what error is controlled, in words
    other_studies: tuple[str, ...]  # of the same database
    secret: str
    ledger_head: str


def study_line(store: Store) -> StudyLine:
    """A study in one row."""
    study, counts = store.study, store.counts()
    weights = slot_weights(counts.registered + 1, study.planned)
    return StudyLine(
        name=study.name,
        at=study.at,
        alpha=study.alpha,
        planned=study.planned,
        secret=study.secret_source,
        registered=counts.registered,
        tested=counts.tested,
        confirmed=counts.confirmed,
        first_threshold=success_threshold(float(weights[0]), study.alpha),
        next_threshold=success_threshold(float(weights[-1]), study.alpha),
    )


def study_document(store: Store) -> StudyDocument:
    """The study as every page names it."""
    study = store.study
    others = tuple(other for other in store.studies() if other != study.name)
    return StudyDocument(
        name=study.name,
        alpha=study.alpha,
        planned=study.planned,
        method=OFFICIAL,
        family=f"the study {study.name}" if others else "every hypothesis in this database",
        other_studies=others,
        secret=study.secret_source,
        ledger_head=store.ledger_head(),
    )
