"""A file beside the log that answers lists and searches, and can be thrown away.

index       lists, searches, corrections over a whole study
file        the file;  seal: what shows that nobody edited it;  refresh: how it is brought up to date
query       the SQL of a question
comparison  two runs or two models, side by side
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lakatos.experiments_db.index.comparison import Side, compare
    from lakatos.experiments_db.index.index import Index
    from lakatos.experiments_db.index.query import Query

__all__ = ["Index", "Query", "Side", "compare"]

_HOME = {
    "Index": "index",
    "Query": "query",
    "Side": "comparison",
    "compare": "comparison",
}


def __getattr__(name: str) -> Any:
    """A public name, loaded when it is first asked for."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
