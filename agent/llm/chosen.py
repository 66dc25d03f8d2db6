"""The language model that a configuration names, and a double for tests that answers from a script."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lakatos.agent.config import RunConfig
from lakatos.agent.llm.cache import CachedLLM
from lakatos.agent.llm.calls import numbered
from lakatos.agent.llm.client import OpenAILLM
from lakatos.agent.llm.protocol import LLM, LLMFailure, Message, Reply, ToolCall
from lakatos.tools.errors import UserError


def language_model(
    config: RunConfig, say: Callable[[str], None] | None = None, cache: Path | None = None, anew: bool = False
) -> LLM:
    """The language model that a configuration names, whose server has been found to be there.

    Args:
        config: names it.
        say: is told which key goes to which host.
        cache: where its answers are kept, if the configuration wants that.
        anew: the answers that were kept are not used: they were of no use.

    Raises:
        UserError: no model is named, a key is missing, nothing answers at the address, or no answers can be kept there.
    """
    if config.llm_model is None:
        raise UserError("--proposer llm needs --llm-model NAME (and --llm-base-url for a server of your own).")
    llm = OpenAILLM(
        config.llm_model,
        base_url=config.llm_base_url,
        timeout=config.llm_timeout,
        key_env=config.llm_key_env,
        max_output=config.llm_max_output,
        temperature=config.llm_temperature,
        seed=config.llm_seed,
        reasoning_effort=config.llm_reasoning_effort,
    )
    if say is not None:
        say(llm.route)
    llm.check()
    return CachedLLM(llm, cache, anew=anew) if config.llm_cache and cache is not None else llm


class ScriptedLLM:
    """A test double that gives prepared answers in turn; an exception among them is raised. Notes what it was asked.

    Args:
        answers: texts, exceptions, whole replies, and lists of tool calls, each a name and its arguments.
        name: the model's.
    """

    def __init__(
        self, answers: Sequence[str | Exception | Reply | Sequence[tuple[str, dict[str, Any]]]], name: str = "scripted"
    ) -> None:
        self.name = name
        self._answers = list(answers)
        self.asked: list[list[Message]] = []

    def complete(
        self,
        messages: Sequence[Message],
        schema: dict[str, Any] | None = None,  # noqa: ARG002 - a script answers whatever is asked
        tools: Sequence[dict[str, Any]] | None = None,  # noqa: ARG002 - a script answers whatever is asked
    ) -> Reply:
        """See `LLM.complete`."""
        self.asked.append(list(messages))
        if not self._answers:
            raise LLMFailure("the script has no more answers")
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, Reply):
            return answer
        said = sum(len(str(m.get("content") or "").split()) for m in messages)
        if isinstance(answer, str):
            return Reply(answer, said, len(answer.split()))
        calls = numbered(ToolCall("", name, json.dumps(arguments)) for name, arguments in answer)
        return Reply("", said, sum(len(call.arguments.split()) for call in calls), form="tools", calls=calls)
