"""The log as records for people and programs. Tables, JSON, files and pages are made of these.

documents   runs, hypotheses, corrections, reviews
provenance  what lies behind a hypothesis: its proposal, its kin, its deviations
transcript  what a language model was asked and answered
"""

from __future__ import annotations

from lakatos.experiments_db.documents.documents import (
    COLUMNS,
    correction_document,
    entry_line,
    hypothesis_document,
    log_document,
    own_run,
    run_document,
    runs_document,
    study_document,
)
from lakatos.experiments_db.documents.provenance import deviations, kin, proposal_document
from lakatos.experiments_db.documents.transcript import as_markdown, transcript_document

__all__ = [
    "COLUMNS",
    "as_markdown",
    "correction_document",
    "deviations",
    "entry_line",
    "hypothesis_document",
    "kin",
    "log_document",
    "own_run",
    "proposal_document",
    "run_document",
    "runs_document",
    "study_document",
    "transcript_document",
]
