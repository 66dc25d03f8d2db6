"""What `lakatos bench groundtruth` prints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lakatos.agent.cli.options import out
from lakatos.agent.cli.tables import table


def print_groundtruth(found: dict[str, Any], target: Path) -> None:
    """What each arm found, what the null twins showed, and how components were read; and where the document is."""
    columns = ("runs", "found", "false", "claims false", "groups false", "recall", "edges", "passes a finding")
    shown = table("arm", *columns, right=range(1, len(columns) + 1))
    for row in found["arms"]:
        passes = row["forwards_per_finding"]
        shown.add_row(
            row["arm"] if row["ours"] else f"({row['arm']})",
            str(row["runs"]),
            f"{row['found']['mean']:.1f}",
            *(_percent(row[name]) for name in ("component_fdr", "fdr", "group_fdr", "recall", "edge_recall")),
            "-" if passes is None else f"{passes:,.0f}",
        )
    out().print(shown)
    null = table("null twins", "investigations", "found an effect", right=(1, 2))
    for row in found["null"]:
        null.add_row(row["arm"] if row["ours"] else f"({row['arm']})", str(row["runs"]), _percent(row["any"]))
    if found["null"]:
        out().print(null)
    counted = {name: sum(own[name] for own in found["readings"]) for name in ("right", "undecided", "wrong")}
    if sum(counted.values()):
        told = ", ".join(f"{number} {name}" for name, number in counted.items())
        out().print(f"Readings of single components (exhaustive): {told}.", highlight=False)
    out().print(
        "In parentheses what people do today. Means over runs; --json and the document have intervals.\n"
        f"{target / 'groundtruth.md'}, {target / 'groundtruth.svg'}",
        markup=False,
        highlight=False,
    )


def _percent(number: dict[str, Any] | None) -> str:
    return "-" if number is None else f"{number['mean']:.1%}"
