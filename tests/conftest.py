"""Fixtures for all tests. Models are shared by the whole session: read only."""

from __future__ import annotations

import fcntl
import gzip
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("patient", deadline=None, max_examples=40)  # a busy machine is no fault
settings.load_profile("patient")

# before anything imports torch, and inherited by the commands that tests start
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["XDG_DATA_HOME"] = tempfile.mkdtemp(prefix="lakatos-data-")  # the key that seals indexes


def pytest_collection_modifyitems(config, items):
    """Tests marked `accept` are left out unless `-m` speaks of them."""
    if "accept" not in config.option.markexpr:
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("accept")])
        items[:] = [item for item in items if not item.get_closest_marker("accept")]


@pytest.fixture(scope="session")
def smollm2():
    """The embedded pretrained model. Mark the test `smollm2`."""
    import torch

    from lakatos.tools.model import load_model

    torch.set_num_threads(1)
    return load_model()


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    """`made_once(name, make)`: the folder that `make(folder)` fills, once for all processes that run tests."""

    def folder_of(name, make):
        top = tmp_path_factory.getbasetemp()
        folder = (top.parent if "PYTEST_XDIST_WORKER" in os.environ else top) / f"once-{name}"
        folder.mkdir(exist_ok=True)
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (folder / "made").exists():
                make(folder)
                (folder / "made").touch()
        return folder

    return folder_of


@pytest.fixture(scope="session")
def ready_once(made_once):
    """Whether a behaviour can be investigated is worked out once, not by each of many runs and checks."""
    from remembering import ready_once

    with ready_once(made_once("ready", lambda _folder: None)):
        yield


@pytest.fixture(scope="session")
def derived_once():
    """What `verify` derives is derived once from the same numbers, not for each of many copies of a log."""
    from remembering import derived_once

    with derived_once():
        yield


@pytest.fixture(scope="session")
def toy(made_once, ready_once, derived_once):
    """(behaviour file, model folder): a tiny model that shows the toy behaviour. For whole investigations."""
    from toy import write_toy_behaviours, write_trained_model

    def make(folder):
        write_toy_behaviours(folder / "behaviours")
        write_trained_model(folder / "model")

    folder = made_once("toy", make)
    return str(folder / "behaviours" / "toy.yaml"), str(folder / "model")


@pytest.fixture(scope="session")
def finished(toy, made_once):
    """An investigation of the toy behaviour by the command itself: its database, and what it printed."""
    from commands import lakatos_here

    def make(folder):
        behaviour, model = toy
        options = [
            "--proposer",
            "attribution",
            "--seed",
            3,
            "--hypotheses",
            8,
            "--attribution-pairs",
            4,
            "--db",
            folder / "toy.db",
        ]
        status, out, err = lakatos_here("run", behaviour, "--model", model, *options, env={"COLUMNS": "140"})
        assert status == 0, err
        (folder / "out").write_text(out)

    folder = made_once("log", make)
    return folder / "toy.db", (folder / "out").read_text()


@pytest.fixture(scope="session")
def toy_log(finished):
    """The database of a finished investigation of the toy behaviour. Copy it before changing it."""
    return finished[0]


@pytest.fixture
def toy_copy(toy_log, tmp_path):
    """A database of your own to change: the finished toy investigation."""
    from tampering import copied

    return copied(toy_log, tmp_path / "copy.db")


@pytest.fixture
def stored_log(tmp_path):
    """A database of your own: the log of an earlier release."""
    target = tmp_path / "stored.db"
    stored = Path(__file__).parent / "data" / "stored_log.db.gz"
    target.write_bytes(gzip.decompress(stored.read_bytes()))
    return target


@pytest.fixture(scope="session")
def investigated_log(toy, made_once):
    """The database of a run in which a language model explored with tools. Copy it before changing it."""
    from commands import lakatos_here
    from replaying import SCRIPT, Replaying, beginning

    def make(folder):
        with Replaying(SCRIPT) as server:
            status, _, err = lakatos_here(*beginning(toy, folder / "run.db", server.url))
        assert status == 0, err

    return made_once("investigated", make) / "run.db"


@pytest.fixture(scope="session")
def full_log(toy, made_once):
    """The database of `full_log.py`: a row in every table. Copy it before changing it."""
    from full_log import write_full_log

    return made_once("full", lambda folder: write_full_log(str(folder / "full.db"), *toy)) / "full.db"


@pytest.fixture
def full_copy(full_log, tmp_path):
    """A database of your own to change: the log with a row in every table."""
    from tampering import copied

    return copied(full_log, tmp_path / "full.db")
