"""What a reader asks of the log's hypotheses, and the SQL of it over the index.

What people type is never syntax: words become quoted strings of the full-text search and all of them must occur, the
last one perhaps begun only. Everything else is bound as a parameter.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Final

from lakatos.experiments_db.documents import FILTERS, SORTS
from lakatos.experiments_db.verdict import STATES
from lakatos.tools.component import Component
from lakatos.tools.errors import UserError

NOT_REVIEWED: Final = "none"  # the filter `review` of hypotheses without a standing
_MOST_WORDS, _MOST_CHARACTERS = 32, 1000
_LARGEST: Final = 2**62
_PARTS: Final[dict[str, tuple[str, ...]]] = {  # what lies within an attention layer, a head, an MLP
    "attention": ("attention", "head", "query", "pattern", "key", "value"),
    "head": ("head", "query", "pattern"),
    "mlp": ("mlp", "neuron"),
}
_BY_STATE: Final = "CASE h.state " + " ".join(f"WHEN '{state}' THEN {k}" for k, state in enumerate(STATES)) + " END"


@dataclass(frozen=True)
class Query:
    """Which hypotheses, in which order, and which page of them. Filters that are None or empty ask for nothing."""

    text: str = ""  # words of the claim, its rationale, hash, model, ... that must all occur
    state: str | None = None
    kind: str | None = None
    behaviour: str | None = None
    model: str | None = None
    run: int | None = None
    component: str | None = None  # a9.h6, a9 and all that is within, m5, a9.h6@END; 9 for all of a layer
    reviewer: str | None = None
    review: str | None = None  # a standing (accepted, ...), or `NOT_REVIEWED`
    proposer: str | None = None
    group: int | None = None  # of overlapping claims: the slot of the first of them
    sort: str = "slot"  # a name of `SORTS`; descending with - before it
    page: int = 1
    per_page: int = 50

    @property
    def asks(self) -> dict[str, Any]:
        """What it asks for, whatever the order and the page: filter -> value, None where it leaves one open."""
        names = (f.name for f in fields(self) if f.name not in ("sort", "page", "per_page"))
        return {name: getattr(self, name) or None for name in names}

    @property
    def narrows(self) -> bool:
        """Whether it asks for less than everything."""
        return any(self.asks.values())

    @property
    def filters(self) -> str:
        """What it asks for, as the same text for the same hypotheses."""
        return repr(list(self.asks.values()))


@dataclass(frozen=True)
class Selection:
    """The FROM and WHERE of a query over `hypotheses h`."""

    tables: str
    where: str
    values: tuple[Any, ...]


def selection(query: Query) -> Selection:
    """The hypotheses that a query asks for.

    Raises:
        UserError: the component is none.
    """
    tables, conditions, values = "hypotheses h", [], []
    if query.text.strip():
        words = search_words(query.text)
        if words is None:
            conditions.append("0")
        else:
            tables = "search CROSS JOIN hypotheses h ON h.id = search.rowid"  # in this order
            conditions.append("search MATCH ?")
            values.append(words)
    for name in FILTERS:
        value = getattr(query, name)
        if value not in (None, ""):
            conditions.append(f'h."{name}" = ?')
            values.append(_bound(value))
    if query.component and query.component.strip():
        condition, wanted = within(query.component.strip())
        conditions.append(f"h.id IN (SELECT hypothesis FROM components WHERE {condition})")
        values += wanted
    if query.reviewer:
        conditions.append("h.id IN (SELECT hypothesis FROM reviewers WHERE author = ?)")
        values.append(_bound(query.reviewer))
    if query.review:
        conditions.append("h.review IS NULL" if query.review == NOT_REVIEWED else "h.review = ?")
        values += [] if query.review == NOT_REVIEWED else [_bound(query.review)]
    return Selection(tables, " AND ".join(conditions) or "1", tuple(values))


def order(query: Query) -> str:
    """The ORDER BY of a query: what a hypothesis lacks comes last, ties by slot.

    Raises:
        UserError: no such order.
    """
    name = query.sort.removeprefix("-")
    if name not in SORTS:
        raise UserError(f"There is no order {query.sort!r}; there are {', '.join(SORTS)}, and - before one to turn it.")
    way = "DESC" if query.sort.startswith("-") else "ASC"
    if name == "slot":
        return f"h.id {way}"  # slots are given in the order of ids
    by = _BY_STATE if name == "state" else f'h."{name}"'
    return f"{by} {way} NULLS LAST, h.id"


def limits(query: Query) -> tuple[int, int]:
    """How many rows, after how many."""
    most = max(1, min(query.per_page, _LARGEST))
    return most, min((max(1, query.page) - 1) * most, _LARGEST)


def search_words(text: str) -> str | None:
    """What people typed, as a query of the full-text search; None where there is nothing to search for."""
    words = [word for word in text[:_MOST_CHARACTERS].replace("\0", " ").split() if any(c.isalnum() for c in word)]
    quoted = ['"' + _encodable(word).replace('"', '""') + '"' for word in words[:_MOST_WORDS]]
    return " AND ".join(quoted) + "*" if quoted else None


def within(text: str) -> tuple[str, list[Any]]:
    """The condition on rows of `components` that are this place or lie within it.

    Raises:
        UserError: the text is neither a component nor a layer.
    """
    if text.isascii() and text.isdigit():
        return "layer = ? AND kind <> 'embedding'", [min(int(text[:18]), _LARGEST)]
    place = Component.parse(text)
    kinds = _PARTS.get(place.kind, (place.kind,))
    condition = f"layer = ? AND kind IN ({', '.join('?' * len(kinds))})"
    values: list[Any] = [place.layer, *kinds]
    if place.index is not None:
        condition, values = f"{condition} AND number = ?", [*values, place.index]
    if place.position is not None:
        condition, values = f"{condition} AND position = ?", [*values, str(place.position)]
    return condition, values


def _bound(value: Any) -> Any:
    if isinstance(value, int):
        return max(-_LARGEST, min(value, _LARGEST))
    return _encodable(value)


def _encodable(text: str) -> str:
    """Without what no UTF-8 has: half of a surrogate pair."""
    return text.encode("utf-8", "replace").decode()
