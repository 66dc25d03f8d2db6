"""What a server sent, read as an answer: the text, why there is none, and what it cost.

Anything can stand in a body. What is unambiguous is read, the rest is named; nothing here raises.
"""

from __future__ import annotations

import json
import math
from typing import Any, NamedTuple

_BYTES_A_TOKEN = 3  # English has about four, JSON and other languages fewer: an estimate errs on the high side
_MOST_TOKENS = 10**8  # of one request; what is above is no count
_STARTS = 200  # places of a text at which a JSON object is looked for


class Answer(NamedTuple):
    """What a body says."""

    text: str | None  # None: nothing usable
    why: str = ""  # then why
    raw: str = ""  # the whole of it, where `text` is a part
    finish: str = ""
    tokens_in: int | None = None  # None: not said, or impossible
    tokens_out: int | None = None
    trouble: Any = None  # the error in a body that calls itself a success
    unformed: bool = False  # JSON was asked for, and the whole answer has none in it


def estimated_tokens(size: int) -> int:
    """Tokens of so many bytes, where nobody counted them."""
    return math.ceil(size / _BYTES_A_TOKEN)


def parsed(body: bytes) -> Any:
    """A body as JSON; what is wrong in its UTF-8 is shown as U+FFFD.

    Raises:
        ValueError: it is no JSON; says where.
    """
    try:
        return json.loads(body.decode("utf-8-sig", errors="replace"))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def read_answer(body: bytes, schema: dict[str, Any] | None) -> Answer:
    """The answer in the body of a successful response.

    Args:
        body: as received.
        schema: the JSON schema that was asked for, if any.
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


def the_object(text: str, required: Any = ()) -> str | None:
    """The one JSON object with the required keys in a text that thinks aloud, fences or explains; else None."""
    decoder = json.JSONDecoder()
    after = text[text.rfind("</think>") + len("</think>") :] if _is_thinking(text) else text
    found, at = [], after.find("{")
    for _ in range(_STARTS):
        if at < 0:
            break
        try:
            value, end = decoder.raw_decode(after, at)
        except (ValueError, RecursionError):
            at = after.find("{", at + 1)
            continue
        if all(key in value for key in required):
            found.append(after[at:end])
        at = after.find("{", end)
    if not found or any(one != found[0] for one in found):
        return None
    return text if text.strip() == found[0] else found[0]


def _is_thinking(text: str) -> bool:
    """Does a thought precede the answer? Some templates open it in the prompt, so only its end is seen."""
    return "</think>" in text and not text.lstrip().startswith("{")


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
    calls = _calls(message)
    if calls:
        usable = schema is not None and len(calls) == 1 and calls[0] is not None
        return (calls[0], "") if usable else (None, "the model called a tool where text was asked for")
    for name in ("reasoning_content", "reasoning"):
        thought = message.get(name)
        if isinstance(thought, str) and thought.strip():
            usable = schema is not None and the_object(thought, schema.get("required", ())) is not None
            return (thought, "") if usable else (None, "the model only thought, and gave no answer")
    return None, "the answer is empty"


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


def _calls(message: dict[str, Any]) -> list[str | None]:
    """The arguments of every tool call of a message; None for one that has none."""
    calls = message.get("tool_calls")
    functions = [c.get("function") if isinstance(c, dict) else None for c in calls] if isinstance(calls, list) else []
    if message.get("function_call"):
        functions.append(message["function_call"])
    given = [f.get("arguments") if isinstance(f, dict) else None for f in functions]
    return [shown(g) if isinstance(g, dict) else g if isinstance(g, str) and g.strip() else None for g in given]


def shown(value: Any) -> str:
    """A value as JSON."""
    try:
        return json.dumps(value, ensure_ascii=False)
    except RecursionError:
        return "nested too deeply to be shown"


def _count(value: Any) -> int | None:
    """A number of tokens; None where it cannot be one."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _MOST_TOKENS:
        return None
    return int(value) if value == int(value) else None
