"""One hypothesis on one screen: `lakatos show`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from lakatos.agent.cli.tables import COLOURS, escape, named_table, table
from lakatos.agent.watch import showable
from lakatos.experiments_db import Store
from lakatos.experiments_db.documents import HypothesisDocument, PromptLine, hypothesis_document
from lakatos.experiments_db.log import Entry
from lakatos.tools.claim.measures import short


def print_hypothesis(console: Console, store: Store, entry: Entry, prompts: int) -> None:
    """One hypothesis on one screen."""
    document = hypothesis_document(store, entry)
    record = document.record
    state = f"[{COLOURS[entry.state]}]{entry.state}[/]"
    console.print(f"[bold]{escape(document.text)}[/]   {state}", highlight=False)
    for name, value in _facts(document).items():
        console.print(f"{name:>15}  {showable(value)}", markup=False, highlight=False, soft_wrap=True)
    evidence = document.evidence
    if evidence is None:
        console.print("not tested yet")
        return
    if evidence.error:
        console.print(f"{'crashed':>15}  {showable(evidence.error)}", markup=False, highlight=False)
    table = named_table("null hypothesis", "mean [95 %]", "d", "e", "p (sign flip)", "clipped")
    for line in evidence.lines:
        table.add_row(
            ("" if line.decides else "reading: ") + f"{line.name} <= {line.delta:.4g} {line.unit}",
            f"{line.mean:+.3f} \\[{line.low:+.3f}, {line.high:+.3f}]",
            "" if line.standardised is None else f"{line.standardised:+.2f}",
            f"{line.e:.3g}",
            f"{line.p:.2g}",
            f"{line.clip_rate:.1%}" + (" flagged" if line.flagged else ""),
        )
    console.print(table)
    console.print(
        f"e = {evidence.e:.4g} (the smallest of the lines{' that decide' if evidence.readings else ''}), "
        f"frozen after {evidence.n} pairs of {evidence.templates} templates: {evidence.stop}. By batch: "
        + ", ".join(f"{e:.3g}" for e in evidence.e_by_batch),
        highlight=False,
    )
    if evidence.readings and document.state != "confirmed":
        needed = len(evidence.readings) * record["threshold"]
        told = ", ".join(f"{name} {e:.3g}" for name, e in evidence.readings.items())
        console.print(f"readings (e, {needed:,.0f} needed): {told}", highlight=False)
    if document.level and document.state == "confirmed":
        console.print(
            f"{document.effect:+.3f} \\[{document.low:+.3f}, {document.high:+.3f}] {document.unit} at "
            f"{100 * document.level:.4g} %: adjusted for having been selected",
            highlight=False,
        )
    _print_against(console, document.against)
    _print_prompts(console, document.prompts, document.runs, prompts)


def _facts(document: HypothesisDocument) -> dict[str, str]:
    """What is known of a hypothesis beside its evidence, in words."""
    record = document.record
    facts = {
        "claim hash": document.claim_hash,
        "slot, weight": f"{record['slot']}, {record['weight']:g}: confirmed alone at e >= {record['threshold']:,.0f}",
        "registered": f"{document.registered_at}, run {document.run}, {document.proposer}, {document.role}",
        "model": f"{record['model']}  {record['weights'][:19]}...",
        "behaviour": f"{record['behaviour']}  {record['behaviour_hash'][:19]}...",
        "gap": f"{record['battery']['gap']:.4g}, from {record['battery']['explored']} exploration pairs",
        "compared with": ", ".join(_compared(record)) or "nothing",
        "speaks of": document.scope,
        "rationale": document.rationale or "none given",
    }
    if document.reading:
        facts["reading"] = document.reading
    if document.streams:
        facts["prompts"] = "; ".join(
            f"stream {s.id}, opened {s.opened_at}"
            + (f", shared with {s.claims - 1} other claims" if s.claims > 1 else "")
            for s in document.streams
        )
    if document.extensions:
        facts["extended"] = "; ".join(f"by {x.pairs} pairs after {x.begun}" for x in document.extensions)
    if document.replicated_by:
        facts["replicated by"] = f"hypothesis {document.replicated_by}"
    if document.contradicted_by:
        facts["contradicted by"] = f"hypothesis {document.contradicted_by}"
    return facts


def _print_against(console: Console, rows: Sequence[Mapping[str, Any]]) -> None:
    """The claim minus each of its rivals, on the prompts of both."""
    if not rows:
        return
    table = named_table("set against", "role", "difference [95 %]", "larger on", "n")
    for row in rows:
        difference = f"{row['mean']:+.3f} \\[{row['low']:+.3f}, {row['high']:+.3f}] {row['unit']}"
        table.add_row(
            f"{row['id']}  {escape(row['text'])}", row["role"], difference, f"{row['larger']:.0%}", str(row["n"])
        )
    console.print(table)
    console.print("This claim's effect minus the other's, on the same prompts: described, no verdict.", highlight=False)


def _print_prompts(console: Console, prompts: Sequence[PromptLine], runs: Sequence[str], how_many: int) -> None:
    if not prompts or how_many < 1:
        return
    ranked = sorted(prompts, key=lambda p: p.main)
    places = [round(k * (len(ranked) - 1) / max(1, how_many - 1)) for k in range(how_many)]
    headers = [*(short(name) for name in runs), "prompt (by quantile of the effect, worst first)"]
    shown = table("effect", *headers, right=range(len(runs) + 1))
    for place in dict.fromkeys(places):
        prompt = ranked[place]
        measured, said = prompt.measured, prompt.said
        shown.add_row(
            f"{prompt.main:+.2f}",
            *(f"{measured[name]:+.2f}" for name in runs),
            escape(f"{said['clean']!r} ->{said['answer']} (not{said['wrong']})"),
        )
    console.print(shown)


def _compared(record: Mapping[str, Any]) -> list[str]:
    matched = [other for others in record["battery"]["matched"].values() for other in others]
    return [*matched, *record["battery"]["control_gaps"]]
