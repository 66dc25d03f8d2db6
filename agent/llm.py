"""Language models: a protocol of one method, any OpenAI-compatible endpoint, and a scripted double for tests.

What comes back is text from a stranger. It is logged word for word, parsed as data, and never run.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from lakatos.agent.config import RunConfig
from lakatos.tools.errors import UserError

Message = dict[str, str]  # role, content


class Reply(NamedTuple):
    """What a model answered and what it cost."""

    text: str
    tokens_in: int
    tokens_out: int


class LLMFailure(Exception):
    """No usable answer: a timeout, a refusal, a server error. Logged, and tried again a few times."""


class LLM(Protocol):
    """Anything that answers messages with text."""

    name: str

    def complete(self, messages: Sequence[Message], schema: dict[str, Any] | None = None) -> Reply:
        """Answer; as JSON of the given JSON schema if there is one.

        Raises:
            LLMFailure: no usable answer came.
        """
        ...


class OpenAILLM:
    """Any server that speaks OpenAI's chat completions: OpenAI, vLLM, Ollama, llama.cpp, LM Studio, ...

    Args:
        model: the model's name at the server.
        base_url: the server, e.g. http://localhost:11434/v1; None for OpenAI.
        timeout: seconds per request.

    Raises:
        UserError: no key for OpenAI itself. Other servers get a placeholder if OPENAI_API_KEY is not set.
    """

    def __init__(self, model: str, *, base_url: str | None = None, timeout: float = 120.0) -> None:
        import openai

        key = os.environ.get("OPENAI_API_KEY")
        if key is None and base_url is None:
            raise UserError(
                "OpenAI needs a key: set OPENAI_API_KEY, or give --llm-base-url for a server of your own "
                "(or --proposer attribution, which needs no LLM)."
            )
        self.name = model
        self._key = key or "none"
        self._client = openai.OpenAI(api_key=self._key, base_url=base_url, timeout=timeout, max_retries=1)

    def complete(self, messages: Sequence[Message], schema: dict[str, Any] | None = None) -> Reply:
        """See `LLM.complete`."""
        import openai

        extra: dict[str, Any] = {}
        if schema is not None:
            described = {"name": "proposals", "strict": True, "schema": schema}
            extra["response_format"] = {"type": "json_schema", "json_schema": described}
        try:
            answer = self._client.chat.completions.create(model=self.name, messages=list(messages), **extra)  # type: ignore[arg-type]
        except openai.OpenAIError as error:
            raise LLMFailure(f"{type(error).__name__}: {error}".replace(self._key, "[key]")) from error
        if not getattr(answer, "choices", None):
            raise LLMFailure("the answer has no choices")
        message = answer.choices[0].message
        if message.refusal:
            raise LLMFailure(f"the model refused: {message.refusal}")
        usage = answer.usage
        return Reply(
            message.content or "", usage.prompt_tokens if usage else 0, usage.completion_tokens if usage else 0
        )


def language_model(config: RunConfig) -> LLM:
    """The language model that a configuration names.

    Raises:
        UserError: it names none, or OpenAI's key is missing.
    """
    if config.llm_model is None:
        raise UserError("--proposer llm needs --llm-model NAME (and --llm-base-url for a server of your own).")
    return OpenAILLM(config.llm_model, base_url=config.llm_base_url, timeout=config.llm_timeout)


class ScriptedLLM:
    """A test double that gives prepared answers in turn; an exception among them is raised. Notes what it was asked."""

    def __init__(self, answers: Sequence[str | Exception], name: str = "scripted") -> None:
        self.name = name
        self._answers = list(answers)
        self.asked: list[list[Message]] = []

    def complete(self, messages: Sequence[Message], schema: dict[str, Any] | None = None) -> Reply:  # noqa: ARG002
        """See `LLM.complete`."""
        self.asked.append(list(messages))
        if not self._answers:
            raise LLMFailure("the script has no more answers")
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return Reply(answer, sum(len(m["content"].split()) for m in messages), len(answer.split()))
