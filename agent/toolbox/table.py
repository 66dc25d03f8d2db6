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


def written(table: Table, most: int = ROWS) -> str:
    """The table as text: at most so many rows, and about `TOKENS` tokens."""
    lines = [table.title, " | ".join(table.columns)]
    first = (table.page - 1) * most
    shown = 0
    room = TOKENS * most / ROWS - _tokens("\n".join(lines))
    for row in table.rows[first : first + most]:
        line = " | ".join(_cell(value) for value in row)
        room -= _tokens(line)
        if shown >= min(_NARROW, most) and room < 0:
            break
        lines.append(line)
        shown += 1
    if not table.rows:
        lines.append("(no rows)")
    lines += _left_out(table, first, shown)
    return "\n".join([*lines, *filter(None, [table.after])])


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
        beyond = [f"{row[0]}" + (f" {_cell(row[table.by])}" if table.by is not None else "") for row in rest[:_BEYOND]]
        said.append(f"The largest beyond: {', '.join(beyond)}.")
    return [" ".join(said)]


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "" if value != value else f"{value:+.3g}" if abs(value) < 100 else f"{value:+,.0f}"
    return " ".join(str(value).splitlines())


def _tokens(text: str) -> int:
    return estimated_tokens(len(text.encode()))
