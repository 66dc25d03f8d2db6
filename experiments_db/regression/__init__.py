"""A confirmed claim put to the question again.

file     a confirmed claim as a *.hypothesis.yaml file
running  runs some, on fresh prompts
outcome  what one showed
text     what came of it, for people
ledger   re-runs in the log
drift    a claim over models and versions
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakatos.tools.lazy import lazily

if TYPE_CHECKING:
    from lakatos.experiments_db.regression.drift import drift_document
    from lakatos.experiments_db.regression.file import SUFFIX, HypothesisFile, read, to_text
    from lakatos.experiments_db.regression.ledger import append_rerun, file_of, regressions
    from lakatos.experiments_db.regression.outcome import Outcome
    from lakatos.experiments_db.regression.running import rerun, rerun_all
    from lakatos.experiments_db.regression.text import headline, reason, report, share_left

__all__ = [
    "SUFFIX",
    "HypothesisFile",
    "Outcome",
    "append_rerun",
    "drift_document",
    "file_of",
    "headline",
    "read",
    "reason",
    "regressions",
    "report",
    "rerun",
    "rerun_all",
    "share_left",
    "to_text",
]

__getattr__ = lazily(
    __name__,
    {
        "HypothesisFile": "file",
        "Outcome": "outcome",
        "SUFFIX": "file",
        "append_rerun": "ledger",
        "drift_document": "drift",
        "file_of": "ledger",
        "headline": "text",
        "read": "file",
        "reason": "text",
        "regressions": "ledger",
        "report": "text",
        "rerun": "running",
        "rerun_all": "running",
        "share_left": "text",
        "to_text": "file",
    },
)
