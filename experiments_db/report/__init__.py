"""Documents as pictures, pages and files.

files       the report as one HTML file, CSV, Parquet, JSON Lines
rendering   templates (in templates/, with what is in static/)
charts      marks, scales and axes in SVG
figures     batteries, exploration, maps of components
drift_chart a claim over models and versions
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lakatos.experiments_db.report.files import write_drift, write_report
    from lakatos.experiments_db.report.rendering import render

__all__ = ["render", "write_drift", "write_report"]

_HOME = {
    "render": "rendering",
    "write_drift": "files",
    "write_report": "files",
}


def __getattr__(name: str) -> Any:
    """A public name, loaded when it is first asked for."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
