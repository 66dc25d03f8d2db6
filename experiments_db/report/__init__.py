"""Documents as pictures, pages and files.

files        the report as one HTML file, CSV, Parquet, JSON Lines
rendering    templates (in templates/, with what is in static/)
svg          scales, lines, text, numbers as people read them
charts       one hypothesis: its interval, its e-value, its effect on every prompt
heat_map     every component: of a run, or of many hypotheses
figures      batteries, exploration and confirmation, two sides compared
drift_chart  a claim over models and versions
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakatos.tools.lazy import lazily

if TYPE_CHECKING:
    from lakatos.experiments_db.report.files import write_drift, write_report
    from lakatos.experiments_db.report.rendering import render

__all__ = ["render", "write_drift", "write_report"]

__getattr__ = lazily(
    __name__,
    {
        "render": "rendering",
        "write_drift": "files",
        "write_report": "files",
    },
)
