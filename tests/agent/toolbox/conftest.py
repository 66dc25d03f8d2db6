"""A run on the toy model, to call tools on."""

from __future__ import annotations

import pytest
from workbench import Bench, explored

from lakatos.tools.model import load_model


@pytest.fixture(scope="session")
def loaded(toy):
    """The toy model. Read only."""
    return load_model(toy[1])


@pytest.fixture(scope="session")
def explored_log(toy, made_once):
    """The log of a run that has explored and asked nothing. Copy it before changing it."""
    return made_once("explored", lambda folder: explored(folder, *toy)) / "explored.db"


@pytest.fixture
def bench(explored_log, loaded, tmp_path):
    """A bench of your own."""
    return Bench(explored_log, tmp_path, loaded)


@pytest.fixture(scope="module")
def shared(explored_log, loaded, tmp_path_factory):
    """A bench for questions that change nothing."""
    return Bench(explored_log, tmp_path_factory.mktemp("shared"), loaded)
