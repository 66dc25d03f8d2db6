"""Keeping an index up to date with its log: at once where that is quick, else in a thread of its own."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from lakatos.experiments_db.index.file import Damaged, IndexFile
from lakatos.experiments_db.index.records import Freshness
from lakatos.experiments_db.index.refresh import NOTHING, Read, appended, read_state, update
from lakatos.experiments_db.index.schema import in_memory
from lakatos.experiments_db.store import Store
from lakatos.tools.errors import UserError

AT_ONCE: Final = 2000  # hypotheses up to which everything is done at once
_MOST_NEW: Final = 300  # ledger entries that are read at once in a large study

T = TypeVar("T")


class UpToDate:
    """An index file that follows its log.

    Args:
        store: the log.
        path: the file; see `IndexFile`.
    """

    def __init__(self, store: Store, path: Path | None = None) -> None:
        self.store = store
        self.file = IndexFile(store, path)
        self._one = threading.Lock()  # one refresh in this process
        self._progress = (0, 0)
        self._error: BaseException | None = None

    def refresh(self, wait: bool = True) -> Freshness:
        """Read what was appended to the log since.

        Args:
            wait: come back when it is done. Otherwise only what takes no time is done now, and the rest goes on in
                a thread of its own; meanwhile the index shows what it knew.
        """
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        known = self._state()
        if known is not None and self._current(known):
            return self.freshness()
        if wait or in_memory(self.store) or self._is_little(known):
            with self._one:
                self._update()
        elif self._one.acquire(blocking=False):
            threading.Thread(target=self._behind, name="lakatos-index", daemon=True).start()
        return self.freshness()

    def freshness(self) -> Freshness:
        """How far it has read."""
        known = self._state() or NOTHING
        done, of = self._progress
        return Freshness(known.ledger, self.store.newest_entry()[0], known.at or None, self._one.locked(), done, of)

    def rebuild(self) -> Freshness:
        """Throw the file away and read the log again."""
        with self._one:
            self.file.discard()
        return self.refresh()

    def _state(self) -> Read | None:
        try:
            return self.file.read(read_state)
        except Damaged:
            return None

    def _current(self, known: Read) -> bool:
        return (known.ledger, known.hash) == self.store.newest_entry() and known.study == self.store.study.digest

    def _is_little(self, known: Read | None) -> bool:
        """Whether what is new is read in no time."""
        if self._is_small():
            return True
        if known is None or self.store.newest_entry()[0] - known.ledger > _MOST_NEW:
            return False
        return not appended(self.store, known).judges and not self._one.locked()

    def _update(self) -> None:
        for _ in range(2):  # a damaged file is replaced by an empty one
            try:
                with self.store.snapshot() as log:
                    self.file.write(lambda index: update(index, log, self.file.seal, self._watch))
                return
            except Damaged:
                continue
        raise UserError(f"Cannot keep an index in {self.file.path}.")

    def _watch(self, done: int, of: int) -> None:
        self._progress = (done, of)

    def _behind(self) -> None:
        try:
            self._update()
            self._prepare()
        except BaseException as error:  # noqa: BLE001 - raised by the next refresh
            self._error = error
        finally:
            self._one.release()

    def _ask(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` finds; in an index that has just been emptied, after reading the log again if that is quick."""
        for _ in range(2):
            try:
                return self.file.read(lambda c: work(c) if read_state(c) else _empty())
            except Damaged:
                self.refresh(wait=False)
        return self.file.read(work)

    def _is_small(self) -> bool:
        """Whether everything about the study is done at once."""
        return in_memory(self.store) or self.store.registered() < AT_ONCE

    def _prepare(self) -> None:
        """Work out what is asked for first, after a refresh in the background."""


def _empty() -> Any:
    raise Damaged("it is empty")
