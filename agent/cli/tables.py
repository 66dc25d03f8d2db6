"""Documents as tables for people. The numbers are those of `experiments_db.documents`; none is computed here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from rich import markup
from rich.console import Console
from rich.table import Table

from lakatos.agent.watch import showable, tokens_and_money
from lakatos.experiments_db import Store
from lakatos.experiments_db.documents import documents
from lakatos.experiments_db.log import Entry
from lakatos.tools.claim.measures import short

_WIDE = 120  # columns that a whole table of hypotheses needs
_ROWS = 100  # of a correction
_NARROW = ("id", "verdict", "claim", "of gap", "e", "n")
_COLOURS = {"confirmed": "green", "refuted": "red", "inconclusive": "yellow", "testing": "cyan", "registered": "cyan"}


def print_run(console: Console, store: Store, run_id: int) -> None:
    """A finished run: what was tried, what came of it, what it cost."""
    run = next(r for r in documents.runs_document(store) if r["id"] == run_id)
    console.print(
        f"\nRun {run['id']}: {run['behaviour']} on {run['model']}, proposed by {run['proposer']}", highlight=False
    )
    print_log(console, store, run_id, None, refused=True)
    console.print(f"spent {_spend(run)}", highlight=False)


def print_runs(console: Console, store: Store) -> None:
    """The investigations of a database."""
    wide = console.width >= _WIDE
    ends = ["started (UTC)", "proposer", "spent"] if wide else []
    table = _table("run", "behaviour", "model", "status", "tested", "confirmed", *ends)
    for run in documents.runs_document(store):
        counts = run["counts"]
        tested = f"{counts['tested']} of {counts['registered']}"
        more = [run["at"][:16].replace("T", " "), run["proposer"], _spend(run)] if wide else []
        names = (escape(run["behaviour"]), escape(run["model"]))
        table.add_row(str(run["id"]), *names, run["status"], tested, str(counts["confirmed"]), *more)
    console.print(table)


def print_log(console: Console, store: Store, run_id: int | None, state: str | None, refused: bool) -> None:
    """Denominators, the hypotheses, and what was refused and why."""
    document = documents.log_document(store, run_id, state)
    console.print(counts_line(document["counts"]), highlight=False)
    study = document["study"]
    console.print(
        f"verdicts: online e-BH at alpha = {study['alpha']} over {study['family']}"
        + ("; prompts reproducible from the run's seed" if study["secret"] == "seed" else ""),
        highlight=False,
    )
    if study["other_studies"]:
        console.print(f"other studies here: {escape(', '.join(study['other_studies']))} (--study)", highlight=False)
    if document["hypotheses"]:
        print_hypotheses(console, document["hypotheses"])
    if refused and document["refused"]:
        table = _table("refused", "reason", "proposal")
        for row in document["refused"]:
            claim = row["proposal"].get("claim") or row["proposal"]
            table.add_row(row["kind"], escape(row["reason"]), escape(str(claim)[:200]))
        console.print(table)


def print_hypotheses(console: Console, rows: list[dict[str, Any]]) -> None:
    """Hypotheses, one a row."""
    console.print(_hypotheses(rows, wide=console.width >= _WIDE))


def print_hypothesis(console: Console, store: Store, entry: Entry, prompts: int) -> None:
    """One hypothesis on one screen."""
    document = documents.hypothesis_document(store, entry)
    record = document["record"]
    state = f"[{_COLOURS[entry.state]}]{entry.state}[/]"
    console.print(f"[bold]{escape(document['text'])}[/]   {state}", highlight=False)
    facts = {
        "claim hash": document["claim_hash"],
        "slot, weight": f"{record['slot']}, {record['weight']:g}: confirmed alone at e >= {record['threshold']:,.0f}",
        "registered": f"{document['registered_at']}, run {document['run']}, {document['proposer']}, {document['role']}",
        "model": f"{record['model']}  {record['weights'][:19]}...",
        "behaviour": f"{record['behaviour']}  {record['behaviour_hash'][:19]}...",
        "gap": f"{record['battery']['gap']:.4g}, from {record['battery']['explored']} exploration pairs",
        "compared with": ", ".join(_compared(record)) or "nothing",
        "speaks of": document["scope"],
        "rationale": document["rationale"] or "none given",
    }
    if document["reading"]:
        facts["reading"] = document["reading"]
    if document["replicated_by"]:
        facts["replicated by"] = f"hypothesis {document['replicated_by']}"
    if document["contradicted_by"]:
        facts["contradicted by"] = f"hypothesis {document['contradicted_by']}"
    for name, value in facts.items():
        console.print(f"{name:>15}  {showable(value)}", markup=False, highlight=False, soft_wrap=True)
    evidence = document["evidence"]
    if evidence is None:
        console.print("not tested yet")
        return
    if evidence["error"]:
        console.print(f"{'crashed':>15}  {showable(evidence['error'])}", markup=False, highlight=False)
    table = _table("null hypothesis", "mean [95 %]", "d", "e", "p (sign flip)", "clipped")
    for line in evidence["lines"]:
        table.add_row(
            ("" if line["decides"] else "reading: ") + f"{line['name']} <= {line['delta']:.4g} {line['unit']}",
            f"{line['mean']:+.3f} \\[{line['low']:+.3f}, {line['high']:+.3f}]",
            "" if line["standardised"] is None else f"{line['standardised']:+.2f}",
            f"{line['e']:.3g}",
            f"{line['p']:.2g}",
            f"{line['clip_rate']:.1%}" + (" flagged" if line["flagged"] else ""),
        )
    console.print(table)
    console.print(
        f"e = {evidence['e']:.4g} (the smallest of the lines{' that decide' if evidence['readings'] else ''}), "
        f"frozen after {evidence['n']} pairs of {evidence['templates']} templates: {evidence['stop']}. By batch: "
        + ", ".join(f"{e:.3g}" for e in evidence["e_by_batch"]),
        highlight=False,
    )
    if evidence["readings"] and document["state"] != "confirmed":
        needed = len(evidence["readings"]) * record["threshold"]
        told = ", ".join(f"{name} {e:.3g}" for name, e in evidence["readings"].items())
        console.print(f"readings (e, {needed:,.0f} needed): {told}", highlight=False)
    if document["level"] and document["state"] == "confirmed":
        console.print(
            f"{document['effect']:+.3f} \\[{document['low']:+.3f}, {document['high']:+.3f}] {document['unit']} at "
            f"{100 * document['level']:.4g} %: adjusted for having been selected",
            highlight=False,
        )
    _print_prompts(console, document["prompts"], document["runs"], prompts)


def print_correction(console: Console, store: Store, document: dict[str, Any], everything: bool) -> None:
    """What a correction says, beside the official verdicts: of those that either confirms, or of all."""
    mark = "the official verdict" if document["official"] else "a view, not the official verdict"
    sizes = sorted(document["families"].items(), key=lambda item: -item[1])
    told = ", ".join(f"{name}: {n}" for name, n in sizes[:8]) + (", ..." if len(sizes) > 8 else "")
    console.print(
        f"{document['method']} on {document['works_on']}-values at alpha = {document['alpha']:g} ({mark}); "
        f"family {document['family']} ({told}): "
        f"{document['confirmed']:,} of {len(document['hypotheses']):,} confirmed, "
        f"{document['officially_confirmed']:,} officially",
        markup=False,
        highlight=False,
    )
    rows = [r for r in document["hypotheses"] if everything or r["confirmed"] or r["state"] == "confirmed"]
    if not everything and len(rows) > _ROWS:
        console.print(f"the first {_ROWS} of {len(rows):,}; --all lists everything, --json too", highlight=False)
        rows = rows[:_ROWS]
    texts = store.texts([row["id"] for row in rows])
    table = _table("slot", "claim", "e", "p", document["method"], "official")
    for row in rows:
        table.add_row(
            str(row["slot"]),
            escape(texts[row["id"]]),
            _number(row["e"]),
            _number(row["p"]),
            "confirmed" if row["confirmed"] else "-",
            f"[{_COLOURS[row['state']]}]{row['state']}[/]",
        )
    console.print(table)


def counts_line(counts: dict[str, int]) -> str:
    """Denominators first."""
    groups = f" in {counts['groups']} groups" if counts["groups"] != counts["confirmed"] else ""
    return (
        f"{counts['proposed']} proposed, {counts['refused']} refused, {counts['registered']} registered, "
        f"{counts['tested']} tested: {counts['confirmed']} confirmed{groups}, {counts['refuted']} refuted, "
        f"{counts['inconclusive']} inconclusive ({counts['crashed']} crashed)"
    )


def _hypotheses(rows: list[dict[str, Any]], wide: bool) -> Table:
    """Every column where there is room; in a narrow terminal the ones that decide."""
    columns = ("id", "verdict", "claim", "role", "effect [interval]", "of gap", "e", "p", "n", "stop")
    table = _table(*(c for c in columns if wide or c in _NARROW))
    several = len({row["model"] for row in rows}) > 1
    for row in rows:
        interval = "" if row["effect"] is None else f"{row['effect']:+.2f} \\[{row['low']:+.2f}, {row['high']:+.2f}]"
        cells = {
            "id": str(row["id"]),
            "verdict": f"[{_COLOURS[row['state']]}]{row['state']}[/]" + (" !" if row["flagged"] else ""),
            "claim": escape(row["text"]) + (f" on {escape(row['model'])}" if several else "") + _noted(row),
            "role": row["role"],
            "effect [interval]": interval,
            "of gap": "" if row["fraction"] is None else f"{row['fraction']:+.0%}",
            "e": _number(row["e"]),
            "p": _number(row["p"]),
            "n": str(row["n"]),
            "stop": row["stop"] or "",
        }
        table.add_row(*(cells[c] for c in columns if wide or c in _NARROW))
    return table


def _noted(row: dict[str, Any]) -> str:
    """In brackets: a battery's reading; its weakest line; which templates a verdict is about, if only these."""
    notes = [row["reading"]]
    if row["state"] == "confirmed" and row["of_these_templates"]:
        notes.append(f"of these {row['of_these_templates']} templates")
    if row["state"] in ("inconclusive", "refuted") and row["weakest"] not in (None, "effect"):
        notes.append(f"weakest: {row['weakest']}")
    told = "; ".join(filter(None, notes))
    return f" [dim]\\[{escape(told)}][/]" if told else ""


def _print_prompts(console: Console, prompts: list[dict[str, Any]], runs: list[str], how_many: int) -> None:
    if not prompts or how_many < 1:
        return
    ranked = sorted(prompts, key=lambda p: next(iter(p["effects"].values())))
    places = [round(k * (len(ranked) - 1) / max(1, how_many - 1)) for k in range(how_many)]
    headers = [*(short(name) for name in runs), "prompt (by quantile of the effect, worst first)"]
    shown = table("effect", *headers, right=range(len(runs) + 1))
    for place in dict.fromkeys(places):
        prompt = ranked[place]
        measured = prompt["measured"]
        shown.add_row(
            f"{next(iter(prompt['effects'].values())):+.2f}",
            *(f"{measured[name]:+.2f}" for name in runs),
            escape(f"{prompt['clean']!r} ->{prompt['answer']} (not{prompt['wrong']})"),
        )
    console.print(shown)


def _compared(record: dict[str, Any]) -> list[str]:
    matched = [other for others in record["battery"]["matched"].values() for other in others]
    return [*matched, *record["battery"]["control_gaps"]]


def _table(*headers: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    right = {"id", "slot", "e", "p", "n", "of gap", "d"}
    whole = {"run", "id", "slot", "verdict", "status", "tested", "confirmed", "role", "e", "p", "n", "official"}
    for header in headers:
        side: Literal["left", "right"] = "right" if header in right else "left"
        table.add_column(header, justify=side, overflow="fold", no_wrap=header in whole)
    return table


def table(*headers: str, right: Iterable[int] = ()) -> Table:
    """A plain table; `right`: columns of figures."""
    plain, figures = Table(box=None, pad_edge=False, header_style="bold"), set(right)
    for number, header in enumerate(headers):
        side: Literal["left", "right"] = "right" if number in figures else "left"
        plain.add_column(header, justify=side, overflow="fold")
    return plain


def escape(text: str) -> str:
    """Text from a stranger as a table cell: no markup, no control characters."""
    return markup.escape(showable(text))


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _spend(run: dict[str, Any]) -> str:
    tokens = f", {tokens_and_money(run['tokens'], run['money'])}" if run["llm_calls"] else ""
    return f"{run['forwards']:,.0f} forwards, {run['seconds']:,.0f} s{tokens}"
