"""What `lakatos bench` says."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from lakatos.tools.errors import UserError

app = typer.Typer(help="Measure how fast the patching engine is on this machine.", no_args_is_help=True)


@app.callback()
def bench() -> None:
    """Measure how fast the patching engine is on this machine."""


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
    from lakatos.tools.shapes import shaped_model
    from lakatos.tools.sweep import sweep_document
    from lakatos.tools.sweep_tasks import PAIRS

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


def print_sweep(document: dict[str, Any]) -> None:
    """Both speeds, their ratio and what bounds it; the distance from the machine's limit; where the time is."""
    from lakatos.agent.cli_tables import escape, table

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
