"""What `lakatos bench` prints."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.table import Table

from lakatos.agent.cli.tables import escape, table

METHODS = ("none", "bonferroni", "holm", "bh", "by", "lord++", "e-bh", "online-ebh")
SPREAD = ("none", "bh", "online-ebh")  # whose spread is shown; --json has all
_FALSE = ("supports", "opposes", "beyond")  # the counts of `effects.false_positives`


def print_effects(document: dict[str, Any]) -> None:
    """By behaviour and by group: medians with 5 and 95 % quantiles over components, and shares of components."""
    out = Console(width=None if sys.stdout.isatty() else 190)
    out.print(
        f"{document['model']}, {document['pairs']['exploration']} exploration and {document['pairs']['confirmation']} "
        f"confirmation pairs, {document['seconds']:,.0f} s",
        markup=False,
        highlight=False,
    )
    ranges = {"skewness": "skewness", "kurtosis": "kurtosis", "largest": "max/sd", "icc": "ICC", "drift": "drift"}
    shares = {"clipped_often": "clip > 2 %", "below": "below -s", "confirmed": "e >= 20", "confirmed_late": "e >= 4000"}
    headers = ("components", *ranges.values(), *shares.values())
    shapes = table("behaviour", *headers, right=range(1, len(headers) + 1))
    summaries = {entry["behaviour"]: entry["summary"]["all"] for entry in document["behaviours"]}
    for name, summary in (summaries | document["summary"]).items():
        quantiles = [summary[key] for key in ranges]
        shapes.add_row(
            escape(name),
            str(summary["components"]),
            *("" if q is None else escape(f"{q[1]:.2f} [{q[0]:.2f}, {q[2]:.2f}]") for q in quantiles),
            *(f"{summary[key]:.0%}" for key in shares),
        )
    out.print(shapes)
    kinds = list(document["false_positives"])
    counted = [f"{kind}: {which}" for kind in kinds for which in _FALSE]
    wrong = table("false confirmations", *counted, right=range(1, len(counted) + 1))
    found = {entry["behaviour"]: entry["false_positives"] for entry in document["behaviours"]}
    for name, counts in (found | {"all": document["false_positives"]}).items():
        cells = [counts[kind][which] / counts[kind]["components"] for kind in kinds for which in _FALSE]
        wrong.add_row(escape(name), *(f"{share:.1%}" for share in cells))
    out.print(wrong)


def print_sweep(document: dict[str, Any]) -> None:
    """Both speeds, their ratio and what bounds it; the distance from the machine's limit; where the time is."""
    out = Console(width=None if sys.stdout.isatty() else 140)
    shape, versions = document["shape"], document["versions"]
    out.print(
        f"{document['model']} ({shape['layers']} layers, {shape['heads']} heads, d_model {shape['d_model']}), "
        f"{document['dtype']} on {document['device']}, {document['threads']} threads, torch {versions['torch']}, "
        f"TransformerLens {versions['transformer-lens']}",
        markup=False,
        highlight=False,
    )
    speed = table(
        "task", "cells", "ours/s", "peer/s", "ratio [95 %]", "ops allow", "largest difference", right=range(1, 7)
    )
    limit = table("task", "needed", "our time", "achieved", "attainable", "of attainable", right=range(1, 6))
    for row in document["rows"]:
        speed.add_row(
            escape(f"{row['task']}  {row['what']}"),
            f"{row['cells']:,}",
            f"{row['ours']:,.1f}",
            f"{row['peer']:.2f}",
            escape(f"{row['ratio']:.1f} [{row['low']:.1f}, {row['high']:.1f}]"),
            f"{row['bound']:.1f}",
            f"{row['difference']:.1e} of gap",
        )
        limit.add_row(
            row["task"],
            f"{row['needed'] / 1e12:.3g} TFLOP",
            f"{row['needed'] / row['achieved']:.2f} s",
            f"{row['achieved'] / 1e9:,.1f} GFLOP/s",
            f"{row['attainable'] / 1e9:,.1f} GFLOP/s",
            f"{row['of_attainable']:.0%}",
        )
    out.print(speed)
    out.print(limit)
    profiled = [row for row in document["rows"] if row["shares"]]
    if profiled:
        kinds = list(profiled[0]["shares"])
        where = table("our time is in", *kinds, right=range(1, len(kinds) + 1))
        for row in profiled:
            where.add_row(row["task"], *(f"{row['shares'][kind]:.0%}" for kind in kinds))
        out.print(where)
    out.print(
        "cells/s: interventions on all pairs a second (f: pairs). ops allow: operations of the peer's passes over "
        "those that exact re-running needs.",
        markup=False,
        highlight=False,
    )


def print_protocol(document: dict[str, Any]) -> None:
    """False discovery rates and their spread, power and prompts; and which promises are broken."""
    out = Console(width=None if sys.stdout.isatty() else 160)
    out.print(
        f"{document['studies']} studies of {document['slots']} slots, {document['true_share']:.0%} of the candidates "
        f"true at d = {document['d']:g}, the others at the boundary; {document['explored']} exploration prompts, "
        f"at most {document['n_max']} in a test; effects {', '.join(document['noises'])} in turn; "
        f"{_streams(document)}; alpha {document['alpha']:g}; official: {document['official']}",
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
    for shown in (rates, _spreads(document), power, spent):
        out.print(shown)
    notes = [*_of_the_honest(document), "Means over studies, with standard errors; the spread is over studies too."]
    notes.append("What the protocol promises is about official verdicts under guards; every other column is a view.")
    for note in (*notes, *(f"broken: {broken}" for broken in document["broken"])):
        out.print(note, markup=False, highlight=False)


def _streams(document: dict[str, Any]) -> str:
    """Who shares prompts, how effects depend, and what was planned."""
    correlations = ", ".join(f"{c:g}" for c in document["correlations"])
    among = "claims of a block" if document["blocks"] else "claims"
    streams = "every claim on its own stream" if document["own_streams"] else "claims share streams"
    planned = f"; {document['planned']} claims planned" if document["planned"] else ""
    return f"{streams}, effects of {among} correlated by {correlations}{planned}"


def _spreads(document: dict[str, Any]) -> Table:
    """Of the false discovery proportion over studies, by correlation."""
    of = [f"{method}: {what}" for method in SPREAD for what in ("sd", "q95", "above")]
    spread = table("spread of proportions", "guards", "correlation", *of, right=range(2, 3 + len(of)))
    for row in document["agents"]:
        for cell in row["by_correlation"]:
            found = [cell["methods"][method]["spread"] for method in SPREAD]
            figures = [f"{f[what]:.3f}" for f in found for what in ("sd", "q95", "above")]
            guards = "on" if row["guarded"] else "off"
            spread.add_row(row["agent"], guards, f"{cell['correlation']:g}", *figures)
    return spread


def _of_the_honest(document: dict[str, Any]) -> Iterator[str]:
    for row in document["agents"]:
        if row["agent"] == "honest" and row["guarded"]:
            by_noise = ", ".join(f"{name} {_cell(x['power'])}" for name, x in row["official_by_noise"].items())
            yield f"honest, official power by shape of effects: {by_noise}"
            if document["planned"]:
                yield f"honest, official power in planned slots: {_cell(row['methods'][METHODS[-1]]['planned_power'])}"


def _cells(row: dict[str, Any], what: str) -> list[str]:
    return [_cell(row["methods"][method][what]) for method in METHODS]


def _cell(figure: dict[str, Any]) -> str:
    return "-" if figure["mean"] is None else f"{figure['mean']:.3f} ± {figure['se']:.3f}"
