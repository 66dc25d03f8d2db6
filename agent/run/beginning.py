"""The beginning of a run: what was selected, on which model, with which settings."""

from __future__ import annotations

from collections.abc import Callable

from lakatos.agent.config import RunConfig
from lakatos.agent.proposers import from_file
from lakatos.agent.run.context import null_seed
from lakatos.experiments_db.store import Store
from lakatos.tools.behaviour import load_behaviour, load_controls, told
from lakatos.tools.environment import environment
from lakatos.tools.errors import UserError
from lakatos.tools.model import LoadedModel, load_model


def begin(
    store: Store,
    behaviour: str,
    config: RunConfig,
    seed: str,
    load: Callable[..., LoadedModel] = load_model,
    say: Callable[[str], None] = lambda _: None,
) -> tuple[int, LoadedModel]:
    """Append a run: what is asked, of which weights, why this behaviour, with what. Returns its id and the model.

    Raises:
        UserError: the behaviour, the model or the claims file cannot be read; nothing is appended.
    """
    if config.proposer == "file":
        from_file(config.claims)
    chosen = load_behaviour(behaviour)
    if chosen.kind == "text":
        raise UserError(
            f"{chosen.name} is plain text, a control: there is nothing to explain. See `lakatos behaviours`."
        )
    controls, problems = load_controls(chosen, behaviour)
    if problems:
        raise UserError("; ".join(told(problems)))
    model = load(config.model, device=config.device, seed=null_seed(seed), say=say)
    row = store.begin_run(
        behaviour=chosen.name,
        behaviour_hash=chosen.hash,
        behaviour_definition=chosen.model_dump(mode="json"),
        controls={name: control.model_dump(mode="json") for name, control in controls.items()},
        model=model.name,
        weights=model.weight_hash,
        proposer=config.proposer,
        seed=seed,
        config=config.model_dump(mode="json"),
        environment=environment(config.device),
    )
    return row.id, model
