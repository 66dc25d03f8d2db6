"""What a language model is to us: messages go in, a reply or a failure comes out, and both say what they cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

Message = dict[str, Any]  # as OpenAI has it: role and content; tool_calls of an assistant; tool_call_id of a tool


class ToolCall(NamedTuple):
    """A call as the model wrote it, which nothing has checked yet."""

    id: str  # unique within the answer
    name: str  # "" where there was none
    arguments: str  # JSON, or whatever came


class Reply(NamedTuple):
    """What a model answered and what it cost."""

    text: str  # what was answered: the JSON object by itself, where one was asked for and exactly one is there
    tokens_in: int
    tokens_out: int
    estimated: bool = False  # the server's count was missing or impossible, so tokens were estimated from bytes
    finish: str = ""  # why the server ended: "stop", "length", ...; "" where it did not say
    form: str = ""  # how JSON or calls were asked for: "json_schema", "json_object", "words", "tools"; "" where not
    raw: str = ""  # the whole answer, where `text` was taken out of it; else ""
    calls: tuple[ToolCall, ...] = ()  # of the tools that were offered, or of others; `text` is what was said besides
    cached: bool = False  # an answer that was kept: nobody was asked, and it costs nothing


class LLMFailure(Exception):
    """No usable answer came. The failure carries what it cost, as far as that is known.

    Args:
        message: what happened, and how to mend it.
        tokens_in: tokens that were sent, where they may have been paid.
        tokens_out: tokens that came back.
        estimated: these were estimated from bytes.
        permanent: asking again would fail again: the address, the key, the model's name or the request must change.
    """

    def __init__(
        self,
        message: str,
        *,
        tokens_in: int = 0,
        tokens_out: int = 0,
        estimated: bool = False,
        permanent: bool = False,
    ) -> None:
        super().__init__(message)
        self.tokens_in = tokens_in
        self.tokens_out = tokens_out
        self.estimated = estimated
        self.permanent = permanent


class Abandoned(BaseException):
    """Nobody waits for the answer any more: Ctrl-C. No Exception, lest a client take it for a failure and ask again."""


class LLM(Protocol):
    """Anything that answers messages with text, or with calls of tools."""

    name: str

    def complete(
        self,
        messages: Sequence[Message],
        schema: dict[str, Any] | None = None,
        tools: Sequence[dict[str, Any]] | None = None,
    ) -> Reply:
        """Answer; as JSON of the given JSON schema if there is one.

        Args:
            messages: the conversation, in OpenAI's form.
            schema: of the JSON that is wanted.
            tools: that may be called instead, in OpenAI's form; where there are any, the schema does not count.

        Raises:
            LLMFailure: no usable answer came.
        """
        ...
