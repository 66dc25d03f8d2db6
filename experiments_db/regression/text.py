"""A re-run for people: what was claimed, what was found, and what to do next."""

from __future__ import annotations

from lakatos.experiments_db.regression.outcome import Outcome
from lakatos.tools.evidence import MISSED, LineFound, Tolerance

_TEMPLATES_SHOWN = 12


def headline(outcome: Outcome) -> str:
    """Outcome, prompts and model in a line; that the weights are others is never left out."""
    where = outcome.model
    if not outcome.same_weights:
        where += f" ({outcome.weights[7:15]}: other weights than those it was confirmed on)"
    return f"{outcome.outcome} after {outcome.n} pairs on {where}"


def reason(outcome: Outcome, option: str = "--max-pairs") -> str:
    """Why, naming every line of the battery that failed.

    Args:
        option: what raises the number of pairs here.
    """
    if outcome.outcome == "undecided":
        return undecided(outcome, option)
    pairs = list(zip(outcome.hypothesis.tolerance, outcome.decision.lines, strict=True))
    telling = [(t, f) for t, f in pairs if f.outcome == "failed"] or pairs[:1]
    return "; ".join(f"{t.line}: {_left(t, f)}" for t, f in telling)


def undecided(outcome: Outcome, option: str) -> str:
    """What is missing for a decision, and how to get it.

    Args:
        option: what raises the number of pairs here.
    """
    if outcome.exhausted:
        given = outcome.hypothesis.behaviour.name
        return (
            f"undecided after {outcome.n} pairs: {given} has no more distinct pairs to give; add fillers or templates"
        )
    planned = outcome.hypothesis.pairs
    return f"undecided after {outcome.n} pairs, raise n: {option} {max(planned, 2 * outcome.pairs)}"


def report(outcome: Outcome, again: str) -> str:
    """Everything on a screen.

    Args:
        again: the command that repeats it.
    """
    file = outcome.hypothesis
    confirmed = file.confirmed
    share = "" if confirmed.of_gap is None else f", {confirmed.of_gap:+.0%} of the gap"
    rows: list[tuple[str, ...]] = [
        ("line of its battery", "confirmed", "kept from", "lost at", "found [95 %]", "left", "")
    ]
    rows += [_row(t, f) for t, f in zip(file.tolerance, outcome.decision.lines, strict=True)]
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    table = ["    " + "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(
        [
            file.claim,
            headline(outcome),
            f"  claimed: {confirmed.effect:+.3g} [{confirmed.low:+.3g}, {confirmed.high:+.3g}] {confirmed.unit}{share}",
            f"           confirmed on {file.model.name} with {confirmed.n} pairs, e = {confirmed.e:.3g}",
            "  found:   " + reason(outcome).replace("; ", "\n           "),
            *table,
            f"  {outcome.telling.line} by template, {outcome.telling.unit} (pairs):",
            *_templates(outcome),
            f"  errors:  as true as when it was confirmed, it fails in at most {outcome.alpha:.2g} of all runs;",
            f"           with half of the effect gone, it holds in at most {MISSED:g}",
            f"  again:   {again}",
            f"  open:    lakatos review --open {file.hash[7:15]}",
        ]
    )


def _row(t: Tolerance, f: LineFound) -> tuple[str, ...]:
    return (
        t.line,
        f"{t.confirmed:+.3g}",
        f"{t.kept:+.3g}",
        f"{t.lost:+.3g}",
        f"{f.mean:+.3g} [{f.low:+.3g}, {f.high:+.3g}] {t.unit}",
        _percent(share_left(t, f.mean)),
        f.outcome,
    )


def share_left(t: Tolerance, mean: float) -> float:
    """What is left of the confirmed effect, from the line's zero."""
    zero = 2 * t.lost - t.confirmed
    return (mean - zero) / (t.confirmed - zero)


def _left(t: Tolerance, f: LineFound) -> str:
    return (
        f"confirmed at {t.confirmed:+.3g}, found {f.mean:+.3g} [{f.low:+.3g}, {f.high:+.3g}] {t.unit}: "
        f"{_percent(share_left(t, f.mean))} is left"
    )


def _percent(share: float) -> str:
    return f"{round(100 * share)}%"


def _templates(outcome: Outcome) -> list[str]:
    found = outcome.templates
    left_out = len(found) - _TEMPLATES_SHOWN
    if left_out > 1:
        half = _TEMPLATES_SHOWN // 2
        middle = [f"    ... {left_out} templates between these"]
        return [*map(_template, found[:half]), *middle, *map(_template, found[-half:])]
    return [*map(_template, found)]


def _template(found: tuple[str, int, float]) -> str:
    name, n, mean = found
    return f"    {mean:+8.3f} ({n})  {name}"
