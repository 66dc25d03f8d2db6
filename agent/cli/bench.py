"""What `lakatos bench` says."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from lakatos.tools.errors import UserError

_FALSE = ("supports", "opposes", "beyond")  # the counts of `effects.false_positives`

app = typer.Typer(
    help="Measure the engine's speed, the shape of real effects, and what the protocol lets cheating agents do.",
    no_args_is_help=True,
)


@app.callback()
def bench() -> None:
    """Measure the engine's speed, the shape of real effects, and what the protocol lets cheating agents do."""


@app.command()
def sweep(
    tasks: Annotated[str, typer.Option(help="Which, by letter.")] = "a,b,c,d,e,f",
    model: Annotated[
        str,
        typer.Option(
            help="gpt2-small, gpt2-medium, gpt2-xl: random weights of that shape. Else as in `lakatos run --model`."
        ),
    ] = "smollm2-135m",
    behaviour: Annotated[str, typer.Option(help="What pairs are drawn from: built-in, or your own YAML file.")] = "ioi",
    dtype: Annotated[str, typer.Option(help="float32 or bfloat16.")] = "float32",
    device: Annotated[str, typer.Option(help="The torch device.")] = "cpu",
    tokenizer: Annotated[
        str | None, typer.Option(help="A tokenizer's folder, for random weights. Default: the embedded model's.")
    ] = None,
    pairs: Annotated[
        int | None, typer.Option(min=1, help="Prompt pairs, for every task. Default: each task's own number.")
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="Cells of TransformerLens that are timed, drawn at random.")] = 40,
    rounds: Annotated[int, typer.Option(min=1, help="How often ours runs whole; they alternate.")] = 3,
    patience: Annotated[float, typer.Option(min=0, help="Stop repeating ours after so many seconds in a task.")] = 600,
    seed: Annotated[int, typer.Option(help="Of prompts, sampled cells and the bootstrap.")] = 0,
    profile: Annotated[bool, typer.Option("--profile", help="Say where our time is: one run more.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a table.")] = False,
) -> int:
    """Time our sweeps beside TransformerLens's.

    The same cells go through both, alternating in one process: 17 minutes on two cores for all tasks. Each row has the
    ratio of cells a second with its 95 % interval; "ops allow", the ratio of operations that exact re-running allows;
    and "of attainable", how near ours is to this machine's rate of matrix products.

    Tasks:

        a  every head, all positions

        b  every head by position

        c  every MLP and residual stream by position

        d  ablation of every head and MLP, with the control on plain text

        e  path patching from every earlier head into one head's query

        f  attribution of every node
    """
    from lakatos.tools.behaviour import load_behaviour
    from lakatos.tools.benchmark import PAIRS, sweep_document
    from lakatos.tools.model import shaped_model

    chosen = [letter.strip() for letter in tasks.split(",") if letter.strip()]
    if not chosen or not set(chosen) <= set(PAIRS):
        raise UserError(f"--tasks is a list like a,b of {', '.join(PAIRS)}, not {tasks!r}.")
    err = Console(stderr=True)

    def say(text: str) -> None:
        err.print(text, markup=False, highlight=False)

    drawn = load_behaviour(behaviour)
    beside = Path(behaviour).parent / f"{drawn.controls[0]}.yaml" if drawn.controls else None
    control = load_behaviour(beside if beside and Path(behaviour).is_file() and beside.is_file() else "plain_text")
    bridge = shaped_model(model, dtype=dtype, device=device, tokenizer=tokenizer, seed=seed, say=say)
    document = sweep_document(
        bridge,
        chosen,
        behaviour=drawn,
        control=control,
        pairs=pairs,
        samples=samples,
        rounds=rounds,
        patience=patience,
        seed=seed,
        profiled=profile,
        say=say,
    )
    document["model"] = model
    if as_json:
        sys.stdout.write(json.dumps(document, indent=2, allow_nan=False) + "\n")
    else:
        print_sweep(document)
    return 0


@app.command()
def effects(
    behaviours: Annotated[
        str,
        typer.Option(help="Built-in or your own YAML files, with commas between. Default: all built-in with pairs."),
    ] = "",
    model: Annotated[str, typer.Option(help="As in `lakatos run --model`.")] = "smollm2-135m",
    components: Annotated[int, typer.Option(min=3, help="Per behaviour: a third strong, random, weak.")] = 60,
    pairs: Annotated[
        int, typer.Option(min=16, help="Confirmation pairs; exploration pairs are 64, as in tests.")
    ] = 128,
    shuffles: Annotated[int, typer.Option(min=1, help="How often labels are shuffled.")] = 20,
    null: Annotated[bool, typer.Option(help="Measure the same on new weights too; doubles the time.")] = True,
    device: Annotated[str, typer.Option(help="The torch device.")] = "cpu",
    seed: Annotated[int, typer.Option(help="Of prompts, random components, shuffles and new weights.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write the JSON document to this file too.")] = None,
) -> int:
    """Describe real per-prompt effects, and count false confirmations.

    Per component: the shape of the effects, how much templates matter, what clipping cuts off, how far the mean moves
    from exploration to confirmation, and whether the effect would be confirmed. Half an hour on one core for all.
    """
    from lakatos.tools.behaviour import builtin_behaviours, load_behaviour
    from lakatos.tools.benchmark import survey_document
    from lakatos.tools.model import NULL_PREFIX, load_model

    err = Console(stderr=True)

    def say(text: str) -> None:
        err.print(text, markup=False, highlight=False)

    names = [name.strip() for name in behaviours.split(",") if name.strip()]
    chosen = [load_behaviour(name) for name in names or builtin_behaviours()]
    if not names:
        chosen = [behaviour for behaviour in chosen if behaviour.kind == "pairs"]
    document = survey_document(
        load_model(model, device=device, seed=seed, say=say),
        load_model(f"{NULL_PREFIX}{model.removeprefix(NULL_PREFIX)}", device=device, seed=seed, say=say)
        if null
        else None,
        chosen,
        components=components,
        pairs=pairs,
        shuffles=shuffles,
        seed=seed,
        say=say,
    )
    text = json.dumps(document, allow_nan=False)
    if out is not None:
        try:
            out.write_text(text + "\n", encoding="utf-8")
        except OSError as error:
            raise UserError(f"Cannot write {out}: {error}.") from error
    if as_json:
        sys.stdout.write(text + "\n")
    else:
        print_effects(document)
    return 0


def print_effects(document: dict[str, Any]) -> None:
    """By behaviour and by group: medians with 5 and 95 % quantiles over components, and shares of components."""
    from lakatos.agent.cli.tables import escape, table

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
    from lakatos.agent.cli.tables import escape, table

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


@app.command()
def protocol(
    agents: Annotated[str, typer.Option(help="Which, by name.")] = "honest,peeker,reworder,padder,retrier,leaker",
    studies: Annotated[int, typer.Option(min=2, help="Simulated studies of each agent.")] = 200,
    slots: Annotated[int, typer.Option(min=5, help="Claims that each study registers.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Of worlds, secrets and prompts.")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Processes; the figures do not depend on it.")] = 2,
    unguarded: Annotated[bool, typer.Option("--unguarded", hidden=True, help="Also without the protocol.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")] = False,
) -> int:
    """Simulate whole studies of honest and of cheating agents: false discoveries, power, prompts.

    The log, the batteries and the corrections are the real ones; only the effects are drawn, from worlds whose truth is
    known. Exit 1 if official verdicts break a promise by more than two standard errors: a false discovery rate of any
    agent (per claim or per group of claims) above alpha, or, from 100 slots on, power of the honest agent below .9.
    """
    from rich.progress import Progress

    from lakatos.agent.cli.bench_tables import print_protocol
    from lakatos.agent.simulation import Design, simulation_document

    chosen = [name.strip() for name in agents.split(",") if name.strip()]
    with Progress(console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("simulating", total=None)
        document = simulation_document(
            chosen,
            studies,
            Design(slots=slots, seed=seed),
            unguarded,
            workers,
            lambda done, of: bars.update(task, completed=done, total=of),
        )
    if as_json:
        sys.stdout.write(json.dumps(document, indent=2, allow_nan=False) + "\n")
    else:
        print_protocol(document)
    return 1 if document["broken"] else 0
