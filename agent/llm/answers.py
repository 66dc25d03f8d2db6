"""What a server sent, read as an answer: the text, why there is none, and what it cost.

Anything can stand in a body. What is unambiguous is read, the rest is named; nothing here raises.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any, NamedTuple

from lakatos.agent.llm.actions import Acted, acted
from lakatos.agent.llm.calls import read_calls
from lakatos.agent.llm.objects import parsed, the_object
from lakatos.agent.llm.protocol import ToolCall

_BYTES_A_TOKEN = 3  # English has about four, JSON and other languages fewer: an estimate errs on the high side
_MOST_TOKENS = 10**8  # of one request; what is above is no count


class Answer(NamedTuple):
    """What a body says."""

    text: str | None  # None: nothing usable
    why: str = ""  # then why
    raw: str = ""  # the whole of it, where `text` is a part
    finish: str = ""
    tokens_in: int | None = None  # None: not said, or impossible
    tokens_out: int | None = None
    trouble: Any = None  # the error in a body that calls itself a success
    unformed: bool = False  # JSON or a call was asked for, and the whole answer has none in it
    calls: tuple[ToolCall, ...] = ()


def estimated_tokens(size: int) -> int:
    """Tokens of so many bytes, where nobody counted them."""
    return math.ceil(size / _BYTES_A_TOKEN)


def read_answer(body: bytes, schema: dict[str, Any] | None, names: Collection[str] | None = None) -> Answer:
    """The answer in the body of a successful response.

    Args:
        body: as received.
        schema: the JSON schema that was asked for, if any.
        names: of the tools that were offered; with a schema, an action was asked for.
    """
    if not body.strip():
        return Answer(None, "the body of the answer is empty")
    try:
        document = parsed(body)
    except ValueError as error:
        return Answer(None, f"the body of the answer is not JSON ({error})")
    if not isinstance(document, dict):
        return Answer(None, "the body of the answer is not a JSON object")
    usage = document.get("usage")
    counts = usage if isinstance(usage, dict) else {}
    answer = Answer(None, "", "", "", _count(counts.get("prompt_tokens")), _count(counts.get("completion_tokens")))
    choices = document.get("choices")
    if document.get("error") and not choices:
        return answer._replace(trouble=document["error"])
    if not isinstance(choices, list) or not choices:
        return answer._replace(why="the answer has no choices")
    choice = choices[0] if isinstance(choices[0], dict) else {}
    finish, message = choice.get("finish_reason"), choice.get("message")
    answer = answer._replace(finish=finish if isinstance(finish, str) else "")
    if not isinstance(message, dict):
        return answer._replace(why="the first choice of the answer has no message")
    if names is not None:
        return _called(answer, message, names, asked=schema is not None)
    said, why = _said(message, answer.finish, schema)
    if said is None:
        return answer._replace(why=why)
    answer = answer._replace(text=said, tokens_out=answer.tokens_out or None)  # words are never for nothing
    if schema is None or answer.finish == "length":
        return answer
    found = the_object(said, schema.get("required", ()))
    if found is None:
        return answer._replace(unformed="{" not in said)
    return answer._replace(text=found, raw="" if found == said else said)


def _said(message: dict[str, Any], finish: str, schema: dict[str, Any] | None) -> tuple[str | None, str]:
    """The words of a message; or None, and why there are none."""
    content, refusal = _text(message.get("content"))
    refusal = refusal or (message["refusal"] if isinstance(message.get("refusal"), str) else "")
    if content is None:
        return None, "the content of the message is neither text nor parts with text"
    if finish == "content_filter":
        return None, "the server's content filter cut the answer off"
    if content.strip():
        return content, ""
    if refusal.strip():
        return None, f"the model refused: {refusal}"
    if finish == "length":
        return None, "every token that an answer may have was used before it began; raise --llm-max-output"
    calls = read_calls(message)
    if calls:
        usable = schema is not None and len(calls) == 1 and bool(calls[0].arguments.strip())
        return (calls[0].arguments, "") if usable else (None, "the model called a tool where text was asked for")
    if thought := _thought(message):
        usable = schema is not None and the_object(thought, schema.get("required", ())) is not None
        return (thought, "") if usable else (None, "the model only thought, and gave no answer")
    return None, "the answer is empty"


def _called(answer: Answer, message: dict[str, Any], names: Collection[str], *, asked: bool) -> Answer:
    """The answer of a message that may call tools: natively, or by an action in its text or its thought."""
    content = _text(message.get("content"))[0] or ""
    calls = read_calls(message)
    found = Acted(calls, content) if calls else acted(content, names, asked=asked)
    if not found.calls and not content.strip():
        found = acted(_thought(message), names, asked=asked)
    if found.calls and answer.finish != "content_filter":
        raw = content if content != found.besides else ""
        return answer._replace(text=found.besides, raw=raw, calls=found.calls, tokens_out=answer.tokens_out or None)
    said, why = _said(message, answer.finish, None)
    cut = answer.finish in ("length", "content_filter") or why.startswith("the model refused")
    unformed = not cut and not (asked and "{" in content)
    if said is None:
        return answer._replace(why=why, unformed=unformed)
    return answer._replace(text=said, unformed=unformed, tokens_out=answer.tokens_out or None)


def _thought(message: dict[str, Any]) -> str:
    """What a message says of its reasoning."""
    thoughts = [message.get(name) for name in ("reasoning_content", "reasoning")]
    return next((thought for thought in thoughts if isinstance(thought, str) and thought.strip()), "")


def _text(content: Any) -> tuple[str | None, str]:
    """Content as text, and a refusal among its parts; None where it is neither text nor parts."""
    if content is None or isinstance(content, str):
        return content or "", ""
    parts = content if isinstance(content, list) else [content]
    said, refusal = [], ""
    for part in parts:
        if isinstance(part, str):
            said.append(part)
        elif isinstance(part, dict) and isinstance(part.get("refusal"), str):
            refusal = part["refusal"]
        elif isinstance(part, dict) and part.get("type") in (None, "text", "output_text"):
            inner = part.get("text")
            inner = inner.get("value") if isinstance(inner, dict) else inner
            if not isinstance(inner, str):
                return None, ""
            said.append(inner)
        elif not isinstance(part, dict) or part.get("type") not in ("thinking", "reasoning"):
            return None, ""
    return "".join(said), refusal


def _count(value: Any) -> int | None:
    """A number of tokens; None where it cannot be one."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _MOST_TOKENS:
        return None
    return int(value) if value == int(value) else None
