"""Whole runs against a language model that fails, and the page that lists them."""

from __future__ import annotations

from pathlib import Path

import pytest
from failing_runs import FATES, Laboratory, line

pytestmark = pytest.mark.heavy

PAGE = Path(__file__).parents[2] / "docs" / "language_model_failures.md"
SOME = ["good", "prose", "deep", "hang", "flood", "401", "busy", "no-schema", "usage-huge", "key-in-answer-u", "greedy"]
SOME += ["prose-50-MB", "NaN", "nested-claim", "duplicates-only", "terminal-escapes", "head-99", "injection-obeyed"]


@pytest.fixture(scope="module")
def laboratory(toy, tmp_path_factory):
    return Laboratory(tmp_path_factory.mktemp("failing"), *toy)


@pytest.mark.parametrize("name", SOME)
def test_a_run_whose_language_model_fails(laboratory, name):
    """What must hold is asserted in the laboratory; the page says the same of the run."""
    assert line(laboratory.row(name)) in PAGE.read_text().splitlines()


def test_the_page_has_every_mode_once_and_says_what_is_expected():
    """Made by `python benchmarks/language_model_failures.py`."""
    lines = [row for row in PAGE.read_text().splitlines() if row.startswith("| ")][1:]
    told = [row.split(" | ")[0].removeprefix("| ") for row in lines]
    assert told == list(FATES)
    assert len(told) >= 150
    for row, (mode, fate) in zip(lines, FATES.values(), strict=True):
        cells = f" | {' | '.join(map(str, fate[:-1]))} | "
        assert cells in row, mode.name
