"""What became of hypotheses and proposals, each in a line: for whoever proposes the next ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakatos.tools.claim import claim_of

if TYPE_CHECKING:
    from lakatos.experiments_db.log import Entry, Refused

_CLAIM = 200  # characters of a refused claim
_REASON = 300


def verdict(entry: Entry) -> str:
    """A registered claim, what became of it, and the figures that say so."""
    from lakatos.experiments_db.documents import entry_line  # who only reads signatures of tools waits for no database

    line = entry_line(entry)
    told = entry.state + (f" ({entry.reading})" if entry.reading else "")
    if entry.evidence is None:
        return f"{entry.text}: {told}"
    if entry.crashed:
        return f"{entry.text}: {told}, its test crashed ({shortened(str(line['error']), _REASON)})"
    effect = f"effect {line['effect']:+.3f} {line['unit']}"
    if line["fraction"] is not None:
        effect += f" = {100 * line['fraction']:+.0f}% of the gap"
    bar = entry.prediction.threshold
    weakest = f", weakest line: {line['weakest']}" if entry.state == "inconclusive" and line["weakest"] else ""
    return f"{entry.text}: {told}, {effect}, e = {line['e']:.3g} (bar {bar:.3g}), n = {line['n']}{weakest}"


def refusal(row: Refused, behaviour: str) -> str:
    """A proposal that was not registered: its claim, and why."""
    return f"{shortened(claim_of(row.proposal, behaviour), _CLAIM)}: {row.kind}, {shortened(row.reason, _REASON)}"


def shortened(text: str, most: int) -> str:
    """The beginning of a text, on one line."""
    flat = " ".join(text.split())
    return flat if len(flat) <= most else f"{flat[:most]} ..."
