"""Numbers as a table of bounded size, which says what it leaves out.

An agent that sees the largest rows only takes them for all there is. So each table says how many rows there are, which
share of the whole it shows, and the largest values beyond it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from lakatos.agent.llm import estimated_tokens

ROWS: Final = 60
TOKENS: Final = 1500
_BEYOND: Final = 3  # of the largest values that are not shown
_NARROW: Final = 10  # a page has rows at least


class Table(NamedTuple):
    """Rows, the most important first."""

    title: str  # what was measured, in which unit, with which sign
    columns: tuple[str, ...]
    rows: Sequence[tuple[object, ...]]
    by: int | None = None  # the column whose magnitude ranks the rows; the first column names them
    page: int = 1
    after: str = ""  # what follows
    unsigned: tuple[str, ...] = ("sd", "share", "answer first", "previous", "duplicate", "induction")  # columns


def written(table: Table, most: int = ROWS) -> str:
    """The table as text: a page of at most so many rows, and of about `TOKENS` tokens."""
    head = [table.title, " | ".join(table.columns)]
    room = TOKENS * most / ROWS - _tokens("\n".join(head))
    first, lines = 0, _page(table, 0, most, room)
    for _ in range(1, table.page):  # a page begins where the one before it ends
        first += len(lines)
        lines = _page(table, first, most, room)
    body = lines if table.rows else ["(no rows)"]
    return "\n".join([*head, *body, *_left_out(table, first, len(lines)), *filter(None, [table.after])])


def _page(table: Table, first: int, most: int, room: float) -> list[str]:
    """The rows of a page as lines."""
    lines: list[str] = []
    for row in table.rows[first : first + most]:
        cells = zip(table.columns, row, strict=True)
        line = " | ".join(_cell(value, signed=name not in table.unsigned) for name, value in cells)
        room -= _tokens(line)
        if len(lines) >= min(_NARROW, most) and room < 0:
            break
        lines.append(line)
    return lines


def _left_out(table: Table, first: int, shown: int) -> list[str]:
    """How much of the table these rows are."""
    total, rest = len(table.rows), table.rows[first + shown :]
    if not rest and first == 0:
        return []
    said = [f"Rows {first + 1} to {first + shown} of {total}." if shown else f"There are {total} rows: no such page."]
    if table.by is not None:
        sizes = [abs(value) for row in table.rows if isinstance(value := row[table.by], int | float)]
        own = [abs(v) for row in table.rows[first : first + shown] if isinstance(v := row[table.by], int | float)]
        if sum(sizes) > 0:
            said.append(f"They hold {sum(own) / sum(sizes):.0%} of the sum of |{table.columns[table.by]}|.")
    if rest:
        signed = table.by is not None and table.columns[table.by] not in table.unsigned
        sizes_of = [f" {_cell(r[table.by], signed=signed)}" if table.by is not None else "" for r in rest[:_BEYOND]]
        beyond = [f"{row[0]}{size}" for row, size in zip(rest, sizes_of, strict=False)]
        said.append(f"The largest beyond: {', '.join(beyond)}.")
    return [" ".join(said)]


def _cell(value: object, *, signed: bool) -> str:
    if isinstance(value, float):
        sign = "+" if signed else ""
        return "" if value != value else f"{value:{sign}.3g}" if abs(value) < 100 else f"{value:{sign},.0f}"
    return " ".join(str(value).splitlines())


def _tokens(text: str) -> int:
    return estimated_tokens(len(text.encode()))
