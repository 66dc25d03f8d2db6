"""Two runs or two models side by side: which claims both have, and how each came out."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Any, Literal, Self

from lakatos.experiments_db.index.index import Index
from lakatos.experiments_db.index.query import Query, selection
from lakatos.tools.errors import UserError

PER_PAGE = 100
By = Literal["claim", "component"]
WAYS: tuple[By, ...] = ("claim", "component")
_SAME = {
    "claim": "line ->> 'text'",
    "component": "(line ->> 'kind') || (line ->> 'behaviour') || (line -> 'components')",
}


@dataclass(frozen=True)
class Side:
    """A run or a model."""

    kind: Literal["run", "model"]
    name: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """From run:3 or model:gpt2. Raises UserError: it is neither."""
        kind, colon, name = text.partition(":")
        if colon and kind == "run" and name.isascii() and name.isdigit() and len(name) < 10:
            return cls("run", name)
        if colon and kind == "model" and name:
            return cls("model", name)
        raise UserError(f"Compare run:NUMBER or model:NAME with another of these, not {text!r}.")

    @property
    def query(self) -> Query:
        """The hypotheses of this side."""
        return Query(run=int(self.name)) if self.kind == "run" else Query(model=self.name)


@dataclass(frozen=True)
class Comparison:
    """What two sides have in common; `pairs` is one page of it."""

    first: int  # hypotheses on each side
    second: int
    total: int  # pairs
    outcomes: dict[tuple[str, str], int]  # (state on the first side, on the second) -> pairs
    pairs: list[tuple[dict[str, Any], dict[str, Any]]]

    @property
    def pages(self) -> int:
        """How many pages of pairs there are."""
        return max(1, -(-self.total // PER_PAGE))


def compare(index: Index, first: Side, second: Side, *, by: str = "claim", page: int = 1) -> Comparison:
    """Pair the hypotheses of two sides.

    Args:
        by: claim pairs the same claim about the same behaviour, whatever the model; component pairs claims of the same
            kind about the same components of the same behaviour.

    Raises:
        UserError: an unknown way of pairing.
        NotThere: the study has no such run.
    """
    for side in (first, second):
        if side.kind == "run":
            index.store.own_run(int(side.name))
    if by not in WAYS:
        raise UserError(f"Pairs are made by {' or '.join(WAYS)}, not by {by!r}.")
    outcomes, ids = index.ask(lambda connection: _pairs(connection, first.query, second.query, by, page))
    lines = {line["id"]: line for line in index.lines(sorted({key for pair in ids for key in pair}))}
    return Comparison(
        first=index.page(first.query).total,
        second=index.page(second.query).total,
        total=sum(outcomes.values()),
        outcomes=outcomes,
        pairs=[(lines[a], lines[b]) for a, b in ids],
    )


def _pairs(
    index: sqlite3.Connection, first: Query, second: Query, by: str, page: int
) -> tuple[dict[tuple[str, str], int], list[tuple[int, int]]]:
    """How many pairs there are by the states of their two sides, and the numbers of one page of them."""
    key = _SAME[by]
    sides = [selection(query) for query in (first, second)]
    named = ", ".join(
        f"{name} AS MATERIALIZED (SELECT h.id, h.state, {key} AS same FROM {side.tables} "
        f"JOIN lines ON lines.id = h.id WHERE {side.where})"
        for name, side in zip("ab", sides, strict=True)
    )
    values = [value for side in sides for value in side.values]
    pairs = "FROM a JOIN b ON a.same = b.same WHERE a.id <> b.id"
    counted = index.execute(f"WITH {named} SELECT a.state, b.state, COUNT(*) {pairs} GROUP BY 1, 2", values)
    outcomes = {(one, other): n for one, other, n in counted}
    listed = f"WITH {named} SELECT a.id, b.id {pairs} ORDER BY a.id, b.id LIMIT ? OFFSET ?"
    return outcomes, index.execute(listed, [*values, PER_PAGE, PER_PAGE * (page - 1)]).fetchall()
