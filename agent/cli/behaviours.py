"""lakatos behaviours: which there are, and whether a model shows one."""

from __future__ import annotations

from typing import Annotated

import typer

from lakatos.agent.cli.options import Json, err, out, print_json
from lakatos.agent.config import RunConfig

app = typer.Typer(help="List the behaviours, or check one against a model.", invoke_without_command=True)


@app.callback()
def behaviours(context: typer.Context, as_json: Json = False) -> None:
    """List the built-in behaviours: the question each asks, and why it was selected."""
    from lakatos.agent.cli import checking
    from lakatos.agent.cli.behaviour_tables import print_behaviours

    if context.invoked_subcommand is not None:
        return
    listed = checking.behaviours_document()
    if as_json:
        print_json({"behaviours": listed})
    else:
        print_behaviours(out(), listed)


@app.command("check")
def check_behaviour(
    name: Annotated[str, typer.Argument(help="A built-in behaviour or a path to your own YAML file.")],
    model: Annotated[str, typer.Option(help=str(RunConfig.model_fields["model"].description))] = "smollm2-135m",
    device: Annotated[str, typer.Option(help="The torch device.")] = "cpu",
    pairs: Annotated[int, typer.Option(min=8, max=5000, help="Pairs to measure, of each split.")] = 64,
    seed: Annotated[int, typer.Option(help="Seed of the pairs that are measured.")] = 0,
    max_pairs: Annotated[
        int, typer.Option(min=16, help="Most confirmation pairs that a test of the run may use; as in `lakatos run`.")
    ] = RunConfig.model_fields["max_pairs"].default,
    as_json: Json = False,
) -> int:
    """Find all that a run of this behaviour on a model would fail on, and measure whether the model shows it.

    Exit 1 where there is a problem, or the model does not show the behaviour.
    """
    from lakatos.agent.cli import checking
    from lakatos.agent.cli.behaviour_tables import print_check

    document = checking.check_document(name, model, device, pairs, seed, max_pairs, err().print)
    if as_json:
        print_json(document)
    else:
        print_check(out(), document)
    return 0 if document["ok"] else 1
