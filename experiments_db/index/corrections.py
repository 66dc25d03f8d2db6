"""Corrections over a whole study: computed beside the requests that ask for them, and remembered."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from lakatos.experiments_db.store import Store
from lakatos.experiments_db.verdict import Corrected, check, correct

_LAST: Final = 8  # corrections that are remembered


class Corrections:
    """The last few corrections of a study, each with the evidence that it is of.

    Args:
        evidence: the ledger entry up to which evidence is known; another one makes what is remembered old.
    """

    def __init__(self, store: Store, evidence: Callable[[], int]) -> None:
        self._store = store
        self._evidence = evidence
        self._one = threading.Lock()  # one at a time
        self._under_way: set[str] = set()
        self._last: dict[str, tuple[int, Corrected]] = {}

    def of(self, method: str, alpha: float | None, family: str, at_once: bool) -> Corrected | None:
        """A correction; None: it is being computed.

        Args:
            alpha: the study's own if None.
            at_once: come back when it is computed.

        Raises:
            UserError: no such method or family, or alpha is none.
        """
        used = self._store.study.alpha if alpha is None else alpha
        check(method, used, family)
        key = f"corrected {method} {used!r} {family}"
        evidence, found = self._last.get(key, (None, None))
        if found is not None and evidence == self._evidence():
            return found
        if at_once:
            return self._compute(key, method, used, family)
        if key not in self._under_way:
            self._under_way.add(key)
            threading.Thread(target=self._compute, args=(key, method, used, family), daemon=True).start()
        return None

    def _compute(self, key: str, method: str, alpha: float, family: str) -> Corrected:
        try:
            with self._one:
                evidence = self._evidence()
                found = correct(self._store.slots(), self._store.study.alpha, method, alpha, family)
            self._last = dict([*self._last.items(), (key, (evidence, found))][-_LAST:])
            return found
        finally:
            self._under_way.discard(key)
