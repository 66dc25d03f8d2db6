"""A mechanism in HTML: what pages include, and a fragment for notebooks that stands by itself."""

from __future__ import annotations

from markupsafe import Markup

from lakatos.experiments_db.mechanism import Mechanism
from lakatos.experiments_db.report.rendering import render
from lakatos.experiments_db.report.resources import static


def mechanism_html(found: Mechanism) -> str:
    """Picture, sentences and a table of what is confirmed, with a style of its own; for `_repr_html_`."""
    return render(
        "mechanism_fragment.html", found=found, address=lambda _number: None, css=Markup(static("mechanism.css"))
    )
