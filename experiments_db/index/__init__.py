"""A file beside the log that answers lists and searches, and can be thrown away.

index        lists and searches;  corrections: over a whole study
file         the file;  schema: its tables, and where it lies;  seal: what shows that nobody edited it
refresh      how the file is brought up to date
query        the SQL of a question
records      what the index says of itself, and what it finds
comparison   two runs or two models, side by side
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakatos.tools.lazy import lazily

if TYPE_CHECKING:
    from lakatos.experiments_db.index.comparison import Side, compare
    from lakatos.experiments_db.index.index import Index
    from lakatos.experiments_db.index.query import Query

__all__ = ["Index", "Query", "Side", "compare"]

__getattr__ = lazily(
    __name__,
    {
        "Index": "index",
        "Query": "query",
        "Side": "comparison",
        "compare": "comparison",
    },
)
