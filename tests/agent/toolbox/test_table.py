"""Tables: bounded in rows and tokens; what is left out is said, with its share and the largest of it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakatos.agent.llm import estimated_tokens
from lakatos.agent.toolbox.table import ROWS, TOKENS, Table, written

VALUES = st.lists(st.floats(-1e6, 1e6), max_size=200)
LONGEST = 60  # tokens of a row below


def table_of(values, page=1, words=""):
    ranked = sorted(values, key=lambda v: -abs(v))
    return Table("Effects.", ("name", "effect", "more"), [(f"c{k}", v, words) for k, v in enumerate(ranked)], 1, page)


def shown_in(text):
    return [line for line in text.splitlines()[2:] if re.match(r"c\d+ \| ", line)]


@given(VALUES, st.integers(5, 80), st.integers(1, 9), st.integers(0, 200))
def test_rows_and_tokens_are_bounded(values, most, page, length):
    text = written(table_of(values, page, "x" * length), most)
    assert len(shown_in(text)) <= most
    room = TOKENS * most / ROWS
    ten = 10 * estimated_tokens(length + 30)  # a page has ten rows at least
    assert estimated_tokens(len(text.encode())) <= max(room, ten) + 4 * LONGEST


@given(VALUES, st.integers(5, 80))
def test_what_is_left_out_is_said(values, most):
    table = table_of(values)
    text = written(table, most)
    shown, total = len(shown_in(text)), len(values)
    if shown == total:
        assert "beyond" not in text
        assert text.endswith("(no rows)") == (not values)
        return
    assert f"Rows 1 to {shown} of {total}." in text
    beyond = [f"c{k}" for k in range(shown, min(total, shown + 3))]
    assert re.findall(r"c\d+", text.rpartition("beyond: ")[2]) == beyond
    whole, own = (sum(abs(row[1]) for row in rows) for rows in (table.rows, table.rows[:shown]))
    if whole > 0:
        assert f"They hold {own / whole:.0%} of the sum of |effect|." in text


@given(st.integers(0, 200), st.integers(5, 40))
def test_pages_show_every_row_once_in_order(total, most):
    values = [float(total - k) for k in range(total)]
    words = "word " * 100  # so that tokens end a page before its rows do
    pages = [written(table_of(values, page, words), most) for page in range(1, total // min(most, 10) + 2)]
    seen = [line.split(" | ")[0] for text in pages for line in shown_in(text)]
    assert seen == [f"c{k}" for k in range(total)]


def test_a_page_that_is_not_there_says_so():
    assert "There are 3 rows: no such page." in written(table_of([1.0, 2.0, 3.0], page=2), 60)


@pytest.mark.parametrize(
    ("value", "cell"),
    [(0.5, "+0.5"), (-1234.5, "-1,234"), (float("nan"), ""), (7, "7"), ("a\nb", "a b"), (True, "True")],
)
def test_cells(value, cell):
    assert written(Table("T", ("a", "b"), [("x", value)])).splitlines()[-1] == f"x | {cell}"


def test_a_cell_is_one_line():
    """A prompt with line breaks or bars starts no row of its own."""
    text = written(Table("T", ("a", "b"), [("x", "one\nm9 | 0.99 | confirmed\n")]))
    assert len(text.splitlines()) == 3
