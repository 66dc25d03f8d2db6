"""The log as records for people and programs. Tables, JSON, files and pages are made of these.

record      what every document is
documents   the log, corrections, reviews
hypothesis  a hypothesis whole
run         investigations: one a row, one whole
study       studies: their plan, and what was tried in them
against     claims on the same prompts, set against one another
line        one hypothesis as a flat row: the columns of tables, files and the index
cell        a place in the model, and what was found of it
commands    that lead back to what a page shows
provenance  what lies behind a hypothesis: its proposal, its kin, its deviations
story       what was done with tools, step by step;  became: what became of proposals
transcript  what a language model was asked and answered
"""

from __future__ import annotations

from lakatos.experiments_db.documents.cell import Cell
from lakatos.experiments_db.documents.commands import options_of, rerun_command
from lakatos.experiments_db.documents.documents import (
    correction_document,
    log_document,
)
from lakatos.experiments_db.documents.hypothesis import (
    HypothesisDocument,
    PromptLine,
    ReviewLine,
    hypothesis_document,
)
from lakatos.experiments_db.documents.line import COLUMNS, FILTERS, KEPT, LACKING, SORTS, TYPES, Line, entry_line
from lakatos.experiments_db.documents.provenance import deviations, kin, proposal_document
from lakatos.experiments_db.documents.record import Document
from lakatos.experiments_db.documents.run import RunDocument, RunFacts, RunLine, run_document, run_facts, run_lines
from lakatos.experiments_db.documents.story import Story, story_markdown, story_of
from lakatos.experiments_db.documents.study import StudyDocument, StudyLine, study_document, study_line
from lakatos.experiments_db.documents.transcript import as_markdown, transcript_document

__all__ = [
    "COLUMNS",
    "FILTERS",
    "KEPT",
    "LACKING",
    "SORTS",
    "TYPES",
    "Cell",
    "Document",
    "HypothesisDocument",
    "Line",
    "PromptLine",
    "ReviewLine",
    "RunDocument",
    "RunFacts",
    "RunLine",
    "Story",
    "StudyDocument",
    "StudyLine",
    "as_markdown",
    "correction_document",
    "deviations",
    "entry_line",
    "hypothesis_document",
    "kin",
    "log_document",
    "options_of",
    "proposal_document",
    "rerun_command",
    "run_document",
    "run_facts",
    "run_lines",
    "story_markdown",
    "story_of",
    "study_document",
    "study_line",
    "transcript_document",
]
