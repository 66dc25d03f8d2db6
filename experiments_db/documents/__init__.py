"""The log as records for people and programs. Tables, JSON, files and pages are made of these.

documents   runs, hypotheses, corrections, reviews
cell        a place in the model, and what was found of it
provenance  what lies behind a hypothesis: its proposal, its kin, its deviations
transcript  what a language model was asked and answered
"""

from __future__ import annotations

from lakatos.experiments_db.documents.cell import Cell
from lakatos.experiments_db.documents.documents import (
    COLUMNS,
    correction_document,
    entry_line,
    hypothesis_document,
    log_document,
    run_document,
    runs_document,
    study_document,
)
from lakatos.experiments_db.documents.provenance import deviations, kin, proposal_document
from lakatos.experiments_db.documents.transcript import as_markdown, transcript_document

__all__ = [
    "COLUMNS",
    "Cell",
    "as_markdown",
    "correction_document",
    "deviations",
    "entry_line",
    "hypothesis_document",
    "kin",
    "log_document",
    "proposal_document",
    "run_document",
    "runs_document",
    "study_document",
    "transcript_document",
]
