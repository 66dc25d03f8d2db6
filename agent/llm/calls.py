"""Tool calls in a message, read as a stranger's: what has the shape of a call is kept as it stands, and judged later.

Nothing here raises.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

from lakatos.agent.llm.objects import shown
from lakatos.agent.llm.protocol import Message, ToolCall

_LONGEST_ID: Final = 64  # characters
_NO_NAME: Final = re.compile("[^A-Za-z0-9_-]")  # servers refuse a conversation with such a name in it


def read_calls(message: dict[str, Any]) -> tuple[ToolCall, ...]:
    """The calls of a message, in the form of today and in that of old; ids may be missing, or twice the same."""
    given = message.get("tool_calls")
    calls = [given] if isinstance(given, dict) else given if isinstance(given, list) else []
    old = message.get("function_call")
    read = [_read(call) for call in [*calls, *([{"function": old}] if old else [])]]
    return tuple(call for call in read if call is not None)


def arguments_of(value: Any) -> str:
    """Arguments as text: the model's own, or the object that a server made of it."""
    return value if isinstance(value, str) else "" if value is None else shown(value)


def numbered(calls: Iterable[ToolCall]) -> tuple[ToolCall, ...]:
    """The calls, each with an id of its own: the server's where it can be one, else call_1, call_2, ..."""
    calls = tuple(calls)
    own: list[str | None] = []
    taken: set[str] = set()
    for call in calls:
        usable = 0 < len(call.id) <= _LONGEST_ID and call.id.isprintable() and call.id not in taken
        own.append(call.id if usable else None)
        taken |= {call.id} if usable else set()
    found, number = [], 0
    for call, known in zip(calls, own, strict=True):
        if known is None:
            number += 1
            while f"call_{number}" in taken:
                number += 1
            known = f"call_{number}"
        found.append(call._replace(id=known))
    return tuple(found)


def sendable(messages: Sequence[Message]) -> list[Message]:
    """A conversation whose calls any server takes: some refuse all of it for a name or arguments that are none."""
    return [
        {**message, "tool_calls": [_sendable(call) for call in message["tool_calls"]]}
        if message.get("tool_calls")
        else message
        for message in messages
    ]


def _read(call: Any) -> ToolCall | None:
    """A call; None for what has not the shape of one."""
    if not isinstance(call, dict):
        return None
    inner = call.get("function", call)  # some servers leave the outer object out
    if not isinstance(inner, dict) or not ("name" in inner or "arguments" in inner):
        return None
    name, id_ = inner.get("name"), call.get("id")
    return ToolCall(
        id=id_ if isinstance(id_, str) else "",
        name=name if isinstance(name, str) else "",
        arguments=arguments_of(inner.get("arguments")),
    )


def _sendable(call: dict[str, Any]) -> dict[str, Any]:
    function = call["function"]
    name = _NO_NAME.sub("_", function["name"])[:_LONGEST_ID] or "unnamed"
    arguments = function["arguments"]
    try:
        fits = isinstance(json.loads(arguments), dict)
    except (ValueError, RecursionError):
        fits = False
    told = arguments if fits else shown({"unreadable": arguments})
    return {**call, "function": {**function, "name": name, "arguments": told}}
