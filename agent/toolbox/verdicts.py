"""What became of registered claims, and the end of an investigation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from pydantic import Field

from lakatos.agent.toolbox.desk import CRITIC, Answer, Desk, Refusal
from lakatos.agent.toolbox.survey import never
from lakatos.agent.toolbox.table import Table
from lakatos.agent.words import refusal, verdict

if TYPE_CHECKING:
    from lakatos.experiments_db.log import Entry

_SHOWN: Final = 20  # verdicts
Text = Annotated[str, Field(min_length=1, max_length=500)]


def wait(desk: Desk) -> str:
    """The verdicts so far, the newest last, and what to do next. Verdicts are computed; they are not for discussion."""
    view = desk.view
    testing = [e for e in view.entries if e.evidence is None]
    lines = []
    if view.entries:
        lines += ["Verdicts:", *(f"- {e.id}: {verdict(e)}" for e in view.entries[-_SHOWN:])]
    if view.refused:
        lines += ["Refused:", *(f"- {refusal(row, view.behaviour.name)}" for row in view.refused[-_SHOWN:])]
    if not lines:
        return "Nothing is registered yet. Next: look (`attribution`, `effects`), `draft`, then `register`."
    return "\n".join([*lines, _next(desk, testing)])


def result(
    desk: Desk, hypothesis: Annotated[int, Field(ge=1, description="its number, as `wait` and `tried` show it")]
) -> Table:
    """The battery of a tested hypothesis line by line: which one decided, and by how much."""
    found = [e for e in desk.view.known if e.id == hypothesis]
    if not found:
        known = ", ".join(str(e.id) for e in desk.view.known[-_SHOWN:]) or "none yet"
        raise Refusal(f"there is no hypothesis {hypothesis} about this behaviour and model; there are {known}")
    entry = found[0]
    return Table(
        f"Hypothesis {entry.id}, slot {entry.slot}: {verdict(entry)}. Each line is a null hypothesis, that its mean is "
        f"at most delta; the claim's e-value is that of its weakest deciding line; the bar is "
        f"{entry.prediction.threshold:.3g}.",
        ("line", "mean", "delta", "unit", "e", "low", "high", "decides"),
        _battery(entry),
        after=f"Its rationale, as registered: {entry.rationale!r}. Readings: {_readings(entry)}.",
    )


def finish(
    desk: Desk,
    reason: Annotated[Text, Field(description="why there is nothing more to find within this budget")],
    rivals: Annotated[
        list[Text], Field(min_length=2, max_length=2, description="two rival explanations that no claim has tested")
    ],
) -> Answer:
    """End your investigation. At first you are told what was never looked at; call it again to end all the same."""
    challenged = {c.arguments["hypothesis"] for c in desk.own("challenge")}
    untouched = [e.id for e in desk.view.entries if e.state == "confirmed" and e.id not in challenged]
    if desk.by == CRITIC and untouched:
        raise Refusal(f"name with `challenge` the cheapest test that could break hypotheses {untouched} first")
    if not desk.own("finish"):
        lines = ["Before you finish: this was never looked at.", *never(desk)]
        left = desk.left
        lines.append(
            f"{left} hypotheses are left. Look at what could matter, test one of the rivals that you named, or call "
            "`finish` again."
        )
        return Answer("\n".join(lines))
    return Answer(f"Finished: {reason} Not tested: {rivals[0]}; {rivals[1]}", over=True)


def _next(desk: Desk, testing: list[Entry]) -> str:
    if testing:
        return f"{len(testing)} are still being tested. Next: explore, or `wait` again."
    left = desk.left
    if not left:
        return "No hypotheses are left. Next: `finish`."
    return f"{left} hypotheses are left. Next: what do these verdicts suggest, and which rival would explain them too?"


def _battery(entry: Entry) -> list[tuple[object, ...]]:
    if entry.evidence is None or entry.crashed:
        return []
    return [
        (x.name, x.mean, x.delta, x.unit, f"{x.e:.3g}", x.low, x.high, "yes" if x.decides else "for a reading")
        for x in entry.evidence.lines
    ]


def _readings(entry: Entry) -> str:
    if entry.evidence is None or not entry.evidence.readings:
        return "none"
    return ", ".join(f"{name} e = {e:.3g}" for name, e in entry.evidence.readings.items())
