"""Documents as pictures, pages and files.

files        the report as one HTML file, CSV, Parquet, JSON Lines
rendering    templates (in templates/, with what is in static/);  resources: what stands beside the code
svg          scales, lines, text, numbers as people read them
charts       one hypothesis: its interval, its e-value, its effect on every prompt
heat_map     every component: of a run, or of many hypotheses
figures      batteries, exploration and confirmation, two sides compared
drift_chart  a claim over models and versions
mechanism_picture   what is confirmed, as a picture;  mechanism_glyphs: what it is made of
                    mechanism_layout: where everything is;  mechanism_curves: arrows;  mechanism_legend
mechanism_fragment  the same for notebooks;  mechanism_rows: its findings one by one
mechanism_graph     the same as a graph for Graphviz
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakatos.tools.lazy import lazily

if TYPE_CHECKING:
    from lakatos.experiments_db.report.files import write_drift, write_report, write_text
    from lakatos.experiments_db.report.mechanism_fragment import mechanism_html
    from lakatos.experiments_db.report.mechanism_graph import mechanism_dot
    from lakatos.experiments_db.report.mechanism_picture import mechanism_svg, standalone_svg
    from lakatos.experiments_db.report.rendering import render

__all__ = [
    "mechanism_dot",
    "mechanism_html",
    "mechanism_svg",
    "render",
    "standalone_svg",
    "write_drift",
    "write_report",
    "write_text",
]

__getattr__ = lazily(
    __name__,
    {
        "mechanism_dot": "mechanism_graph",
        "mechanism_html": "mechanism_fragment",
        "mechanism_svg": "mechanism_picture",
        "render": "rendering",
        "standalone_svg": "mechanism_picture",
        "write_drift": "files",
        "write_report": "files",
        "write_text": "files",
    },
)
