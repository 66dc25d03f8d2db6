"""Asking a language model within a run: what is asked, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, NoReturn, Protocol

if TYPE_CHECKING:
    from lakatos.agent.llm import Message, ToolCall
    from lakatos.prompts import Prompt

Purpose = Literal["propose", "question", "interpret", "investigate", "criticise"]


class Ended(NamedTuple):
    """What came of a request to a language model."""

    text: str | None
    call_id: int
    error: str  # why there is no answer
    permanent: bool = False  # asking again would fail again
    calls: tuple[ToolCall, ...] = ()  # of tools


class Turn(NamedTuple):
    """A request of a conversation that was answered, as it stands in the log."""

    call_id: int
    after: int | None  # the request that it continues; None: a conversation begins
    messages: tuple[Message, ...]  # what was said to the model since then
    text: str  # what it answered
    calls: tuple[ToolCall, ...]  # ... and called


class Requests(Protocol):
    """Asking a language model within a run's budget; every request is in the log."""

    def ask(
        self,
        round_: int,
        purpose: Purpose,
        attempt: int,
        prompt: Prompt,
        messages: Sequence[Message],
        schema: dict[str, Any] | None,
    ) -> Ended:
        """One request. What was answered already, in a run that goes on, is not asked again.

        Raises:
            Stop: a limit of the run is reached, or the user interrupted.
        """

    def converse(
        self,
        round_: int,
        purpose: Purpose,
        by: str,
        prompt: Prompt,
        after: int | None,
        messages: Sequence[Message],
        tools: Sequence[dict[str, Any]],
    ) -> Ended:
        """One request of a conversation with tools.

        Args:
            by: which investigator converses.
            after: the request that this one continues; None begins a conversation.
            messages: what is new since then.
            tools: those that are offered, in OpenAI's form.

        Raises:
            Stop: a limit of the run is reached, or the user interrupted.
        """

    def turns(self, by: str) -> list[Turn]:
        """An investigator's answered requests, in order."""

    def give_up(self, round_: int, why: str) -> NoReturn:
        """End the run: no attempt gave a usable answer. Raises CheckFailed."""

    def opinion(self, round_: int) -> str:
        """What the language model said of the verdicts of the round before; nothing if it was silent."""
