"""Exploration prompts, and what the model makes of them."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Annotated, Final

import numpy as np
from pydantic import Field

from lakatos.agent.toolbox.desk import Desk, Refusal
from lakatos.agent.toolbox.table import Table
from lakatos.agent.view import WantedPairs

if TYPE_CHECKING:
    from lakatos.tools.exploration import Answered

_COLUMNS: Final = ("template", "clean", "corrupted", "on clean", "on corrupted", "answer", "wrong", "the model says")
_UNITS: Final = "`on clean`, `on corrupted`: logit(answer) - logit(wrong); positive prefers the answer."


def examples(desk: Desk, n: Annotated[int, Field(ge=4, le=48, description="prompt pairs")] = 24) -> Table:
    """Exploration prompts by template: templates on which the model does worst first, and in each its failures first.

    Look for what the failures share, and for what differs between clean and corrupted prompts.
    """
    found = desk.view.searching.answers([WantedPairs(n)])
    by_template: dict[str, list[Answered]] = defaultdict(list)
    for own in sorted(found, key=lambda a: a.clean):
        by_template[own.pair.template].append(own)
    ordered = sorted(by_template.values(), key=lambda rows: float(np.mean([a.clean for a in rows])))
    wrong = sum(a.clean <= 0 for a in found)
    means = "; ".join(f"{rows[0].pair.template} {np.mean([a.clean for a in rows]):+.2f}" for rows in ordered)
    after = f"The model prefers the wrong answer on {wrong} of {len(found)}. Mean by template: {means}."
    title = f"{len(found)} exploration pairs, a random draw. {_UNITS}"
    return Table(title, _COLUMNS, [_row(a) for rows in ordered for a in rows], after=after)


def vary(
    desk: Desk,
    template: Annotated[
        str | None, Field(description="only pairs of this template; see `examples` for their names")
    ] = None,
    containing: Annotated[list[str], Field(max_length=4, description="words that the clean prompt must contain")] = [],  # noqa: B006 - the schema's default; nothing changes it
    n: Annotated[int, Field(ge=1, le=32, description="prompt pairs")] = 12,
) -> Table:
    """New exploration pairs of your choosing, drawn from the behaviour's own slots, and what the model answers.

    Compare two calls that differ in one thing: a template, a name, an object. Prompts are never written freely, and
    never come from a family of confirmation prompts.
    """
    known = desk.view.behaviour.templates_of("exploration")
    if template is not None and template not in known:
        raise Refusal(f"there is no template {template!r}; there are {', '.join(known)}")
    found = desk.view.searching.answers([*_shown(desk), WantedPairs(n, template, tuple(containing), new=True)])
    if not found:
        which = template or "any template"
        raise Refusal(f"no exploration pair of {which} contains {containing} and was not shown before; try others")
    mean = np.mean([a.clean for a in found])
    share = np.mean([a.clean > 0 for a in found])
    after = f"Mean on clean {mean:+.2f} logits; the answer is preferred on {share:.0%}."
    return Table(f"{len(found)} new exploration pairs. {_UNITS}", _COLUMNS, [_row(a) for a in found], after=after)


def _shown(desk: Desk) -> list[WantedPairs]:
    """The pairs that were asked for before, in order."""
    found = []
    for call in desk.view.calls:
        if call.name in ("examples", "vary") and not call.refused:
            asked = call.arguments
            words = tuple(asked.get("containing", ()))
            found.append(WantedPairs(asked["n"], asked.get("template"), words, new=call.name == "vary"))
    return found


def _row(own: Answered) -> tuple[object, ...]:
    pair = own.pair
    told = f"{own.said!r} ({own.probability:.0%})"
    return pair.template, pair.clean, pair.corrupted, own.clean, own.corrupted, pair.answer, pair.wrong, told
