"""Calls as JSON actions in plain text: for servers and models that know no tools, and for those that write them out.

An action is an object {"thought": ..., "tool": NAME, "arguments": {...}}.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple

from lakatos.agent.llm.calls import arguments_of
from lakatos.agent.llm.objects import after_thought, objects_in, shown
from lakatos.agent.llm.protocol import Message, ToolCall

_TAGGED: Final = re.compile(r"<tool_call>(.*?)(?:</tool_call>|\Z)", re.DOTALL)
_BESIDES: Final = frozenset(
    ("maxLength", "minLength", "maxItems", "minItems", "minimum", "maximum", "default", "description", "properties")
)
_FENCE: Final = re.compile(r"```\w*")
_ASKED: Final = (
    "You act by calling one tool at a time. Answer with one JSON object and nothing else: "
    '{"thought": why, "tool": the name of a tool, "arguments": its arguments as an object}. '
    "The tools, with the JSON schema of their arguments:\n"
)


class Acted(NamedTuple):
    """What a text does."""

    calls: tuple[ToolCall, ...]
    besides: str  # what it says besides


def offered(tools: Sequence[dict[str, Any]]) -> list[str]:
    """The names of tools."""
    return [tool["function"]["name"] for tool in tools]


def action_schema(tools: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The JSON schema of an action with one of these tools, and with arguments of the form that it takes.

    Sizes are left out: grammars of servers grow with them, and whoever makes the call checks them.
    """
    kinds, shared = [], dict[str, Any]()
    for tool in tools:
        arguments = dict(tool["function"].get("parameters") or {"type": "object"})
        shared |= _form(arguments.pop("$defs", {}))
        properties = {
            "thought": {"type": "string"},
            "tool": {"const": tool["function"]["name"]},
            "arguments": _form(arguments),
        }
        kinds.append(
            {
                "type": "object",
                "properties": properties,
                "required": list(properties),
                "additionalProperties": False,
            }
        )
    return {"anyOf": kinds, **({"$defs": shared} if shared else {})}


def _form(schema: Any) -> Any:
    """A schema without what only bounds or describes."""
    if isinstance(schema, list):
        return [_form(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    named = {name: _form(own) for name, own in schema.get("properties", {}).items()}
    kept = {name: _form(own) for name, own in schema.items() if name not in _BESIDES}
    return kept | ({"properties": named} if named else {})


def acted(text: str, names: Collection[str], *, asked: bool) -> Acted:
    """The calls of a text: those in <tool_call> tags, else its one action.

    Args:
        text: a stranger's.
        names: of the tools that were offered; what names another is no call,
        asked: unless an action was asked for.
    """
    after = after_thought(text)
    tagged = [_in_tag(match, names) for match in _TAGGED.finditer(after)]
    if calls := tuple(call for call in tagged if call is not None):
        return Acted(calls, _TAGGED.sub("", after).strip())
    found = [(one, call) for one in objects_in(after) if (call := _action(one.value))]
    chosen = [(one, call) for one, call in found if call.name in names] or (found if asked else [])
    if not chosen or any(call != chosen[0][1] for _, call in chosen):
        return Acted((), text)
    one, call = chosen[0]
    besides = _FENCE.sub("", after[: one.start] + after[one.end :]).strip()
    thought = one.value.get("thought")
    return Acted((call,), besides or (thought.strip() if isinstance(thought, str) else ""))


def as_actions(messages: Sequence[Message], tools: Sequence[dict[str, Any]] = ()) -> list[Message]:
    """A conversation with tools as one of plain text, which also says what the tools are."""
    found: list[Message] = []
    names: dict[str, str] = {}
    for message in messages:
        calls = message.get("tool_calls") or []
        names |= {call["id"]: call["function"]["name"] for call in calls}
        _append(found, _plain(message, calls, names))
    if tools:
        told = _ASKED + "\n".join(f"- {shown(tool['function'])}" for tool in tools)
        first = found[0] if found else {"role": "user", "content": ""}
        # in the first message, so that servers that keep the beginning of a conversation read it once
        found[:1] = [{**first, "content": f"{first['content']}\n\n{told}".lstrip()}]
    return found


def _in_tag(match: re.Match[str], names: Collection[str]) -> ToolCall | None:
    calls = [call for one in objects_in(match[1]) if (call := _action(one.value)) and call.name in names]
    return calls[0] if len(calls) == 1 else None


def _action(value: dict[str, Any]) -> ToolCall | None:
    """An object as a call, in the ways in which models write them; None where it is none."""
    function = value.get("function")
    inner = function if isinstance(function, dict) else value
    given = next((inner[key] for key in ("arguments", "parameters") if key in inner), None)
    name = next((inner[key] for key in ("tool", "name") if isinstance(inner.get(key), str)), None)
    if name is None or (given is None and "tool" not in inner):
        return None
    return ToolCall("", name, "{}" if given is None else arguments_of(given))


def _plain(message: Message, calls: Sequence[dict[str, Any]], names: dict[str, str]) -> Message:
    """A message as plain text of a user or an assistant."""
    content = message.get("content") or ""
    if message["role"] == "tool":
        name = names.get(message.get("tool_call_id", "")) or "a tool"
        return {"role": "user", "content": f"Result of {name}: {content}"}
    if not calls:
        return {"role": message["role"], "content": content}
    actions = [_written(call["function"], content) for call in calls]
    return {"role": message["role"], "content": "\n".join(actions)}


def _written(function: dict[str, Any], thought: str) -> str:
    try:
        arguments = json.loads(function["arguments"])
    except (ValueError, RecursionError):
        arguments = function["arguments"]
    return shown({"thought": thought, "tool": function["name"], "arguments": arguments})


def _append(messages: list[Message], message: Message) -> None:
    """Append a message; to one of the same role where there is one, since some templates want roles to alternate."""
    last = messages[-1] if messages else None
    both = last is not None and all(isinstance(one["content"], str) for one in (last, message))
    if last is not None and both and last["role"] == message["role"]:
        messages[-1] = {"role": last["role"], "content": f"{last['content']}\n\n{message['content']}"}
    else:
        messages.append(message)
