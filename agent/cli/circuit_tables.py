"""What `lakatos bench circuits` prints."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from lakatos.agent.cli.tables import escape, table


def print_circuits(console: Console, document: dict[str, Any]) -> None:
    """A row for each ranking; below, what CPR is not, and what was left out."""
    known = document["used"] is not None
    pairs = document["pairs"]
    lines = [
        f"{document['behaviour']['name']} on {document['model']}: {document['components']} heads and MLPs, "
        f"{pairs['exploration']} exploration pairs each, circuits on {pairs['confirmation']} confirmation pairs, "
        f"{document['seconds']:,.0f} s",
        f"mean logit difference {document['full']:+.3f}, {document['empty']:+.3f} with every head and MLP replaced",
    ]
    _lines(console, lines)
    headers = ("CMD (0 is best)", "CPR", *(["AUROC"] if known else []), "forwards", "seconds")
    shown = table("ranking", *headers, right=range(1, len(headers) + 1))
    for row in document["rows"]:
        areas = [f"{row['auroc']:.3f}" if row["auroc"] is not None else "-"] if known else []
        spent = (f"{row['forwards']:,.0f}", f"{row['seconds']:,.1f}")
        shown.add_row(escape(_name(row)), f"{row['cmd']:.3f}", f"{row['cpr']:.3f}", *areas, *spent)
    console.print(shown)
    notes = [document["warning"]]
    if known:
        notes.append(f"AUROC: against what is used by construction ({', '.join(document['used'])}).")
    for row in document["rows"]:
        if row.get("not_ranked"):
            notes.append(f"Confirmed, but neither heads nor MLPs, so not ranked: {', '.join(row['not_ranked'])}.")
    notes += [f"{name} is left out: {why}" for name, why in document["left_out"].items()]
    _lines(console, notes)


def _name(row: dict[str, Any]) -> str:
    if "from_claims" in row:
        return f"confirmed claims ({row['from_claims']} from claims, the rest by attribution)"
    return f"{row['method']} (mean of {row['orders']} orders)" if row["orders"] > 1 else str(row["method"])


def _lines(console: Console, lines: list[str]) -> None:
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
