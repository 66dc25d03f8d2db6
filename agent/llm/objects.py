"""JSON objects: read from bytes, found in a text that thinks aloud, shown as text. Nothing here raises anything else
than it says, whatever stands there.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

_STARTS = 200  # places of a text at which a JSON object is looked for


class Found(NamedTuple):
    """A JSON object in a text."""

    value: dict[str, Any]
    start: int
    end: int


def parsed(body: bytes) -> Any:
    """A body as JSON; what is wrong in its UTF-8 is shown as U+FFFD.

    Raises:
        ValueError: it is no JSON; says where.
    """
    try:
        return json.loads(body.decode("utf-8-sig", errors="replace"))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def shown(value: Any) -> str:
    """A value as JSON."""
    try:
        return json.dumps(value, ensure_ascii=False)
    except RecursionError:
        return "nested too deeply to be shown"


def after_thought(text: str) -> str:
    """A text without the thought before it. Some templates open it in the prompt, so only its end is seen."""
    if "</think>" in text and not text.lstrip().startswith("{"):
        return text[text.rfind("</think>") + len("</think>") :]
    return text


def objects_in(text: str) -> list[Found]:
    """The JSON objects of a text, none of which stands within another."""
    decoder = json.JSONDecoder()
    found, at = [], text.find("{")
    for _ in range(_STARTS):
        if at < 0:
            break
        try:
            value, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            at = text.find("{", at + 1)
            continue
        found.append(Found(value, at, end))
        at = text.find("{", end)
    return found


def the_object(text: str, required: Any = ()) -> str | None:
    """The one JSON object with the required keys in a text that thinks aloud, fences or explains; else None."""
    after = after_thought(text)
    found = [after[one.start : one.end] for one in objects_in(after) if all(key in one.value for key in required)]
    if not found or any(one != found[0] for one in found):
        return None
    return text if text.strip() == found[0] else found[0]
