"""Runs as processes of their own: begun from an allow-list, gone on with, and how each stands, in words."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from lakatos.tools.errors import UserError

if TYPE_CHECKING:
    from lakatos.experiments_db import Store

_LOADING: Final = 120.0  # seconds that a model may take to load before a client is told to look again
_LOOK: Final = 0.2
_COMMAND: Final = (sys.executable, "-c", "from lakatos.agent.cli import main; main()")


class Allowed(NamedTuple):
    """What a client may begin a run on. Nothing else that it names is looked at."""

    behaviours: Mapping[str, str]  # name -> a built-in's name, or a path that the user gave
    models: tuple[str, ...]
    options: tuple[str, ...] = ()  # of `lakatos run`, as the user gave them: the budget

    def behaviour(self, name: str) -> str:
        """What the user gave under this name. Raises UserError: there is no such name."""
        if name not in self.behaviours:
            raise UserError(f"There is no behaviour {name[:80]!r} here; there are {', '.join(self.behaviours)}.")
        return self.behaviours[name]

    def model(self, name: str | None) -> str:
        """A model that the user allows, by default the first. Raises UserError: it is none of these."""
        if name is None:
            return self.models[0]
        if name not in self.models:
            raise UserError(f"There is no model {name[:80]!r} here; there are {', '.join(self.models)}.")
        return name


class Runs:
    """The runs that a server has begun, and those of its database.

    Args:
        db: a path or a URL, which need not exist yet.
        study: the family over which error is controlled.
    """

    def __init__(self, db: str, study: str | None, allowed: Allowed) -> None:
        self.db = db
        self.study = study
        self.allowed = allowed
        self._processes: list[subprocess.Popen[bytes]] = []

    def store(self) -> Store:
        """The log. Raises UserError: there is none yet."""
        from lakatos.experiments_db import open_store

        return open_store(self.db, study=self.study, create=False)

    def begin(self, behaviour: str, model: str | None) -> int:
        """Begin a run in a process of its own; its number, as soon as its model is loaded.

        Raises:
            UserError: the behaviour or the model is not allowed, or the process ended; says why.
        """
        what = [self.allowed.behaviour(behaviour), "--proposer", "mcp", "--model", self.allowed.model(model)]
        return self._started([*what, *self.allowed.options])

    def resume(self, run: int) -> int:
        """Go on with a run that was stopped or killed.

        Raises:
            UserError: it has finished, is running, or the process ended; says why.
        """
        status, alive = self.alive(run)
        if status == "finished":
            raise UserError(f"Run {run} has finished: `start` begins another.")
        if alive:
            raise UserError(f"Run {run} is running.")
        return self._started(["--resume", "--run", str(run)])

    def alive(self, run: int) -> tuple[str, bool]:
        """What the log says of a run, and whether its process is there."""
        store = self.store()
        store.own_run(run)
        status = store.run(run).status
        began = store.events(run, "started", "resumed")
        return status, status == "running" and _is_there(int(began[-1].payload.get("pid", 0)), self._processes)

    def _started(self, arguments: Sequence[str]) -> int:
        where = ["--db", self.db, *([] if self.study is None else ["--study", self.study])]
        told = Path(f"{self.db if '://' not in self.db else 'lakatos'}.mcp.log")
        with told.open("ab") as log:
            place = log.tell()
            process = subprocess.Popen(
                [*_COMMAND, "run", *arguments, "--quiet", *where],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )
        self._processes.append(process)
        ends = time.monotonic() + _LOADING
        while time.monotonic() < ends:
            if (found := self._run_of(process.pid)) is not None:
                return found
            if process.poll() is not None:
                raise UserError(f"The run could not begin: {_last_words(told, place)}")
            time.sleep(_LOOK)
        raise UserError("The model is still being loaded: look again with `state`.")

    def _run_of(self, pid: int) -> int | None:
        """The run that a process has begun, or gone on with."""
        try:
            store = self.store()
        except UserError:
            return None
        newest = [e for kind in ("started", "resumed") for e in store.every_event(kind) if e.payload.get("pid") == pid]
        return max(newest, key=lambda event: event.id).run_id if newest else None


def _is_there(pid: int, own: Sequence[subprocess.Popen[bytes]]) -> bool:
    """Whether a process of this machine is alive; one of ours that has ended is no longer."""
    for process in own:
        if process.pid == pid:
            return process.poll() is None
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _last_words(told: Path, place: int) -> str:
    """What the process wrote before it ended."""
    with told.open("rb") as log:
        log.seek(place)
        words = " ".join(log.read(4000).decode(errors="replace").split())
    return words or "it ended without a word."
