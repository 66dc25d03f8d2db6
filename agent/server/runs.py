"""Runs as processes of their own: begun from an allow-list, gone on with, and how each stands, in words."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from lakatos.agent.server.processes import is_there
from lakatos.tools.errors import UserError

if TYPE_CHECKING:
    from lakatos.experiments_db import Store

_LOADING: Final = 45.0  # seconds that a model may take to load before a client is told to look again
_LOOK: Final = 0.2
_TOGETHER: Final = 3  # runs that may be under way
_READ: Final = 20_000  # bytes of what a process said
_SAID: Final = 500  # characters of it that a client is shown
PROPOSER: Final = "mcp"
_BEGINNINGS: Final = ("started", "resumed")
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
        self.leaving = threading.Lock()  # held while a call is counted and left
        self._processes: list[subprocess.Popen[bytes]] = []
        self._last: tuple[int, int] | None = None  # the process begun last, and the newest event before it

    def store(self) -> Store:
        """The log. Raises UserError: there is none yet."""
        from lakatos.experiments_db import open_store

        return open_store(self.db, study=self.study, create=False)

    def begin(self, behaviour: str, model: str | None) -> int:
        """Begin a run in a process of its own; its number, as soon as its model is loaded.

        Raises:
            UserError: the behaviour or the model is not allowed, or the process ended; says why.
        """
        what = [self.allowed.behaviour(behaviour), "--proposer", PROPOSER, "--model", self.allowed.model(model)]
        return self._started([*what, *self.allowed.options])

    def resume(self, run: int) -> int:
        """Go on with a run that was stopped or killed.

        Raises:
            UserError: it has finished, is running, is none of a client's, or the process ended; says why.
        """
        row = self.open_to_calls(run)
        self.allowed.model(row.config["model"])
        status, alive = self.alive(run)
        if status == "finished":
            raise UserError(f"Run {run} has finished: `start` begins another.")
        if alive:
            raise UserError(f"Run {run} is running.")
        return self._started(["--resume", "--run", str(run)])

    def open_to_calls(self, run: int) -> Any:
        """The row of a run that answers calls. Raises UserError: it is of another study, or of another proposer."""
        row = self.store().own_run(run)
        if row.proposer != PROPOSER:
            raise UserError(f"Run {run} is not open to calls: its hypotheses come from {row.proposer}.")
        return row

    def alive(self, run: int) -> tuple[str, bool]:
        """What the log says of a run, and whether its process is there. Raises UserError: there is no such run."""
        store = self.store()
        store.own_run(run)
        status, began = store.run(run).status, store.events(run, *_BEGINNINGS)
        if status != "running" or not began:
            return status, False
        return status, is_there(int(began[-1].payload.get("pid", 0)), began[-1].at, self._processes)

    def why(self, run: int) -> str:
        """Why a run that has not finished has no process, and what can be done."""
        store = self.store()
        status = store.run(run).status
        event = store.event_of(run, status) if status in ("stopped", "failed") else None
        if event is None:
            return "its process is gone; `resume` goes on, and nothing is lost"
        reason = " ".join(str(event.payload["reason"]).split())[:_SAID]
        if event.payload.get("final"):
            return f"{status}: {reason}; `start` begins another"
        if reason.startswith("the limit"):
            return f"{status}: {reason}; only the user can raise it; `start` begins another run"
        return f"{status}: {reason}; `resume` goes on, and nothing is lost"

    def newest(self) -> int | None:
        """The run that this server began last; None where there is none, or its model is still being loaded."""
        return self._run_of(*self._last) if self._last is not None else None

    def _started(self, arguments: Sequence[str]) -> int:
        if sum(process.poll() is None for process in self._processes) >= _TOGETHER:
            raise UserError(f"{_TOGETHER} runs are under way already: `finish` one, or go on with it.")
        before = max((event.id for event in self._beginnings()), default=0)
        where = ["--db", self.db, *([] if self.study is None else ["--study", self.study])]
        told = Path(f"{self.db if '://' not in self.db else 'lakatos'}.mcp.log")
        try:
            log = told.open("ab")
        except OSError as error:
            raise UserError(f"Cannot write {told}: {error.strerror}.") from error
        with log:
            place = log.tell()
            process = subprocess.Popen(
                [*_COMMAND, "run", *arguments, "--quiet", *where],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )
        self._processes.append(process)
        self._last = (process.pid, before)
        ends = time.monotonic() + _LOADING
        while time.monotonic() < ends:
            if (found := self._run_of(process.pid, before)) is not None:
                return found
            if process.poll() is not None:
                raise UserError(f"The run could not begin: {_last_words(told, place)}")
            time.sleep(_LOOK)
        raise UserError("The model is still being loaded: look again with `state`.")

    def _beginnings(self) -> list[Any]:
        """The events with which processes began runs, or went on with them."""
        try:
            store = self.store()
        except UserError:
            return []
        return [event for kind in _BEGINNINGS for event in store.every_event(kind)]

    def _run_of(self, pid: int, before: int) -> int | None:
        """The run that a process has begun, or gone on with, after an event."""
        return next((e.run_id for e in self._beginnings() if e.payload.get("pid") == pid and e.id > before), None)


def _last_words(told: Path, place: int) -> str:
    """Why a process ended, as it said itself: its message, or the last line of its traceback."""
    with told.open("rb") as log:
        log.seek(place)
        lines = [line for line in log.read(_READ).decode(errors="replace").splitlines() if line.strip()]
    words = lines[-1:] if any(line.startswith("Traceback") for line in lines) else lines
    return " ".join(" ".join(words).removeprefix("lakatos: ").split())[:_SAID] or "it ended without a word."
