"""What tests ask for again and again is worked out once: whether a behaviour is ready, what `verify` derives."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

import numpy as np
from pydantic import BaseModel, TypeAdapter

from lakatos.agent.run import exploring
from lakatos.experiments_db.verify import log, proposals, registrations, reruns, runs, tests
from lakatos.tools import behaviour as behaviours
from lakatos.tools.behaviour import Behaviour, PromptPair, readiness
from lakatos.tools.behaviour.drawing import Exhausted
from lakatos.tools.behaviour.problems import Problem

_PURE = {  # what depends on its arguments alone, and takes long
    registrations: ("draw_matched", "fixed"),
    reruns: ("decide", "decided_after", "tolerances"),
    tests: ("conclude", "e_process"),
}
_PROBLEMS = TypeAdapter(list[Problem])


def _said(value: Any) -> Any:
    """All that a value says, to the last bit, as something to look up by."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, BaseModel):
        return type(value), _said(value.__dict__)
    if is_dataclass(value):
        return type(value), tuple(_said(getattr(value, field.name)) for field in fields(value))
    if isinstance(value, dict):
        return dict, tuple((_said(key), _said(one)) for key, one in value.items())
    if isinstance(value, list | tuple):
        return type(value), tuple(map(_said, value))
    if value is None or isinstance(value, str | int | float):
        return type(value), repr(value)
    raise TypeError(f"a {type(value).__name__} cannot be looked up by")


class _Known(Behaviour):
    """A behaviour that was read before, from which the same seed drew before."""

    read: ClassVar[dict[Any, Behaviour]] = {}
    drawn: ClassVar[dict[Any, Iterator[PromptPair]]] = {}

    @classmethod
    def model_validate(cls, obj: Any, **how: Any) -> Any:
        key = _said([obj, how])
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
    known: dict[Any, Any] = {}

    def remembered(*args: Any, **named: Any) -> Any:
        key = _said([args, named])
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
            being_written.write_bytes(_PROBLEMS.dump_json(one(behaviour, tokenizer, *how)))
            being_written.replace(file)
        return _PROBLEMS.validate_json(file.read_bytes())

    def problems(*args: Any, **named: Any) -> list[Any]:
        with mock.patch.object(readiness, "_of", remembered):
            return whole(*args, **named)

    with (
        mock.patch.object(exploring, "readiness_problems", problems),
        mock.patch.object(behaviours, "readiness_problems", problems),
    ):
        yield
