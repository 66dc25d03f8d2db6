"""What `lakatos bench` says."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lakatos.agent.cli import bench_groundtruth
from lakatos.agent.cli.options import Json, err
from lakatos.tools.errors import UserError

if TYPE_CHECKING:
    from lakatos.tools.behaviour import Behaviour

ModelOrShape = Annotated[
    str,
    typer.Option(
        help="gpt2-small, gpt2-medium, gpt2-xl: random weights of that shape. Else as in `lakatos run --model`."
    ),
]
Tokenizer = Annotated[
    str | None, typer.Option(help="A tokenizer's folder, for random weights. Default: the embedded model's.")
]
PairsOfEveryTask = Annotated[
    int | None, typer.Option(min=1, help="Prompt pairs, for every task. Default: each task's own number.")
]

app = typer.Typer(
    help="Measure the engine's speed, the shape of real effects, rankings of components by the circuits they make, and "
    "what the protocol lets cheating agents do.",
    no_args_is_help=True,
)


app.add_typer(bench_groundtruth.app)


@app.callback()
def bench() -> None:
    """Measure the engine's speed, the shape of real effects, and what the protocol lets cheating agents do."""


@app.command()
def sweep(
    tasks: Annotated[str, typer.Option(help="Which, by letter.")] = "a,b,c,d,e,f",
    model: ModelOrShape = "smollm2-135m",
    behaviour: Annotated[str, typer.Option(help="What pairs are drawn from: built-in, or your own YAML file.")] = "ioi",
    dtype: Annotated[str, typer.Option(help="float32 or bfloat16.")] = "float32",
    device: Annotated[str, typer.Option(help="The torch device.")] = "cpu",
    tokenizer: Tokenizer = None,
    pairs: PairsOfEveryTask = None,
    samples: Annotated[int, typer.Option(min=1, help="Cells of TransformerLens that are timed, drawn at random.")] = 40,
    rounds: Annotated[int, typer.Option(min=1, help="How often ours runs whole; they alternate.")] = 3,
    patience: Annotated[float, typer.Option(min=0, help="Stop repeating ours after so many seconds in a task.")] = 600,
    seed: Annotated[int, typer.Option(help="Of prompts, sampled cells and the bootstrap.")] = 0,
    profile: Annotated[bool, typer.Option("--profile", help="Say where our time is: one run more.")] = False,
    as_json: Json = False,
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
    from lakatos.agent.cli.bench_tables import print_sweep
    from lakatos.tools.behaviour import load_behaviour
    from lakatos.tools.benchmark import sweep_document
    from lakatos.tools.model import shaped_model

    chosen = _tasks(tasks)
    drawn = load_behaviour(behaviour)
    document = sweep_document(
        shaped_model(model, dtype=dtype, device=device, tokenizer=tokenizer, seed=seed, say=_say),
        chosen,
        behaviour=drawn,
        control=_control(behaviour, drawn),
        pairs=pairs,
        samples=samples,
        rounds=rounds,
        patience=patience,
        seed=seed,
        profiled=profile,
        say=_say,
    )
    document["model"] = model
    _print(document, as_json, print_sweep)
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
    from lakatos.agent.cli.bench_tables import print_effects
    from lakatos.tools.behaviour import builtin_behaviours, load_behaviour
    from lakatos.tools.benchmark import survey_document
    from lakatos.tools.model import NULL_PREFIX, load_model

    names = _listed(behaviours)
    chosen = [load_behaviour(name) for name in names or builtin_behaviours()]
    if not names:
        chosen = [behaviour for behaviour in chosen if behaviour.kind == "pairs"]
    document = survey_document(
        load_model(model, device=device, seed=seed, say=_say),
        load_model(f"{NULL_PREFIX}{model.removeprefix(NULL_PREFIX)}", device=device, seed=seed, say=_say)
        if null
        else None,
        chosen,
        components=components,
        pairs=pairs,
        shuffles=shuffles,
        seed=seed,
        say=_say,
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


@app.command()
def protocol(
    agents: Annotated[str, typer.Option(help="Which, by name. Default: all.")] = "",
    studies: Annotated[int, typer.Option(min=2, help="Simulated studies of each agent.")] = 200,
    slots: Annotated[int, typer.Option(min=5, help="Claims that each study registers.")] = 100,
    correlation: Annotated[
        list[float] | None,
        typer.Option(
            min=0, max=1, help="Of effects on one prompt, over claims; studies take turns. Default: 0, .5 and .9."
        ),
    ] = None,
    blocks: Annotated[
        bool, typer.Option("--blocks", help="Only claims in groups of five are correlated, not all of them.")
    ] = False,
    own_streams: Annotated[
        bool, typer.Option("--own-streams", help="Test every claim on prompts of its own, for comparison.")
    ] = False,
    planned: Annotated[
        int | None, typer.Option(min=1, help="Claims that each study plans: these share .8 of alpha.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of worlds, secrets and prompts.")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Processes; the figures do not depend on it.")] = 2,
    unguarded: Annotated[bool, typer.Option("--unguarded", hidden=True, help="Also without the protocol.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")] = False,
) -> int:
    """Simulate whole studies of honest and of cheating agents: false discoveries, their spread, power, prompts.

    The log, the batteries and the corrections are the real ones; only the effects are drawn, from worlds whose truth is
    known. Claims that are tested at the same time share their prompts, on which their effects are correlated. Exit 1 if
    official verdicts break a promise by more than two standard errors: a false discovery rate of any agent (per claim
    or per group of claims, over all studies or over 20 and more of one correlation) above alpha; or, from 100 slots on,
    power of the honest agent below .9 (with a plan: of the planned slots, if it gives each as much as without).
    """
    from rich.progress import Progress

    from lakatos.agent.cli.bench_tables import print_protocol
    from lakatos.agent.simulation import AGENTS, CORRELATIONS, Design, simulation_document

    design = Design(
        slots=slots,
        seed=seed,
        correlations=tuple(correlation or CORRELATIONS),
        blocks=blocks,
        own_streams=own_streams,
        planned=planned,
    )
    with Progress(console=err(), transient=True) as bars:
        task = bars.add_task("simulating", total=None)
        document = simulation_document(
            _listed(agents) or list(AGENTS),
            studies,
            design,
            unguarded,
            workers,
            lambda done, of: bars.update(task, completed=done, total=of),
        )
    _print(document, as_json, print_protocol)
    return 1 if document["broken"] else 0


def _print(document: dict[str, Any], as_json: bool, print_tables: Callable[[dict[str, Any]], None]) -> None:
    if as_json:
        sys.stdout.write(json.dumps(document, indent=2, allow_nan=False) + "\n")
    else:
        print_tables(document)


def _tasks(letters: str) -> list[str]:
    """The letters of sweep's tasks. Raises UserError."""
    from lakatos.tools.benchmark import PAIRS

    chosen = _listed(letters)
    if not chosen or not set(chosen) <= set(PAIRS):
        raise UserError(f"--tasks is a list like a,b of {', '.join(PAIRS)}, not {letters!r}.")
    return chosen


def _control(name: str, behaviour: Behaviour) -> Behaviour:
    """The first control of a behaviour's file, if its file is beside; else plain text."""
    from lakatos.tools.behaviour import load_behaviour

    beside = Path(name).parent / f"{behaviour.controls[0]}.yaml" if behaviour.controls else None
    return load_behaviour(beside if beside and Path(name).is_file() and beside.is_file() else "plain_text")


def _listed(text: str) -> list[str]:
    """What stands between commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def _say(text: str) -> None:
    err().print(text, markup=False, highlight=False)
