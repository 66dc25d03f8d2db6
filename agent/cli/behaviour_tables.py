"""Behaviours as tables: the built-in ones, and one held against a model."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from lakatos.agent.cli.tables import escape, table
from lakatos.tools.behaviour import told


def print_behaviours(console: Console, listed: list[dict[str, Any]]) -> None:
    """The built-in behaviours."""
    rows = table("behaviour", "version", "question", "positions", "selected because")
    for row in listed:
        rows.add_row(
            row["name"],
            str(row["version"]),
            escape(row["question"]),
            ", ".join(row["positions"]),
            escape(row["selected_because"]),
        )
    console.print(rows)


def print_check(console: Console, document: dict[str, Any]) -> None:
    """A behaviour against a model: the static proofs, and the figures of both splits and of each family."""
    console.print(f"{document['behaviour']} (version {document['version']}) on {document['model']}", highlight=False)
    if document["problems"]:
        for said in told([problem["said"] for problem in document["problems"]]):
            console.print(f"- {said}", markup=False, highlight=False)
        return
    console.print("single-token answers, equal lengths, named positions, disjoint splits: ok", highlight=False)
    console.print("enough prompts, donors and controls for a test: ok", highlight=False)
    rows = table("split", "pairs", "accuracy", "clean", "corrupted", "unit", right=range(1, 5))
    for row in document["measured"]:
        rows.add_row(
            row["split"],
            str(row["n"]),
            "" if row["accuracy"] is None else f"{row['accuracy']:.2f}",
            f"{row['clean']:+.2f}",
            "" if row["corrupted"] is None else f"{row['corrupted']:+.2f}",
            row["unit"],
        )
    console.print(rows)
    absent = ", ".join(row["split"] for row in document["measured"] if not row["present"])
    found = "the model shows the behaviour" + (f", but not in {absent}" if absent else "")
    console.print(found if document["ok"] else "the model does not show the behaviour", highlight=False)
