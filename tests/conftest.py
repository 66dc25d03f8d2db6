"""Fixtures for all tests. Models are shared by the whole session: read only."""

from __future__ import annotations

import os
import tempfile

import pytest

# before anything imports torch, and inherited by the commands that tests start
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["XDG_DATA_HOME"] = tempfile.mkdtemp(prefix="lakatos-data-")  # the key that seals indexes


@pytest.fixture(scope="session")
def smollm2():
    """The embedded pretrained model. Mark the test `smollm2`."""
    import torch

    from lakatos.tools.model import load_model

    torch.set_num_threads(1)
    return load_model()


@pytest.fixture(scope="session")
def toy(tmp_path_factory):
    """(behaviour file, model folder): a tiny model that shows the toy behaviour. For whole investigations."""
    from toy import write_toy_behaviours, write_trained_model

    folder = tmp_path_factory.mktemp("toy")
    return str(write_toy_behaviours(folder / "behaviours")), str(write_trained_model(folder / "model"))


@pytest.fixture(scope="session")
def toy_log(toy, tmp_path_factory):
    """The database of a finished investigation of the toy behaviour. Copy it before changing it."""
    from lakatos.agent import RunConfig, investigate

    behaviour, model = toy
    db = tmp_path_factory.mktemp("log") / "toy.db"
    investigate(behaviour, RunConfig(model=model, seed=3, hypotheses=8, attribution_pairs=4), db=str(db))
    return db


@pytest.fixture
def toy_copy(toy_log, tmp_path):
    """A database of your own to change: the finished toy investigation."""
    from tampering import copied

    return copied(toy_log, tmp_path / "copy.db")


@pytest.fixture(scope="session")
def full_log(toy, tmp_path_factory):
    """The database of `full_log.py`: a row in every table. Copy it before changing it."""
    from full_log import write_full_log

    db = tmp_path_factory.mktemp("full") / "full.db"
    write_full_log(str(db), *toy)
    return db


@pytest.fixture
def full_copy(full_log, tmp_path):
    """A database of your own to change: the log with a row in every table."""
    from tampering import copied

    return copied(full_log, tmp_path / "full.db")
