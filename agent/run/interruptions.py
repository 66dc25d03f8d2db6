"""What ends a run or makes it wait: Ctrl-C, a wish from elsewhere, a limit."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from lakatos.agent.config import RunConfig
from lakatos.agent.llm import Abandoned
from lakatos.experiments_db.log import asked
from lakatos.experiments_db.store import Store
from lakatos.tools.errors import Stop

_PAUSE_SECONDS = 0.5  # between two looks whether a paused run may go on


class Interruptions:
    """A run's limits, and whether it was asked to stop or to pause.

    Args:
        say: tells the user what happens.
    """

    def __init__(self, store: Store, run_id: int, config: RunConfig, say: Callable[[str], None]) -> None:
        self.stop_asked = False
        self._store = store
        self._run_id = run_id
        self._config = config
        self._say = say
        self._waits_for_answer = False
        self._paused = 0.0  # seconds that this process has waited because it was asked to

    def clock(self) -> float:
        """Seconds, without those of pauses: a paused run spends nothing."""
        return time.monotonic() - self._paused

    def idle(self, seconds: float) -> None:
        """Wait for somebody else; that spends nothing."""
        time.sleep(seconds)
        self._paused += seconds

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Ctrl-C asks the run to stop after the batch under way, and abandons a request; a second one kills it."""

        def ask(_signal: int, _frame: Any) -> None:
            if self.stop_asked:
                raise KeyboardInterrupt
            self.stop_asked = True
            if self._waits_for_answer:
                self._say("stopping: the request under way is abandoned (Ctrl-C again to kill)")
                raise Abandoned
            self._say("stopping after this batch (Ctrl-C again to kill; nothing that is stored would be lost)")

        try:
            before = signal.signal(signal.SIGINT, ask)
        except ValueError:  # not the main thread: a notebook or a server keeps its own handling
            yield
            return
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    @contextmanager
    def waiting_for_answer(self) -> Iterator[None]:
        """While a language model is asked: Ctrl-C does not wait for it.

        Raises:
            Abandoned: from whatever is under way within.
            Stop: the user asked before it began.
        """
        self._waits_for_answer = True
        try:
            if self.stop_asked:
                raise Stop("interrupted")
            yield
        finally:
            self._waits_for_answer = False

    def check(self, tested: int | None = None) -> None:
        """Stop if the user asked, or a limit of the run is reached.

        Args:
            tested: how many tests are finished, where another is about to begin.

        Raises:
            Stop
        """
        self.obey()
        spent = self._store.run(self._run_id)
        limits: list[tuple[str, float | None, float]] = [
            ("--max-forwards", self._config.max_forwards, spent.forwards),
            ("--max-tokens", self._config.max_tokens, spent.tokens),
            ("--max-seconds", self._config.max_seconds, spent.seconds),
        ]
        if tested is not None:
            limits.append(("--max-tests", self._config.max_tests, tested))
        for flag, limit, used in limits:
            if limit is not None and used >= limit:
                raise Stop(f"the limit {flag} {limit:g} is reached ({used:,.0f} spent)")

    def obey(self) -> None:
        """Stop (raises Stop) or wait, if that was asked here by Ctrl-C, or anywhere else through the log."""
        waiting = False
        while not self.stop_asked and (wish := asked(self._store, self._run_id)) is not None:
            if wish == "stop":
                raise Stop("asked to stop")
            if not waiting:
                self._say("paused, as was asked; `lakatos review` resumes it, Ctrl-C stops it")
                waiting = True
            self.idle(_PAUSE_SECONDS)
        if self.stop_asked:
            raise Stop("interrupted")
        if waiting:
            self._say("going on")
