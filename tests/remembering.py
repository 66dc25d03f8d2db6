"""What `verify` derives from the same numbers is derived once: for tests that verify one log with many changes."""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, ClassVar
from unittest import mock

from lakatos.experiments_db.verify import log, proposals, registrations, reruns, runs, tests
from lakatos.tools.behaviour import Behaviour, PromptPair
from lakatos.tools.behaviour.drawing import Exhausted

_PURE = {  # what depends on its arguments alone, and takes long
    registrations: ("draw_matched", "fixed", "gaps", "claim_hash", "most_pairs"),
    reruns: ("decide", "decided_after", "tolerances"),
    tests: ("conclude", "e_process"),
}


class _Known(Behaviour):
    """A behaviour that was read before, from which the same seed drew before."""

    read: ClassVar[dict[bytes, Behaviour]] = {}
    drawn: ClassVar[dict[Any, Iterator[PromptPair]]] = {}

    @classmethod
    def model_validate(cls, obj: Any, **how: Any) -> Any:
        key = pickle.dumps((obj, how))
        if key not in cls.read:
            cls.read[key] = super().model_validate(obj, **how)
        return cls.read[key]

    def stream(self, *args: Any, **named: Any) -> Iterator[PromptPair]:
        key = (self.hash, args, tuple(named.items()))
        again, self.drawn[key] = itertools.tee(self.drawn.get(key) or super().stream(*args, **named))
        try:
            yield from again
        except Exhausted:
            del self.drawn[key]
            raise


def _remembered(function: Callable[..., Any]) -> Callable[..., Any]:
    known: dict[bytes, Any] = {}

    def remembered(*args: Any, **named: Any) -> Any:
        key = pickle.dumps((args, named))
        if key not in known:
            known[key] = function(*args, **named)
        return known[key]

    return remembered


@contextmanager
def derived_once() -> Iterator[None]:
    """Until it ends, `verify` in this process remembers; nothing else does."""
    with ExitStack() as stack:
        for module, names in _PURE.items():
            for name in names:
                stack.enter_context(mock.patch.object(module, name, _remembered(getattr(module, name))))
        for module in (log, proposals, registrations, reruns, runs, tests):
            stack.enter_context(mock.patch.object(module, "Behaviour", _Known))
        yield
