"""Language models: a protocol of one method, any OpenAI-compatible endpoint, and a scripted double for tests.

What comes back is text from a stranger. It is logged, parsed as data, and never run.

protocol  messages, a reply, tool calls, a failure, and what they cost
chosen    the language model that a configuration names, and the double;  cache: answers that are kept
client    what is asked again, and what is asked otherwise
forms     what is wanted of a server: JSON, calls, or words about either
http      one request within a deadline and a number of bytes
answers   bodies of answers, read;  trouble: what an error says, and how it is mended
calls     tool calls of a message;  actions: calls as JSON in plain text
objects   JSON objects: read, found in a text, shown
address   the server's address, its key, and how that is kept out of everything
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakatos.tools.lazy import lazily

if TYPE_CHECKING:
    from lakatos.agent.llm.answers import estimated_tokens
    from lakatos.agent.llm.cache import CachedLLM
    from lakatos.agent.llm.chosen import ScriptedLLM, language_model
    from lakatos.agent.llm.client import OpenAILLM
    from lakatos.agent.llm.protocol import LLM, Abandoned, LLMFailure, Message, Reply, ToolCall

__all__ = [
    "LLM",
    "Abandoned",
    "CachedLLM",
    "LLMFailure",
    "Message",
    "OpenAILLM",
    "Reply",
    "ScriptedLLM",
    "ToolCall",
    "estimated_tokens",
    "language_model",
]

__getattr__ = lazily(
    __name__,
    {
        "Abandoned": "protocol",
        "CachedLLM": "cache",
        "LLM": "protocol",
        "LLMFailure": "protocol",
        "Message": "protocol",
        "OpenAILLM": "client",
        "Reply": "protocol",
        "ScriptedLLM": "chosen",
        "ToolCall": "protocol",
        "estimated_tokens": "answers",
        "language_model": "chosen",
    },
)
