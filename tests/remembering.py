"""What tests ask for again and again is worked out once: whether a behaviour is ready, what `verify` derives."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import pickle
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

from lakatos.agent.run import exploring
from lakatos.experiments_db.verify import log, proposals, registrations, reruns, runs, tests
from lakatos.tools import behaviour as behaviours
from lakatos.tools.behaviour import Behaviour, PromptPair, readiness
from lakatos.tools.behaviour.drawing import Exhausted

_PURE = {  # what depends on its arguments alone, and takes long
    registrations: ("draw_matched", "fixed"),
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


@contextmanager
def ready_once(folder: Path) -> Iterator[None]:
    """Until it ends, runs and checks remember what was wrong with a behaviour and a control; the folder does too."""
    whole, one = readiness.readiness_problems, readiness._of

    def remembered(behaviour: Behaviour, tokenizer: Any, *how: Any) -> list[Any]:
        words = [tokenizer.backend_tokenizer.to_str(), tokenizer.special_tokens_map]
        key = json.dumps([behaviour.model_dump_json(), words, how])
        file = folder / hashlib.sha256(key.encode()).hexdigest()
        if not file.exists():
            being_written = file.with_suffix(f".{os.getpid()}")
            being_written.write_bytes(pickle.dumps(one(behaviour, tokenizer, *how)))
            being_written.replace(file)
        return list(pickle.loads(file.read_bytes()))

    def problems(*args: Any, **named: Any) -> list[Any]:
        with mock.patch.object(readiness, "_of", remembered):
            return whole(*args, **named)

    with (
        mock.patch.object(exploring, "readiness_problems", problems),
        mock.patch.object(behaviours, "readiness_problems", problems),
    ):
        yield
