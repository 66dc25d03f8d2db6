"""A program as plain data, and each of its operations as a few words."""

from __future__ import annotations

from typing import Any

from lakatos.tools.model.rasp.expressions import (
    POSITIONS,
    Aggregate,
    Indices,
    Map,
    Sop,
    Tokens,
    Width,
    inputs,
    operations,
)
from lakatos.tools.model.rasp.programs import Program


def described(program: Program) -> dict[str, Any]:
    """All that a program computes, as JSON: its operations in order, each with what it is computed from by number."""
    numbers = {sop: number for number, sop in enumerate(operations(program.expression))}
    found: list[dict[str, Any]] = []
    for sop in numbers:
        entry: dict[str, Any] = {"is": type(sop).__name__.lower(), "of": [numbers[inner] for inner in inputs(sop)]}
        if isinstance(sop, Aggregate | Width):
            entry["where"] = [sop.select.relation.kind, *sop.select.relation.argument]
        elif not isinstance(sop, Tokens | Indices):
            entry["table"] = [list(row) for row in sop.table]
        found.append(entry)
    return {"alphabet": list(program.alphabet), "positions": POSITIONS, "operations": found}


def in_words(sop: Sop) -> str:
    """An operation without its tables: "aggregate(map(tokens), where tokens equal tokens)"."""
    if isinstance(sop, Tokens | Indices):
        return type(sop).__name__.lower()
    if isinstance(sop, Map):
        return f"map({in_words(sop.inner)})"
    if not isinstance(sop, Aggregate | Width):
        return f"combined({in_words(sop.first)}, {in_words(sop.second)})"
    relation = sop.select.relation
    argument = "".join(f" {value}" for value in relation.argument)
    where = f"where {in_words(sop.select.keys)} {relation.kind}{argument} {in_words(sop.select.queries)}"
    return f"aggregate({in_words(sop.sop)}, {where})" if isinstance(sop, Aggregate) else f"width({where})"
