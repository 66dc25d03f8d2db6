"""Calls of tools: checked, made, written down, and answered. What a call says is data from a stranger."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any, Final

from lakatos.agent.toolbox.claims import challenge, draft, register
from lakatos.agent.toolbox.desk import Answer, Desk, Refusal
from lakatos.agent.toolbox.inside import attention, attribution, backups, heads, lens, reads
from lakatos.agent.toolbox.patching import effects
from lakatos.agent.toolbox.prompts import examples, vary
from lakatos.agent.toolbox.survey import note, overview, tried
from lakatos.agent.toolbox.table import Table, written
from lakatos.agent.toolbox.tool import Tool, tool
from lakatos.agent.toolbox.verdicts import finish, result, wait
from lakatos.agent.view import Called, View
from lakatos.tools.errors import UserError

_MOST: Final = 20_000  # characters of arguments
_KEPT: Final = 2_000  # characters of what was no call, for the log
_REPEATED: Final = frozenset({"overview", "tried", "note", "wait", "register", "finish", "result", "vary", "challenge"})

TOOLS: Final[Mapping[str, Tool]] = {
    own.name: own
    for own in (
        tool(overview),
        tool(examples, measures=True),
        tool(attribution),
        tool(effects, measures=True),
        tool(attention, measures=True),
        tool(reads, measures=True),
        tool(lens, measures=True),
        tool(heads, measures=True),
        tool(backups, measures=True),
        tool(vary, measures=True),
        tool(tried),
        tool(note),
        tool(draft, measures=True),
        tool(challenge),
        tool(register),
        tool(wait),
        tool(result),
        tool(finish),
    )
}
NEEDED: Final = frozenset({"register", "wait", "finish"})  # without which there is no investigation


def offered(without: Collection[str] = ()) -> list[dict[str, Any]]:
    """The tools in OpenAI's form, without some."""
    return [
        {"type": "function", "function": {"name": t.name, "description": t.description, "parameters": t.schema}}
        for t in TOOLS.values()
        if t.name not in without
    ]


def answered(
    view: View,
    name: str,
    arguments: Any,
    *,
    by: str = "",
    request: int | None = None,
    place: int = 0,
    asked: int | None = None,
    without: Collection[str] = (),
    refuse: str = "",
) -> Called:
    """Make a call and append it to the log with its answer and its cost.

    The same question about the model is answered from the log, as it was before.

    Args:
        name, arguments: as they came; arguments may be JSON text or an object.
        by: which investigator calls.
        request, place: the answer of a language model that the call comes from.
        asked: the event of the log that it comes from.
        without: tools that are withheld.
        refuse: why it is not made; "" where it may be.

    Raises:
        Stop: a limit of the run is reached, or the user interrupted; the call is made when the run goes on.
    """
    read = _read(arguments)
    about: dict[str, Any] = {"by": by, "name": name[:80], "request": request, "place": place, "asked": asked}
    desk = Desk(view, by)
    try:
        if refuse:
            raise Refusal(refuse)
        if name not in TOOLS or name in without:
            raise Refusal(
                f"there is no tool {name[:80]!r}; there are {', '.join(t for t in TOOLS if t not in without)}"
            )
        found = TOOLS[name].checked(read)
        kept = _plain(found)
        same = [] if name in _REPEATED else [c for c in desk.own(name) if c.arguments == kept]
        if same:
            return _append(view, about, kept, Answer(f"(as in call {same[0].number}) {same[0].answer}"))
        answer = _answer(TOOLS[name].function(desk, **found), view.config.llm_rows)
    except Refusal as refusal:
        return _append(view, about, _shortened(read), Answer(f"Refused: {str(refusal).rstrip('.')}."), refused=True)
    except (UserError, FloatingPointError) as error:  # what the model or the behaviour does not allow
        return _append(view, about, _shortened(read), Answer(f"Refused: {error}"), refused=True)
    return _append(view, about, kept, answer)


def _append(view: View, about: dict[str, Any], arguments: Any, answer: Answer, *, refused: bool = False) -> Called:
    said = answer.said
    assert isinstance(said, str)
    called = Called(
        number=len(view.calls) + 1,
        round=view.round,
        arguments=arguments,
        answer=said,
        refused=refused,
        proposals=answer.proposals,
        over=answer.over,
        **about,
    )
    view.keep(called)
    return called


def _answer(said: Answer | Table | str, rows: int) -> Answer:
    answer = said if isinstance(said, Answer) else Answer(said)
    return answer if isinstance(answer.said, str) else answer._replace(said=written(answer.said, rows))


def _read(arguments: Any) -> Any:
    """Arguments as data; a text that is no JSON stays a text."""
    if not isinstance(arguments, str):
        return arguments
    if len(arguments) > _MOST:
        return arguments[:_KEPT]
    try:
        return json.loads(arguments) if arguments.strip() else {}
    except (ValueError, RecursionError):
        return arguments


def _plain(asked: dict[str, Any]) -> dict[str, Any]:
    """Checked arguments as JSON."""

    def plain(value: Any) -> Any:
        if isinstance(value, list):
            return [plain(one) for one in value]
        return value.model_dump(mode="json") if hasattr(value, "model_dump") else value

    return {name: plain(value) for name, value in asked.items()}


def _shortened(arguments: Any) -> Any:
    """What may be kept of arguments that were refused."""
    try:
        text = json.dumps(arguments, ensure_ascii=False, allow_nan=False)
        return arguments if len(text) <= _KEPT else text[:_KEPT]
    except (ValueError, RecursionError):
        return str(arguments)[:_KEPT] if not isinstance(arguments, dict | list) else "nested too deeply to be kept"
