"""Where the investigation stands: the budget, what is known, what was tried, what was never looked at, and notes.

All of it is read from the log, so an agent whose context is begun anew finds it again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Final

from pydantic import Field

from lakatos.agent.toolbox.desk import Desk, Refusal
from lakatos.agent.words import refusal, verdict
from lakatos.tools.claim import PLAIN
from lakatos.tools.component import Component
from lakatos.tools.errors import UserError

_NOTES: Final = 40  # of an investigator
_LINES: Final = 30  # of verdicts and refusals


def overview(desk: Desk) -> str:
    """The question, the budget that is left, what the study knows of this behaviour, and your notes. Begin here."""
    view, shape, spent = desk.view, desk.view.shape, desk.view.spent
    slot, bar = view.next_slot
    left = [f"{desk.left} hypotheses (the run has {view.how_many})"]
    for name, used, most in (
        ("forward passes", spent.forwards, spent.max_forwards),
        ("tokens", spent.tokens, spent.max_tokens),
        ("seconds", spent.seconds, spent.max_seconds),
    ):
        left.append(f"{name}: {used:,.0f} spent" + (f" of {most:,.0f}" if most is not None else ", no limit"))
    families = (
        f" Families for generalisations: {', '.join(view.behaviour.families)}." if view.behaviour.families else ""
    )
    lines = [
        f"Behaviour {view.behaviour.name}: {view.behaviour.question}",
        f"Model {view.model}: layers 0 to {shape.n_layers - 1}, heads 0 to {shape.n_heads - 1}, key-value groups 0 to "
        f"{shape.n_key_value_heads - 1}. Positions: {', '.join(view.behaviour.named_positions)}.{families}",
        f"The metric is logit(answer) - logit(wrong). The gap between clean and corrupted prompts is "
        f"{view.explored.gap:.3f} logits; effects are fractions of it unless a table says otherwise.",
        f"Left: {'; '.join(left)}.",
        f"The next claim gets slot {slot} and is confirmed at e >= {bar:.3g}; thresholds are {view.threshold:g} of the "
        "gap unless you say otherwise.",
    ]
    if others := len(view.known) - len(view.entries):
        lines.append(f"Earlier runs of this study registered {others} claims about this behaviour: `tried` lists them.")
    lines += ["Registered in this run:", *_listed([verdict(e) for e in view.entries])]
    lines += ["Your notes:", *(_listed(desk.notes[-_NOTES:]))]
    return "\n".join(lines)


def tried(desk: Desk) -> str:
    """What was registered, refused and looked at so far, and what was never looked at: kinds, layers, positions."""
    view = desk.view
    mine = {e.id for e in view.entries}
    lines = ["Registered in this study, with verdicts:"]
    lines += _listed([("" if e.id in mine else "(earlier run) ") + verdict(e) for e in view.known])
    if view.refused:
        lines += ["Refused:", *_listed([refusal(row, view.behaviour.name) for row in view.refused])]
    counted = Counter(c.name for c in view.calls if not c.refused)
    lines.append("Tools used: " + (", ".join(f"{name} {n}" for name, n in counted.most_common()) or "none"))
    return "\n".join([*lines, *never(desk)])


def note(desk: Desk, text: Annotated[str, Field(min_length=1, max_length=500)]) -> str:
    """Keep a sentence: an idea, a rival, what to try next. `overview` shows notes when your context is begun anew."""
    if len(desk.notes) >= _NOTES:
        raise Refusal(f"there are {_NOTES} notes already; work with those")
    return f"Noted ({len(desk.notes) + 1} of {_NOTES}): {text}"


def never(desk: Desk) -> list[str]:
    """What this run has neither looked at nor claimed, in lines."""
    view, shape = desk.view, desk.view.shape
    seen = list(_seen(desk))
    layers = {c.layer for c in seen}
    quiet = [str(n) for n in range(shape.n_layers) if n not in layers]
    kinds = [kind.name() for kind in PLAIN if not any(e.claim.tested.kind == kind.name() for e in view.known)]
    places = [p for p in view.behaviour.named_positions if not any(c.position == p for c in seen)]
    branches = [
        name
        for name, branch in (("heads", "attention"), ("MLPs", "mlp"))
        if not any(c.known.branch == branch for c in seen)
    ]
    lines = [
        f"Kinds of claim that were never registered: {', '.join(kinds) or 'none'}.",
        f"Layers in which no component was intervened on or claimed: {', '.join(quiet) or 'none'}.",
        f"Positions at which none was: {', '.join(places) or 'none'}.",
    ]
    return [*lines, *([f"Neither were any {' or '.join(branches)}."] if branches else [])]


def _seen(desk: Desk) -> Iterator[Component]:
    """Every component that was claimed, or intervened on by `effects`."""
    for entry in desk.view.known:
        yield from entry.claim.tested.places()
    for call in desk.view.calls:
        if call.name == "effects" and not call.refused:
            for wanted in call.arguments["interventions"]:
                for text in [*wanted["components"], *wanted.get("to", [])]:
                    try:
                        yield Component.parse(text)
                    except UserError:
                        continue  # logits


def _listed(lines: list[str]) -> list[str]:
    older = [f"- ({len(lines) - _LINES} older ones are left out)"] if len(lines) > _LINES else []
    return [*older, *(f"- {line}" for line in lines[-_LINES:])] or ["- nothing yet"]
