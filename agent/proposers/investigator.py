"""A language model that explores with tools, registers what it found, sees the verdicts, and goes on.

A call of the proposer is one turn: a request, and the calls of its answer. Where a turn stands follows from the log, so
a run that was killed goes on with the next call that has no answer yet. A conversation that grows too long is begun
anew, with what the log and the investigator's notes say.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from lakatos.agent.llm import Message, ToolCall, estimated_tokens
from lakatos.agent.proposers.language_model import ATTEMPTS
from lakatos.agent.proposers.protocol import Proposed
from lakatos.agent.toolbox import CALLS, CRITIC, TOOLS, answered, offered
from lakatos.agent.view import Purpose, Turn, View
from lakatos.agent.words import verdict
from lakatos.prompts import load_prompt

_PROSE: Final = "No tool was called. Call a tool: `overview` shows where you stand, `finish` ends your investigation."
_OVER: Final = "it came after `finish`, which ended your investigation"
_ANEW: Final = "Your last calls were answered before your conversation was begun anew:"
_LATER: Final = "it came after `register` in the same answer; call it again now that the tests are over"


def investigator(view: View) -> Proposed:
    """One turn of the investigator whose turn it is.

    Returns:
        What it registered; or nothing, and whether it goes on.

    Raises:
        CheckFailed: the language model gives no usable answer; the run has failed, and can be resumed.
        Stop: a limit of the run is reached, or the user interrupted.
    """
    put = [c for c in view.calls if c.round == view.round and c.proposals]
    if put:  # the process died before it was appended as proposals
        return Proposed(list(put[0].proposals), put[0].request)
    by = next((name for name in _line(view) if not _finished(view, name)), None)
    if by is None:
        return Proposed([])
    return _Investigator(view, by).turn()


def _line(view: View) -> list[str]:
    """The investigators in their order; where there are several, a critic comes last."""
    several = view.config.investigators
    if several == 1:
        return [""]
    critic = [CRITIC] if any(e.state == "confirmed" for e in view.entries) else []
    return [*(str(k + 1) for k in range(several)), *critic]


def _finished(view: View, by: str) -> bool:
    """Whether an investigator has ended, or has had its turns."""
    if any(c.over for c in view.calls if c.by == by):
        return True
    turns = view.requests.turns(by)
    return len(turns) >= view.config.llm_turns and not list(_waiting(view, turns[-1]))


class _Investigator:
    """One investigator's conversation, as it stands in the log."""

    def __init__(self, view: View, by: str) -> None:
        self.view = view
        self.by = by
        self.turns = view.requests.turns(by)
        self.without = {name.strip() for name in (view.config.llm_without or "").split(",")}
        if by != CRITIC:
            self.without.add("challenge")

    @property
    def purpose(self) -> Purpose:
        return "criticise" if self.by == CRITIC else "investigate"

    def turn(self) -> Proposed:
        """Make the calls that wait; where none do, ask for the next ones first."""
        waiting = list(_waiting(self.view, self.turns[-1])) if self.turns else []
        request = self.turns[-1].call_id if self.turns else 0
        if not waiting:
            request, calls = self._ask()
            waiting = list(enumerate(calls[:CALLS]))
        put = next((c for c in self.view.calls if c.request == request and c.proposals), None)
        earlier, over = put, any(c.over for c in self.view.calls if c.by == self.by)
        for place, call in waiting:
            called = answered(
                self.view,
                call.name,
                call.arguments,
                by=self.by,
                request=request,
                place=place,
                without=self.without,
                refuse=_OVER if over else _LATER if put else "",
            )
            put = called if called.proposals else put
            over = over or called.over
        if put is None or put is earlier:
            return Proposed([], more=True)
        return Proposed(list(put.proposals), put.request)

    def _ask(self) -> tuple[int, tuple[ToolCall, ...]]:
        """Ask until the language model calls something; the request, and the calls."""
        why, prose = "", False
        for _ in range(ATTEMPTS):
            after, messages = self._next(prose)
            tools = offered(self.without)
            prompt = load_prompt(self.purpose)
            ended = self.view.requests.converse(self.view.round, self.purpose, self.by, prompt, after, messages, tools)
            if ended.calls:
                return ended.call_id, ended.calls
            prose, why = ended.text is not None, ended.error or "it only wrote text, and called no tool"
            if ended.permanent:
                break
            self.turns = self.view.requests.turns(self.by)
        self.view.requests.give_up(self.view.round, why)

    def _next(self, prose: bool) -> tuple[int | None, list[Message]]:
        """The request to continue, and what is new since it; or None, and the beginning of a conversation."""
        if not self.turns:
            return None, self._beginning(anew=False)
        last = self.turns[-1]
        results = list(_results(self.view, last))
        if not last.calls or prose:
            results = [{"role": "user", "content": _PROSE}]
        elif len(last.calls) > CALLS:
            told = f"{len(last.calls) - CALLS} more calls of that answer were dropped: at most {CALLS} are made."
            results.append({"role": "user", "content": told})
        size = sum(_size(turn) for turn in _conversation(self.turns)) + _tokens([*results, *offered(self.without)])
        if size > self.view.config.llm_context:
            (beginning,) = self._beginning(anew=True)
            return None, [{**beginning, "content": f"{beginning['content']}{self._unread(results)}"}]
        return last.call_id, results

    def _unread(self, results: Sequence[Message]) -> str:
        """What the last calls were answered, for a conversation that is begun anew: as much as half of it may hold."""
        told, room = [_ANEW], self.view.config.llm_context / 2
        for result in results:
            room -= _tokens(result)
            if room < 0:
                told.append("(There is more, for which there was no room: call again, and for less at once.)")
                break
            told.append(str(result["content"]))
        return "\n\n" + "\n\n".join(told)

    def _beginning(self, *, anew: bool) -> list[Message]:
        view = self.view
        overview = answered(view, "overview", {}, by=self.by)
        told: dict[str, Any] = {
            "behaviour": view.behaviour.name,
            "question": view.behaviour.question,
            "model": view.model,
            "how_many": view.how_many - view.proposed,
            "tools": ", ".join(name for name in TOOLS if name not in self.without),
            "anew": anew,
            "overview": overview.answer,
        }
        if self.by == CRITIC:
            told["confirmed"] = [f"{e.id}: {verdict(e)}" for e in view.entries if e.state == "confirmed"]
        return [{"role": "user", "content": load_prompt(self.purpose).render(**told)}]


def _waiting(view: View, turn: Turn) -> Iterator[tuple[int, ToolCall]]:
    """The calls of an answer that have not been made."""
    made = {c.place for c in view.calls if c.request == turn.call_id}
    return ((place, call) for place, call in enumerate(turn.calls[:CALLS]) if place not in made)


def _results(view: View, turn: Turn) -> Iterator[Message]:
    """What the calls of an answer were answered."""
    made = {c.place: c.answer for c in view.calls if c.request == turn.call_id}
    for place, call in enumerate(turn.calls[:CALLS]):
        yield {"role": "tool", "tool_call_id": call.id, "content": made[place]}


def _conversation(turns: Sequence[Turn]) -> Iterator[Turn]:
    """The turns of the newest conversation, the last one first."""
    by_id = {turn.call_id: turn for turn in turns}
    turn: Turn | None = turns[-1] if turns else None
    while turn is not None:
        yield turn
        turn = None if turn.after is None else by_id.get(turn.after)


def _size(turn: Turn) -> int:
    """Tokens of a turn, about."""
    return _tokens([*turn.messages, turn.text, [call._asdict() for call in turn.calls[:CALLS]]])


def _tokens(said: Any) -> int:
    return estimated_tokens(len(json.dumps(said).encode()))
