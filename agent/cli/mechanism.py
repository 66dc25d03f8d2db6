"""`lakatos mechanism`: what is confirmed of how a model does something."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lakatos.agent.cli.options import DB, Db, Json, Study, open_log, out, print_json
from lakatos.tools.errors import UserError

if TYPE_CHECKING:
    from lakatos.experiments_db import Store

app = typer.Typer()


@app.command()
def mechanism(
    run_id: Annotated[
        int | None, typer.Argument(metavar="RUN", help="Of which run. Default: the newest that finished.")
    ] = None,
    behaviour: Annotated[str | None, typer.Option(help="Of all runs of the study about this behaviour.")] = None,
    model: Annotated[
        str | None, typer.Option(help="With --behaviour: on which model. Default: that of the newest run about it.")
    ] = None,
    svg: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write it as a picture; - is standard output.")
    ] = None,
    dot: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write it as a graph for Graphviz; - is standard output.")
    ] = None,
    db: Db = DB,
    study: Study = None,
    as_json: Json = False,
) -> int:
    """What is confirmed of how the model does it, in a picture and in sentences, each with its claims; what is open.

    Examples:

        lakatos mechanism

        lakatos mechanism 3 --svg ioi.svg

        lakatos mechanism --behaviour ioi --model gpt2 --dot - | dot -Tpdf -o ioi.pdf
    """
    from lakatos.agent.cli.mechanism_tables import print_mechanism
    from lakatos.experiments_db.mechanism import run_mechanism, study_mechanism
    from lakatos.experiments_db.report import mechanism_dot, standalone_svg

    if run_id is not None and behaviour is not None:
        raise UserError("Name a run or a --behaviour, not both: a behaviour's mechanism is that of all its runs.")
    if model is not None and behaviour is None:
        raise UserError("--model says which model of a --behaviour: name the behaviour too.")
    if as_json + (svg == "-") + (dot == "-") > 1:
        raise UserError(
            "Only one of --json, --svg - and --dot - can go to standard output: name a file for the others."
        )
    store = open_log(db, study, run_id)
    if behaviour is not None:
        found = study_mechanism(store, behaviour, model)
    else:
        found = run_mechanism(store, _finished(store) if run_id is None else run_id)
    if as_json:
        print_json(found.document())
    for target, drawn in ((svg, standalone_svg), (dot, mechanism_dot)):
        if target is not None:
            _write(drawn(found), target, quiet=as_json or "-" in (svg, dot))
    if not (as_json or svg or dot):
        print_mechanism(out(), found)
    return 0


def _finished(store: Store) -> int:
    """The newest run that finished."""
    finished = [run.id for run in store.runs() if run.status == "finished"]
    if not finished:
        raise UserError(
            "No run of this study has finished: name one that has begun (`lakatos runs` lists them), "
            "or `lakatos run --resume` goes on."
        )
    return finished[-1]


def _write(text: str, target: str, quiet: bool) -> None:
    """To standard output, or to a file whose name is told."""
    from lakatos.experiments_db.report import write_text

    if target == "-":
        sys.stdout.write(text)
        return
    path = write_text(text, Path(target))
    if not quiet:
        out().print(str(path), markup=False, highlight=False, soft_wrap=True)
