"""Asking a language model within a run: how often, within which budget, and what is kept of it.

A request is an event before it is sent (`asking`, with all that is said) and a row of `llm_calls` when it has ended, so
that after a kill the log still says what was asked. What was answered is never asked a second time by a run that goes
on; what no attempt could answer ends the run, and is asked anew when somebody resumes it. Ctrl-C abandons a request:
that is a row too, with what it has cost by estimate.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

from lakatos.agent.llm import Abandoned, LLMFailure, Message, Reply, ToolCall, estimated_tokens
from lakatos.agent.proposers import ATTEMPTS
from lakatos.agent.run.context import Context
from lakatos.agent.toolbox import CALLS
from lakatos.agent.view import Ended, Purpose, Turn
from lakatos.experiments_db.log import LLMCall, read_turn, turn_text
from lakatos.prompts import Prompt
from lakatos.tools.errors import CheckFailed, Stop
from lakatos.tools.records import content_hash

_FOR: Final[dict[str, str]] = {
    "propose": "for hypotheses",
    "question": "one question of a hypothesis",
    "interpret": "what the verdicts mean",
    "investigate": "what to do next",
    "criticise": "what could break it",
}
_PUT_FORWARD: Final[tuple[Purpose, ...]] = ("propose", "question", "investigate", "criticise")  # for hypotheses
ABANDONED: Final = "abandoned by Ctrl-C"  # the error of a request that nobody waited for


class Asking:
    """The requests of a run (see `proposers.Requests`)."""

    def __init__(self, run: Context) -> None:
        self._run = run

    def ask(
        self,
        round_: int,
        purpose: Purpose,
        attempt: int,
        prompt: Prompt,
        messages: Sequence[Message],
        schema: dict[str, Any] | None,
    ) -> Ended:
        """One request, logged before it is sent, and again with what came of it.

        One that was answered already (in a run that goes on) is not repeated, unless the run has failed since.

        Raises:
            Stop: a limit of the run is reached, or the user interrupted.
        """
        before = self._run.store.calls(self._run.run_id, round_, purpose)
        given_up = self._given_up(round_) if purpose in _PUT_FORWARD else 0
        known = [c for c in before[given_up:] if c.response is not None and c.request["messages"] == list(messages)]
        if known:
            return Ended(known[0].response, known[0].id, "")
        about = self._about(round_, purpose, len(before) + 1, prompt)
        request = {"messages": list(messages), "schema": schema}
        return self._send(about, messages, request, (attempt - 1, ATTEMPTS))

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
        """One request of a conversation with tools (see `view.Requests`).

        The log holds what is new of it, and which request it continues; the tools that are offered are an event.

        Raises:
            Stop: a limit of the run is reached, or the user interrupted.
        """
        calls = self._run.store.calls(self._run.run_id)
        told = content_hash(list(tools))
        if not any(e.payload["hash"] == told for e in self._run.store.events(self._run.run_id, "offered")):
            self._run.store.event(self._run.run_id, "offered", {"hash": told, "tools": list(tools)})
        attempt = 1 + sum((c.round, c.purpose) == (round_, purpose) for c in calls)
        about = self._about(round_, purpose, attempt, prompt)
        request = {"messages": list(messages), "schema": None, "after": after, "by": by, "tools": told}
        whole = [*_said_before({c.id: c for c in calls}, after), *messages]
        turns = sum(c.request.get("by") == by and c.response is not None for c in calls)
        return self._send(about, whole, request, (turns, self._run.config.llm_turns), tools)

    def turns(self, by: str) -> list[Turn]:
        """An investigator's answered requests, in order."""
        found = []
        for call in self._run.store.calls(self._run.run_id):
            if call.response is not None and call.request.get("by") == by and "after" in call.request:
                text, calls = read_turn(call.response)
                after, messages = call.request["after"], tuple(call.request["messages"])
                found.append(Turn(call.id, after, messages, text, tuple(ToolCall(*c) for c in calls)))
        return found

    def _about(self, round_: int, purpose: Purpose, attempt: int, prompt: Prompt) -> dict[str, Any]:
        """What the log says of a request beside what is sent."""
        return {
            "round": round_,
            "purpose": purpose,
            "attempt": attempt,
            "model": self._run.llm.name,
            "prompt": f"{prompt.name}@{prompt.version}",
            "prompt_hash": prompt.hash,
        }

    def _send(
        self,
        about: dict[str, Any],
        messages: Sequence[Message],
        request: dict[str, Any],
        progress: tuple[int, int],
        tools: Sequence[dict[str, Any]] | None = None,
    ) -> Ended:
        """Send a request within the budget: logged before, and again with what came of it.

        Args:
            about: what the log says of it.
            messages: all that is sent.
            request: what the log keeps of that.
            progress: which one this is, of how many.
        """
        schema = request["schema"]
        self._check_budget(messages, schema if tools is None else list(tools))
        self._tell_spent()
        self._run.watcher.phase(f"asking {self._run.llm.name} {_FOR[about['purpose']]}", *progress)
        said = {"messages_hash": content_hash(request["messages"]), "messages": request["messages"]}
        self._run.store.event(self._run.run_id, "asking", about | said)
        began = time.monotonic()
        ended = self._complete(messages, schema, tools)
        answered = None
        if isinstance(ended, Reply):
            answered = ended.text if tools is None else turn_text(ended.text, ended.calls)
        row = self._run.store.call(
            self._run.run_id,
            **about,
            request=request,
            response=answered,
            error=str(ended) if isinstance(ended, LLMFailure) else None,
            tokens_in=ended.tokens_in,  # a refusal may be paid for too
            tokens_out=ended.tokens_out,
            seconds=time.monotonic() - began,
        )
        self._tell_spent()
        self._tell_what_came(row, ended)
        if isinstance(ended, LLMFailure):
            if ended.estimated:
                self._run.store.event(self._run.run_id, "unanswered", {"call": row.id, "estimated": True})
            if row.error == ABANDONED:
                raise Stop("interrupted")
            return Ended(None, row.id, str(ended), ended.permanent)
        how = {"form": ended.form, "finish": ended.finish, "estimated": ended.estimated, "raw": ended.raw}
        how |= {"cached": True} if ended.cached else {}
        if any(how.values()):
            self._run.store.event(self._run.run_id, "answered", {"call": row.id, **how})
        return Ended(ended.text, row.id, "", calls=ended.calls)

    def _complete(
        self,
        messages: Sequence[Message],
        schema: dict[str, Any] | None,
        tools: Sequence[dict[str, Any]] | None,
    ) -> Reply | LLMFailure:
        """What the language model answers, or why it does not; Ctrl-C abandons the request."""
        llm = self._run.llm
        try:
            with self._run.interruptions.waiting_for_answer():
                return llm.complete(messages, schema) if tools is None else llm.complete(messages, None, tools)
        except LLMFailure as failure:
            return failure
        except Abandoned:
            return LLMFailure(ABANDONED, tokens_in=_estimated(messages, schema or tools), estimated=True)

    def _tell_what_came(self, row: LLMCall, ended: Reply | LLMFailure) -> None:
        tokens = f"{ended.tokens_in + ended.tokens_out:,} tokens" + (", estimated" if ended.estimated else "")
        came = f"gave no answer ({row.error})" if row.error is not None else "answered"
        asked = f"{self._run.llm.name}, asked {_FOR[row.purpose]}"
        self._run.watcher.say(f"{asked}, {came}: {row.seconds:.0f} s, {tokens}")

    def give_up(self, round_: int, why: str) -> NoReturn:
        """A run whose language model says nothing usable has failed, and says so; those attempts are over."""
        attempts = sum(len(self._run.store.calls(self._run.run_id, round_, purpose)) for purpose in _PUT_FORWARD)
        tried = attempts - self._given_up(round_)
        reason = f"{self._run.llm.name} gave no usable answer in {tried} attempt{'s' * (tried != 1)}: {why}"
        told = {"reason": reason, "round": round_, "attempts": attempts}
        self._run.store.event(self._run.run_id, "failed", told)
        raise CheckFailed(reason)

    def opinion(self, round_: int) -> str:
        """What the language model said of the verdicts of the round before; nothing if it was silent."""
        calls = self._run.store.calls(self._run.run_id, round_ - 1, "interpret")
        answers = [call.response for call in calls if call.response]
        return answers[-1] if answers else ""

    def _given_up(self, round_: int) -> int:
        """How many requests for the proposals of a round had been made when the run last failed for want of one."""
        failed = self._run.store.events(self._run.run_id, "failed")
        return max((int(e.payload["attempts"]) for e in failed if e.payload.get("round") == round_), default=0)

    def _check_budget(self, messages: Sequence[Message], form: Any) -> None:
        """A limit holds before a request is sent: a token is at least about three bytes of what is said.

        Raises:
            Stop
        """
        self._run.check_limits()
        limit = self._run.config.max_tokens
        spent = self._run.store.run(self._run.run_id).tokens
        needed = _estimated(messages, form)
        if limit is not None and spent + needed > limit:
            raise Stop(
                f"the limit --max-tokens {limit:g} leaves too little for the next request, of about {needed:,} tokens "
                f"({spent:,} spent)"
            )

    def _tell_spent(self) -> None:
        record = self._run.store.run(self._run.run_id)
        self._run.watcher.spent(record.tokens, record.money)


def _said_before(calls: Mapping[int, LLMCall], after: int | None) -> list[Message]:
    """Everything that was said in a conversation until a request was answered, its answer included."""
    turns = []
    while after is not None:
        turns.append(calls[after])
        after = calls[after].request["after"]
    messages: list[Message] = []
    for call in reversed(turns):
        text, made = read_turn(call.response or "")
        kept = [ToolCall(*c) for c in made[:CALLS]]
        tool_calls = [
            {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}} for c in kept
        ]
        answer = {"role": "assistant", "content": text} | ({"tool_calls": tool_calls} if kept else {})
        messages += [*call.request["messages"], answer]
    return messages


def _estimated(messages: Sequence[Message], form: Any) -> int:
    """Tokens of a request: of what is said and called, and of the form in which an answer is wanted, or the tools."""
    said = [message["content"] or "" for message in messages]
    forms = [form, *(message.get("tool_calls") for message in messages)]
    said += [json.dumps(own) for own in forms if own is not None]
    return estimated_tokens(sum(len(text.encode("utf-8", "replace")) for text in said))
