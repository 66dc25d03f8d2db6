"""Every arm with every seed, each in a study of its own; what was finished before is read from the log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from lakatos.agent.arms.arm import Arm
from lakatos.agent.config import RunConfig
from lakatos.agent.llm import LLM
from lakatos.agent.run import investigate, resume
from lakatos.agent.run.investigation import Investigation
from lakatos.agent.watch import Silent, Watcher
from lakatos.experiments_db import open_store
from lakatos.experiments_db.documents import Line
from lakatos.experiments_db.store import Store
from lakatos.tools.errors import CheckFailed, Stop, UserError
from lakatos.tools.model import LoadedModel, load_model


class Outcome(NamedTuple):
    """What an arm came to with a seed."""

    arm: str
    seed: int
    ended: str  # finished, stopped (by a limit) or failed
    registered: int
    confirmed: int
    groups: int  # of overlapping claims, among the confirmed
    explained: float  # share of the gap that the confirmed nodes restore together; 0 where there are none
    missed: float | None  # mean of |predicted - measured effect|, fractions of the gap; None: nothing was predicted
    forwards: float
    tokens: int
    money: float | None
    seconds: float


def run_arms(
    behaviour: str,
    arms: Sequence[Arm],
    seeds: int,
    common: RunConfig,
    *,
    db: str,
    watcher: Watcher | None = None,
    llm: Callable[[Arm], LLM] | None = None,
    load: Callable[..., LoadedModel] = load_model,
) -> list[Outcome]:
    """Run every arm with seeds 1, 2, ...; a run that a limit stopped counts as it stands.

    Args:
        behaviour: a built-in's name, or a path.
        common: the settings of all arms: the budget among them.
        db: the database; a study is named after behaviour, model, arm and seed.
        llm: a language model for an arm; by default the one that `common` names.
        load: boots models.

    Raises:
        UserError: the behaviour, the model or the language model cannot be used, or the database has the same arms
            with other settings.
        Stop: the user interrupted; the same call goes on.
    """
    found = []
    for seed in range(1, seeds + 1):
        for arm in arms:
            store, run_id = run_arm(behaviour, arm, seed, common, db=db, watcher=watcher, llm=llm, load=load)
            found.append(_outcome(store, run_id, arm.name, seed))
    return found


def run_arm(
    behaviour: str,
    arm: Arm,
    seed: int,
    common: RunConfig,
    *,
    db: str,
    watcher: Watcher | None = None,
    llm: Callable[[Arm], LLM] | None = None,
    load: Callable[..., LoadedModel] = load_model,
) -> tuple[Store, int]:
    """One arm with one seed, unless the database has it: its study, and the number of its run there.

    Arguments and errors are those of `run_arms`.
    """
    study = f"{behaviour}, {common.model}, {arm.name}, seed {seed}"[:200]
    (watcher or Silent()).say(f"== {study}")
    config = arm.config(common, seed)
    model = llm(arm) if llm is not None and config.proposer == "llm" else None
    run_id = _ended(db, study, config)
    if run_id is None:
        run_id = _investigate(behaviour, config, db, study, watcher, model, load)
    return open_store(db, study=study, create=False), run_id


def _investigate(
    behaviour: str,
    config: RunConfig,
    db: str,
    study: str,
    watcher: Watcher | None,
    llm: LLM | None,
    load: Callable[..., LoadedModel],
) -> int:
    """One run, begun or gone on with; its number."""
    begun = _runs(db, study)
    try:
        if begun:
            return resume(begun[-1], db=db, watcher=watcher, llm=llm, load=load).run.id
        return investigate(behaviour, config, db=db, study=study, watcher=watcher, llm=llm, load=load).run.id
    except (Stop, CheckFailed) as error:
        if "interrupted" in str(error):
            raise
        return _runs(db, study)[-1]


def _runs(db: str, study: str) -> list[int]:
    try:
        return open_store(db, study=study, create=False).run_ids()
    except UserError:
        return []


def _ended(db: str, study: str, config: RunConfig) -> int | None:
    """The run of a study that has ended: finished, or stopped by a limit, or failed for good.

    Raises:
        UserError: it was run with other settings.
    """
    runs = _runs(db, study)
    if not runs:
        return None
    store = open_store(db, study=study, create=False)
    before, now = store.run(runs[-1]).config, config.model_dump(mode="json")
    differ = [f"--{name.replace('_', '-')}" for name in now if before.get(name) != now[name]]
    if differ:
        raise UserError(f"{db} has this arm with other {', '.join(differ)} ({study}): give another --db.")
    status = store.run(runs[-1]).status
    stopped = store.event_of(runs[-1], "stopped")
    by_limit = status == "stopped" and stopped is not None and "limit" in stopped.payload["reason"]
    return runs[-1] if status in ("finished", "failed") or by_limit else None


def _outcome(store: Store, run_id: int, arm: str, seed: int) -> Outcome:
    found, record = Investigation.of(store, run_id), store.run(run_id)
    lines = [Line.of(entry) for entry in store.hypotheses(run_id)]
    confirmed = [line for line in lines if line.state == "confirmed"]
    missed = [
        abs(line.predicted - line.fraction)
        for line in lines
        if line.predicted is not None and line.fraction is not None
    ]
    return Outcome(
        arm=arm,
        seed=seed,
        ended=record.status,
        registered=len(lines),
        confirmed=len(confirmed),
        groups=len({line.group for line in confirmed}),
        explained=found.explained.restored.mean if found.explained is not None else 0.0,
        missed=sum(missed) / len(missed) if missed else None,
        forwards=record.forwards,
        tokens=record.tokens,
        money=record.money,
        seconds=record.seconds,
    )
