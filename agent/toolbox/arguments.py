"""Arguments of a call, from a stranger: read as data, and kept as what any log can hold."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import Any, Final

MOST: Final = 20_000  # characters of arguments
_KEPT: Final = 2_000  # characters of what was no call, for the log
_UNKEPT: Final = re.compile("[\0\ud800-\udfff]")  # no database takes these
_NESTED: Final = "nested too deeply to be kept"


def storable(text: str) -> str:
    """A text that a database takes."""
    return _UNKEPT.sub("\ufffd", text)


def read_arguments(arguments: Any) -> Any:
    """Arguments as data; a text that is no JSON stays a text."""
    if isinstance(arguments, str) and len(arguments) <= MOST:
        with suppress(ValueError, RecursionError):
            arguments = json.loads(arguments) if arguments.strip() else {}
    try:
        return _cleaned(arguments)
    except RecursionError:
        return _NESTED


def plain(asked: dict[str, Any]) -> dict[str, Any]:
    """Checked arguments as JSON."""

    def one(value: Any) -> Any:
        if isinstance(value, list):
            return [one(own) for own in value]
        return value.model_dump(mode="json") if hasattr(value, "model_dump") else value

    return {name: one(value) for name, value in asked.items()}


def shortened(arguments: Any) -> Any:
    """What may be kept of arguments that were refused."""
    try:
        text = json.dumps(arguments, ensure_ascii=False, allow_nan=False)
        return arguments if len(text) <= _KEPT else text[:_KEPT]
    except (ValueError, RecursionError):
        return str(arguments)[:_KEPT] if not isinstance(arguments, dict | list) else _NESTED


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, list):
        return [_cleaned(one) for one in value]
    if isinstance(value, dict):
        return {storable(str(name)): _cleaned(one) for name, one in value.items()}
    return value
