"""`lakatos bench groundtruth`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lakatos.agent.cli.options import Json, err, print_json
from lakatos.tools.errors import UserError

if TYPE_CHECKING:
    from rich.progress import Progress

app = typer.Typer()

Names = Annotated[str, typer.Option(help="With commas between. Default: all that the design has.")]
Twins = Annotated[str, typer.Option(help="Null twins, such as induction~permuted. Default: the design's.")]
Quick = Annotated[bool, typer.Option("--quick", help="A small design, in less than ten minutes.")]
Out = Annotated[Path, typer.Option("--out", help="Where rows and logs are kept; the same folder goes on.")]
Docs = Annotated[
    Path | None, typer.Option(help="Write groundtruth.md, its figure and techniques.json there. Default: into --out.")
]
Instances = Annotated[int | None, typer.Option(min=1, help="Of each model: noise, decoys, places of its parts.")]
Seeds = Annotated[int | None, typer.Option(min=1, help="Runs of each arm on each instance.")]
NullInstances = Annotated[int | None, typer.Option(min=0, help="Of each null twin.")]
Hypotheses = Annotated[int | None, typer.Option(min=1, max=200, help="That each run may propose.")]
Forwards = Annotated[float | None, typer.Option(min=100, help="Forward passes for each run and each baseline.")]
Llm = Annotated[str | None, typer.Option(help="A language model: the arms llm, form, one-shot, no-tools take part.")]
Url = Annotated[str | None, typer.Option(help="Its endpoint, as in `lakatos run`.")]
Workers = Annotated[int, typer.Option(min=1, help="Processes; the figures do not depend on it, but for seconds.")]


@app.command()
def groundtruth(
    quick: Quick = False,
    folder: Out = Path("groundtruth"),
    docs: Docs = None,
    models: Names = "",
    twins: Twins = "",
    arms: Names = "",
    baselines: Names = "",
    instances: Instances = None,
    seeds: Seeds = None,
    null_instances: NullInstances = None,
    hypotheses: Hypotheses = None,
    max_forwards: Forwards = None,
    llm_model: Llm = None,
    llm_base_url: Url = None,
    workers: Workers = 2,
    as_json: Json = False,
) -> int:
    """Investigate models whose mechanism is known, and count what is found, what is false, and what is missed.

    Every proposer takes part, an oracle that is told the truth, a saboteur that proposes only what is false, and what
    people do today: patching, attribution, pruning, p-values. All have the same budget of forward passes. Each run has
    a study of its own in a log in --out, which `lakatos review` and `lakatos verify` open.

    A stopped or killed benchmark goes on where it was. Exit 1 if a promise does not hold: more than 5 % false
    discoveries of any of our arms, by more than two standard errors, or effects in null twins.
    """
    from lakatos.agent.cli.groundtruth_tables import print_groundtruth
    from lakatos.agent.groundtruth import ask_all, broken, designed, document, figure, markdown, run_design

    chosen = {
        "models": _listed(models),
        "twins": _listed(twins),
        "arms": _listed(arms),
        "baselines": _listed(baselines),
        "instances": instances,
        "seeds": seeds,
        "null_instances": null_instances,
        "hypotheses": hypotheses,
        "max_forwards": max_forwards,
    }
    design = designed(
        quick, {k: v for k, v in chosen.items() if v not in (None, ())}, llm_model=llm_model, llm_base_url=llm_base_url
    )
    with _bars() as bars:
        rows = run_design(design, folder, workers=workers, progress=_bar(bars, "investigating"))
        asked = ask_all(design, folder, workers=workers, progress=_bar(bars, "asking techniques"))
    found = document(design, rows, asked)
    target = docs or folder
    _write(target / "techniques.json", json.dumps(found["techniques"], indent=1, allow_nan=False) + "\n")
    _write(target / "groundtruth.svg", figure(found))
    _write(target / "groundtruth.md", markdown(found))
    if as_json:
        print_json(found)
    else:
        print_groundtruth(found, target)
    failed = broken(found)
    for sentence in failed:
        err().print(f"lakatos: {sentence}", markup=False, highlight=False)
    return 1 if failed else 0


def _bars() -> Progress:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=err(), transient=True)


def _bar(bars: Progress, what: str) -> Callable[[int, int], None]:
    task = bars.add_task(what, total=None)
    return lambda done, of: bars.update(task, completed=done, total=of)


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"Cannot write {path}: {error}.") from error
