"""Tables of the benchmark's page: how numbers are written, and the columns of arms."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

Columns = Mapping[str, Callable[[dict[str, Any]], Any]]


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    """A table in Markdown, line by line."""
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return lines + [f"| {' | '.join(str(cell).replace('|', '/') for cell in row)} |" for row in rows]


def each(arms: Iterable[dict[str, Any]], measure: str) -> str:
    """Arms with one of their measures."""
    return ", ".join(f"`{arm['arm']}` ({percent(arm[measure])})" for arm in arms)


def more(number: dict[str, Any] | None, than: dict[str, Any] | None) -> bool:
    """Whether one mean is above another."""
    return number is not None and than is not None and number["mean"] > than["mean"]


def columns(arms: Sequence[dict[str, Any]], shown: Columns) -> list[str]:
    """A row an arm."""
    return table(["arm", *shown], [(f"`{arm['arm']}`", *(cell(arm) for cell in shown.values())) for arm in arms])


def percent(number: dict[str, Any] | None) -> str:
    """A mean as a share; a dash where there is none."""
    return "-" if number is None else f"{100 * number['mean']:.1f} %"


def interval(number: dict[str, Any] | None) -> str:
    """A mean with its interval."""
    if number is None:
        return "-"
    return f"{number['mean']:.2f} [{number['low']:.2f}, {number['high']:.2f}]"


def one(number: dict[str, Any]) -> str:
    """A mean with one decimal."""
    return f"{number['mean']:.1f}"


def plain(value: float | None) -> str:
    """A number as people read it."""
    return "-" if value is None else f"{value:,.0f}" if value >= 10 or value == 0 else f"{value:.1f}"


FOUND: Final[Columns] = {
    "runs": lambda arm: arm["runs"],
    "components found": lambda arm: one(arm["found"]),
    "false claims": lambda arm: interval(arm["fdr"]),
    "false groups": lambda arm: interval(arm["group_fdr"]),
    "false components": lambda arm: interval(arm["component_fdr"]),
    "recall of components": lambda arm: interval(arm["recall"]),
    "recall of edges": lambda arm: interval(arm["edge_recall"]),
    "false edges": lambda arm: interval(arm["edge_fdr"]),
    "stability": lambda arm: interval(arm["stability"]),
}
BESIDE: Final[Columns] = {
    "recall with as many components": lambda arm: interval(arm["recall_at_same"]),
    "false ones among these": lambda arm: interval(arm["component_fdr_at_same"]),
    "AUROC of its ranking": lambda arm: interval(arm["auroc"]),
    "difference in recall": lambda arm: interval(arm["recall_beside"]),
}
COST: Final[Columns] = {
    "true findings": lambda arm: arm["true_findings"],
    "forward passes": lambda arm: plain(arm["forwards_per_finding"]),
    "prompt pairs": lambda arm: plain(arm["prompts_per_finding"]),
    "seconds": lambda arm: plain(arm["seconds_per_finding"]),
    "tokens": lambda arm: plain(arm["tokens_per_finding"]),
}
