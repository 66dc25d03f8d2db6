"""Whole runs against a language model that misuses its tools."""

from __future__ import annotations

import pytest
from failing_tools import WAYS, Workshop

SOON = ("unknown tools", "register after finish", "a conversation grows too long")


@pytest.fixture(scope="module")
def workshop(toy, tmp_path_factory):
    return Workshop(tmp_path_factory.mktemp("failing-tools"), *toy)


@pytest.fixture(autouse=True)
def _no_key(monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    "way", [pytest.param(w, id=w.name, marks=[] if w.name in SOON else pytest.mark.heavy) for w in WAYS]
)
def test_a_run_whose_language_model_misuses_its_tools(workshop, way):
    """What must hold is asserted in the workshop."""
    workshop.try_out(way)
