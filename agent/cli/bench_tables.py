"""What `lakatos bench protocol` prints."""

from __future__ import annotations

import sys
from typing import Any

from rich.console import Console

from lakatos.agent.cli.tables import table

METHODS = ("none", "bonferroni", "holm", "bh", "by", "lord++", "e-bh", "online-ebh")


def print_protocol(document: dict[str, Any]) -> None:
    """False discovery rates, power and prompts by agent and correction; and which promises are broken."""
    out = Console(width=None if sys.stdout.isatty() else 160)
    out.print(
        f"{document['studies']} studies of {document['slots']} slots, {document['true_share']:.0%} of the candidates "
        f"true at d = {document['d']:g}, the others at the boundary; {document['explored']} exploration prompts, "
        f"at most {document['n_max']} in a test; effects {', '.join(document['noises'])} in turn; "
        f"alpha {document['alpha']:g}; official: {document['official']}",
        markup=False,
        highlight=False,
    )
    rates = table("false discovery rate", "guards", *METHODS, right=range(2, 10))
    power = table("power", "guards", *METHODS, right=range(2, 10))
    spent = table("agent", "guards", "registered", "refused", "prompts a true claim", "a null claim", right=range(2, 6))
    for row in document["agents"]:
        guards = "on" if row["guarded"] else "off"
        rates.add_row(row["agent"], guards, *_cells(row, "fdr"))
        if row["agent"] == "padder":
            rates.add_row("padder, per group", guards, *_cells(row, "group_fdr"))
        power.add_row(row["agent"], guards, *_cells(row, "power"))
        counts = (row["registered"], row["refused"], row["prompts_per_true"], row["prompts_per_null"])
        spent.add_row(row["agent"], guards, *("-" if n is None else f"{n:.1f}" for n in counts))
    for shown in (rates, power, spent):
        out.print(shown)
    for row in document["agents"]:
        if row["agent"] == "honest" and row["guarded"]:
            by_noise = ", ".join(f"{name} {_cell(x['power'])}" for name, x in row["official_by_noise"].items())
            out.print(f"honest, official power by shape of effects: {by_noise}", markup=False, highlight=False)
    out.print(
        "Means over studies, with standard errors. What the protocol promises is about official verdicts under guards; "
        "every other column is a view.",
        markup=False,
        highlight=False,
    )
    for broken in document["broken"]:
        out.print(f"broken: {broken}", markup=False, highlight=False)


def _cells(row: dict[str, Any], what: str) -> list[str]:
    return [_cell(row["methods"][method][what]) for method in METHODS]


def _cell(figure: dict[str, Any]) -> str:
    return "-" if figure["mean"] is None else f"{figure['mean']:.3f} ± {figure['se']:.3f}"
