"""Calls of tools: checked, made, written down, and answered. What a call says is data from a stranger."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from lakatos.agent.toolbox.arguments import MOST, plain, read_arguments, shortened, storable
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

_NAME: Final = 80  # characters of a tool's name
_SAME: Final = 2  # equal calls in a row, after which one more is told so
_REFUSAL: Final = 2_000  # characters of why a call is refused

TOOLS: Final[Mapping[str, Tool]] = {
    own.name: own
    for own in (
        tool(overview),
        tool(examples, lasting=True),
        tool(attribution, lasting=True),
        tool(effects, lasting=True),
        tool(attention, lasting=True),
        tool(reads, lasting=True),
        tool(lens, lasting=True),
        tool(heads, lasting=True),
        tool(backups, lasting=True),
        tool(vary),
        tool(tried),
        tool(note),
        tool(draft, lasting=True),
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
    name, read = storable(name[:_NAME]), read_arguments(arguments)
    about: dict[str, Any] = {"by": by, "name": name, "request": request, "place": place, "asked": asked}
    desk = Desk(view, by)
    try:
        if refuse:
            raise Refusal(refuse)
        if name not in TOOLS or name in without:
            raise Refusal(f"there is no tool {name!r}; there are {', '.join(t for t in TOOLS if t not in without)}")
        if isinstance(read, str) and len(read) > MOST:
            raise Refusal(f"the arguments are longer than {MOST:,} characters")
        found = TOOLS[name].checked(read)
        kept = plain(found)
        same = [c for c in desk.own(name) if c.arguments == kept] if TOOLS[name].lasting else []
        if name == "draft":  # its answer says which slot is next, and what is registered
            same = [c for c in same if c.round == view.round]
        if same:
            return _append(view, about, kept, Answer(f"(as in call {same[0].number}) {same[0].answer}"))
        answer = _answer(TOOLS[name].function(desk, **found), view.config.llm_rows)
        if told := _again(desk, name, kept, without):
            answer = answer._replace(said=f"{answer.said}\n{told}")
    except Refusal as refusal:
        return _refused(view, about, read, refusal)
    except (UserError, FloatingPointError) as error:  # what the model or the behaviour does not allow
        return _refused(view, about, read, error)
    return _append(view, about, kept, answer)


def _again(desk: Desk, name: str, kept: dict[str, Any], without: Collection[str]) -> str:
    """What is said to an agent that calls the same thing again and again: what it has never called."""
    before = [c for c in desk.view.calls if c.by == desk.by][-_SAME:]
    if len(before) < _SAME or any((c.name, c.arguments) != (name, kept) for c in before):
        return ""
    unused = [tool for tool in TOOLS if tool not in without and not desk.own(tool)]
    return f"You have asked this {_SAME + 1} times in a row. You have never called: {', '.join(unused)}."


def _refused(view: View, about: dict[str, Any], read: Any, why: Exception) -> Called:
    told = str(why).rstrip(".")
    told = told if len(told) <= _REFUSAL else f"{told[:_REFUSAL]} ..."
    return _append(view, about, shortened(read), Answer(f"Refused: {told}."), refused=True)


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
