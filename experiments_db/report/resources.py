"""What stands beside the code: style sheets and scripts; and text from strangers made fit to be shown."""

from __future__ import annotations

import re
from importlib import resources

PACKAGE = "lakatos.experiments_db.report"
_UNSHOWABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


def static(name: str) -> str:
    """A style sheet or script that travels with the package."""
    return resources.files(f"{PACKAGE}.static").joinpath(name).read_text("utf-8")


def showable(page: str) -> str:
    """A page whose characters that reorder or break it are shown as their number."""
    return _UNSHOWABLE.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", page)
