"""Tables of the log, where a line alone would mislead."""

from __future__ import annotations

import io

from rich.console import Console

from lakatos.agent.cli.tables import _hypotheses
from lakatos.experiments_db import open_store
from lakatos.experiments_db.documents import entry_line


def printed(rows):
    console = Console(file=io.StringIO(), width=300)
    console.print(_hypotheses(rows, wide=True))
    return console.file.getvalue()


def test_a_claim_is_told_with_its_model_where_there_are_several(toy_log):
    row = entry_line(open_store(str(toy_log), create=False).hypothesis("1"))
    twin = {**row, "model": "null:other#1"}
    assert " on " not in printed([row, row]).replace(row["text"], "")
    assert f"{row['text']} on null:other#1" in printed([row, twin])
