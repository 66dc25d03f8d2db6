"""What is wanted of a server, in the form in which it takes it: JSON, tool calls, or words about either."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple, Self

from lakatos.agent.llm.actions import action_schema, as_actions, offered
from lakatos.agent.llm.calls import sendable
from lakatos.agent.llm.protocol import Message

FORMS = ("json_schema", "json_object", "words")  # in which JSON is asked for, the strictest first
TOOLS = "tools"  # the form in which calls are asked for, where a server takes tools


class Wanted(NamedTuple):
    """One request."""

    messages: Sequence[Message]
    form: str  # one of `FORMS`, or TOOLS; "" where text is wanted
    schema: dict[str, Any] | None = None  # of the JSON that is wanted
    tools: Sequence[dict[str, Any]] = ()  # that may be called

    @classmethod
    def of(
        cls,
        messages: Sequence[Message],
        schema: dict[str, Any] | None,
        tools: Sequence[dict[str, Any]] | None,
        form: str,
        *,
        native: bool,
    ) -> Self:
        """A request to a server that takes JSON in this form, and tools or (if not `native`) only actions."""
        if tools and native:
            return cls(sendable(messages), TOOLS, None, tools)
        if tools:
            return cls(as_actions(messages, tools), form, action_schema(tools), tools)
        told = any(message.get("tool_calls") or message["role"] == "tool" for message in messages)
        return cls(as_actions(messages) if told and not native else sendable(messages), form if schema else "", schema)

    @property
    def names(self) -> list[str] | None:
        """The names of the tools that may be called; None where text is wanted."""
        return offered(self.tools) if self.tools else None

    def fields(self) -> dict[str, Any]:
        """The messages, and what a request says of the form of an answer."""
        if self.form == TOOLS:
            return {"messages": list(self.messages), "tools": list(self.tools), "tool_choice": "auto"}
        if self.schema is None:
            return {"messages": list(self.messages)}
        if self.form == FORMS[0]:
            name = {"name": "action", "strict": False} if self.tools else {"name": "proposals", "strict": True}
            described = {"type": "json_schema", "json_schema": {**name, "schema": self.schema}}
            return {"messages": list(self.messages), "response_format": described}
        more = {"response_format": {"type": "json_object"}} if self.form == FORMS[1] else {}
        return {"messages": _instructed(self.messages, self.schema), **more}


def _instructed(messages: Sequence[Message], schema: dict[str, Any]) -> list[Message]:
    """The messages, the last of which says what JSON is expected."""
    asked = "Answer with one JSON object and nothing else. It follows this JSON schema:\n" + json.dumps(schema)
    if not messages or messages[-1]["role"] != "user":
        return [*messages, {"role": "user", "content": asked}]
    return [*messages[:-1], {"role": "user", "content": f"{messages[-1]['content']}\n\n{asked}"}]
