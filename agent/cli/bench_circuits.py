"""`lakatos bench circuits`: rankings of components by several methods, scored by the circuits of their best."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lakatos.agent.cli.options import Json, Study, err, open_log, out, print_json
from lakatos.tools.errors import UserError

if TYPE_CHECKING:
    from lakatos.experiments_db import Store
    from lakatos.tools.baseline import Claimed
    from lakatos.tools.behaviour import Behaviour
    from lakatos.tools.model import LoadedModel

app = typer.Typer()


@app.command()
def circuits(
    model: Annotated[str, typer.Option(help="As in `lakatos run --model`.")] = "smollm2-135m",
    behaviour: Annotated[str, typer.Option(help="Built-in or your own YAML file, with prompt pairs.")] = "ioi",
    pairs: Annotated[
        int, typer.Option(min=4, help="Exploration pairs for each method, and confirmation pairs for the circuits.")
    ] = 32,
    seed: Annotated[int, typer.Option(help="Of prompts and of random orders.")] = 0,
    device: Annotated[str, typer.Option(help="The torch device.")] = "cpu",
    db: Annotated[str | None, typer.Option("--db", help="A log whose confirmed claims get a row of their own.")] = None,
    study: Study = None,
    as_json: Json = False,
) -> int:
    """Rank heads and MLPs by several methods and score the rankings: CMD, CPR and, where the truth is known, AUROC.

    CMD is the area between the faithfulness of a ranking's circuits and 1, over ten sizes: 0 is best, and a random
    order is the row to compare with. CPR is the area under it: unbounded, and it rewards leaving out what
    opposes the behaviour.

    Examples:

        lakatos bench circuits --model planted:induction --behaviour planted_recall

        lakatos bench circuits --model smollm2-135m --behaviour ioi --db lakatos.db --study main
    """
    from lakatos.agent.cli.circuit_tables import print_circuits
    from lakatos.tools.baseline import circuits_document
    from lakatos.tools.behaviour import load_behaviour
    from lakatos.tools.model import load_model

    if study is not None and db is None:
        raise UserError("--study names a study of a log: name the log too, with --db.")
    asked = load_behaviour(behaviour)
    store = None if db is None else open_log(db, study)
    loaded = load_model(model, device=device, seed=seed, say=_say)
    claimed = None if store is None else _claimed(store, loaded, asked)
    document = circuits_document(loaded, asked, pairs=pairs, seed=seed, claimed=claimed, say=_say)
    if as_json:
        print_json(document)
    else:
        print_circuits(out(), document)
    return 0


def _claimed(store: Store, model: LoadedModel, behaviour: Behaviour) -> Claimed:
    """A study's confirmed node effects and necessities of this very model and behaviour.

    Raises:
        UserError: no run of the study is about them, or about other weights or another version of the behaviour.
    """
    from lakatos.experiments_db.mechanism import study_mechanism
    from lakatos.tools.baseline import Claimed, places

    found = study_mechanism(store, behaviour.name, model.name)
    asked = store.run_row(found.runs[-1])
    if (asked.weights, asked.behaviour_hash) != (model.weight_hash, behaviour.hash):
        raise UserError(
            f"Run {asked.id} is about other weights of {model.name} or another version of {behaviour.name} than these: "
            "name the model and the behaviour's file as that run did."
        )
    every, effects, others = frozenset(places(model)), dict[str, float](), list[str]()
    for node in found.nodes:
        name = node.component.partition("@")[0]
        if name not in every:
            others.append(node.component)
            continue
        effects[name] = max(effects.get(name, 0.0), abs(node.effect or 0.0), abs(node.lost or 0.0))
    claims = sorted({claim for node in found.nodes for claim in node.claims})
    forwards = sum(run.forwards for run in store.runs() if run.id in found.runs)
    return Claimed(effects, tuple(others), tuple(claims), forwards)


def _say(text: str) -> None:
    err().print(text, markup=False, highlight=False)
