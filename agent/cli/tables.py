"""Documents as tables for people. The numbers are those of `experiments_db.documents`; none is computed here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from rich import markup
from rich.console import Console
from rich.table import Table

from lakatos.agent.watch import showable, tokens_and_money
from lakatos.experiments_db import Store
from lakatos.experiments_db.documents import RunLine, documents, run_lines, study_document

_WIDE = 120  # columns that a whole table of hypotheses needs
_ROWS = 100  # of a correction
_NARROW = ("id", "verdict", "claim", "of gap", "e", "n")
COLOURS = {"confirmed": "green", "refuted": "red", "inconclusive": "yellow", "testing": "cyan", "registered": "cyan"}


def print_run(console: Console, store: Store, run_id: int) -> None:
    """A finished run: what was tried, what came of it, what it cost."""
    run = next(run for run in run_lines(store) if run.id == run_id)
    console.print(f"\nRun {run.id}: {run.behaviour} on {run.model}, proposed by {run.proposer}", highlight=False)
    print_log(console, store, run_id, None, refused=True)
    console.print(f"spent {_spend(run)}", highlight=False)


def print_runs(console: Console, store: Store) -> None:
    """The investigations of a database."""
    wide = console.width >= _WIDE
    ends = ["started (UTC)", "proposer", "spent"] if wide else []
    table = named_table("run", "behaviour", "model", "status", "tested", "confirmed", *ends)
    for run in run_lines(store):
        counts = run.counts
        tested = f"{counts.tested} of {counts.registered}"
        more = [run.at[:16].replace("T", " "), run.proposer, _spend(run)] if wide else []
        names = (escape(run.behaviour), escape(run.model))
        table.add_row(str(run.id), *names, run.status, tested, str(counts.confirmed), *more)
    console.print(table)


def print_log(console: Console, store: Store, run_id: int | None, state: str | None, refused: bool) -> None:
    """Denominators, the hypotheses, and what was refused and why."""
    document = documents.log_document(store, run_id, state)
    console.print(counts_line(document["counts"]), highlight=False)
    study = study_document(store)
    console.print(
        f"verdicts: online e-BH at alpha = {study.alpha} over {study.family}"
        + ("; prompts reproducible from the run's seed" if study.secret == "seed" else ""),
        highlight=False,
    )
    if study.other_studies:
        console.print(f"other studies here: {escape(', '.join(study.other_studies))} (--study)", highlight=False)
    if document["hypotheses"]:
        print_hypotheses(console, document["hypotheses"])
    if refused and document["refused"]:
        table = named_table("refused", "reason", "proposal")
        for row in document["refused"]:
            claim = row["proposal"].get("claim") or row["proposal"]
            table.add_row(row["kind"], escape(row["reason"]), escape(str(claim)[:200]))
        console.print(table)


def print_hypotheses(console: Console, rows: list[dict[str, Any]]) -> None:
    """Hypotheses, one a row."""
    console.print(_hypotheses(rows, wide=console.width >= _WIDE))


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
    table = named_table("slot", "claim", "e", "p", document["method"], "official")
    for row in rows:
        table.add_row(
            str(row["slot"]),
            escape(texts[row["id"]]),
            _number(row["e"]),
            _number(row["p"]),
            "confirmed" if row["confirmed"] else "-",
            f"[{COLOURS[row['state']]}]{row['state']}[/]",
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
    table = named_table(*(c for c in columns if wide or c in _NARROW))
    several = len({row["model"] for row in rows}) > 1
    for row in rows:
        interval = "" if row["effect"] is None else f"{row['effect']:+.2f} \\[{row['low']:+.2f}, {row['high']:+.2f}]"
        cells = {
            "id": str(row["id"]),
            "verdict": f"[{COLOURS[row['state']]}]{row['state']}[/]" + (" !" if row["flagged"] else ""),
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


def named_table(*headers: str) -> Table:
    """A table whose columns lie as their names ask for."""
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


def _spend(run: RunLine) -> str:
    tokens = f", {tokens_and_money(run.tokens, run.money)}" if run.llm_calls else ""
    return f"{run.forwards:,.0f} forwards, {run.seconds:,.0f} s{tokens}"
