"""The agent loop as a langgraph: explore -> propose -> register -> test -> interpret -> (propose | conclude).

The graph only says what comes next; facts are rows. It is checkpointed beside the database, and every step can be
repeated, so a run that was stopped or killed goes on where it was.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command

from lakatos.agent.config import RunConfig
from lakatos.agent.llm import LLM, language_model
from lakatos.agent.proposers import rounds
from lakatos.agent.run.approving import Approver
from lakatos.agent.run.beginning import begin
from lakatos.agent.run.concluding import ask_for_prose, conclude
from lakatos.agent.run.context import Context, answers
from lakatos.agent.run.explaining import explain
from lakatos.agent.run.exploring import check, explore
from lakatos.agent.run.investigation import Investigation
from lakatos.agent.run.proposing import propose
from lakatos.agent.run.registering import register_proposals
from lakatos.agent.run.state import State
from lakatos.agent.run.testing import test_registered
from lakatos.agent.watch import Silent, Watcher
from lakatos.experiments_db.log import Conflict, StoreError
from lakatos.experiments_db.store import Store, open_store
from lakatos.tools.errors import Stop, UserError
from lakatos.tools.model import LoadedModel, load_model

DEFAULT_DB = "lakatos.db"
_MANY = 10_000  # langgraph's limit on steps: a run has its own limits


def build_graph(run: Context, checkpointer: Any = None) -> Any:
    """The compiled graph of one run."""

    def exploring(state: State) -> Command[Literal["propose"]]:  # noqa: ARG001 - langgraph names it
        check(run)
        explore(run)
        return Command(goto="propose")

    def proposing(state: State) -> Command[Literal["propose", "register", "conclude"]]:
        proposed, more = propose(run, state["round"])
        return Command(goto="register" if proposed else "propose" if more else "conclude")

    def registering(state: State) -> Command[Literal["test"]]:
        register_proposals(run, state["round"])
        return Command(goto="test")

    def testing(state: State) -> Command[Literal["interpret"]]:  # noqa: ARG001 - langgraph names it
        test_registered(run)
        return Command(goto="interpret")

    def interpreting(state: State) -> Command[Literal["propose", "conclude"]]:
        if run.config.proposer == "llm" and run.config.llm_style != "tools":  # who explores reads verdicts itself
            ask_for_prose(run, state["round"])
        more = state["round"] < rounds(run.config)
        return Command(goto="propose" if more else "conclude", update={"round": state["round"] + more})

    def concluding(state: State) -> None:  # noqa: ARG001 - langgraph names it
        explain(run)
        conclude(run)

    graph = StateGraph(State)
    graph.add_node("explore", exploring)
    graph.add_node("propose", proposing)
    graph.add_node("register", registering)
    graph.add_node("test", testing)
    graph.add_node("interpret", interpreting)
    graph.add_node("conclude", concluding)
    graph.add_edge(START, "explore")
    graph.add_edge("conclude", END)
    return graph.compile(checkpointer=checkpointer)


def investigate(
    behaviour: str,
    config: RunConfig | None = None,
    *,
    db: str = DEFAULT_DB,
    study: str | None = None,
    watcher: Watcher | None = None,
    llm: LLM | None = None,
    load: Callable[..., LoadedModel] = load_model,
    approver: Approver | None = None,
) -> Investigation:
    """Run one investigation to its end.

    Args:
        behaviour: a built-in's name, or a path to a behaviour file.
        config: everything else; see `RunConfig`.
        db: a path or SQLAlchemy URL; made if it does not exist.
        study: the family over which error is controlled; by default everything in the database.
        watcher: is told what happens; by default nobody is.
        llm: a language model to use instead of the one that `config` names.
        load: boots the model: `load_model`, or your own for a model it does not know.
        approver: is asked, with `config.approve`, before claims are registered; by default the review site is.

    Returns:
        The mechanism as far as it is confirmed, with the run's record as `run`.

    Raises:
        UserError: see its message.
        Stop: a limit was reached, or Ctrl-C; `resume` goes on.
        KeyboardInterrupt: a second Ctrl-C; `resume` goes on after that too.
    """
    watcher = watcher or Silent()
    config = with_proposer(config or RunConfig(), watcher.say, llm)
    if config.proposer == "llm" and llm is None:
        llm = language_model(config, watcher.say, answers(db))
    store = open_store(db, study=study, secret_seed=None if config.seed is None else str(config.seed))
    seed = str(config.seed) if config.seed is not None else secrets.token_hex(16)
    run_id, model = begin(store, behaviour, config, seed, load, watcher.say)
    run = Context(store, run_id, watcher, llm, model=model, load=load, approver=approver)
    return _go(run, "started", {})


def resume(
    run_id: int,
    *,
    db: str = DEFAULT_DB,
    watcher: Watcher | None = None,
    llm: LLM | None = None,
    limits: dict[str, Any] | None = None,
    load: Callable[..., LoadedModel] = load_model,
    approver: Approver | None = None,
) -> Investigation:
    """Go on with a run that was stopped or killed. What it spent stays spent.

    Args:
        limits: limits that replace the run's own, e.g. {"max_seconds": 600}; the change is logged.

    Raises:
        UserError, Stop: as `investigate`; also where the run has finished.
    """
    store = open_store(db, create=False, run=run_id)
    if store.run(run_id).status == "finished":
        raise UserError(f"Run {run_id} has finished; `lakatos log --run {run_id}` shows it.")
    run = Context(store, run_id, watcher or Silent(), llm, load=load, limits=limits or {}, approver=approver)
    return _go(run, "resumed", limits or {})


def _go(run: Context, how: str, limits: dict[str, Any]) -> Investigation:
    store, run_id = run.store, run.run_id
    store.event(run_id, how, {"limits": limits, "pid": os.getpid()})
    thread = {"configurable": {"thread_id": run.row.digest}, "recursion_limit": _MANY}
    try:
        if run.config.proposer == "llm":
            run.reach_llm()  # a wrong address is found before the model is loaded
        with run.interruptions.interruptible(), SqliteSaver.from_conn_string(str(checkpoints(store))) as saver:
            graph = build_graph(run, saver)
            waiting = bool(graph.get_state(thread).next)
            graph.invoke(None if waiting else State(run_id=run_id, round=1), thread)
    except Conflict as error:
        raise UserError(
            f"Another process is at work on run {run_id}: it has stored what this one was about to. "
            "Let it finish; nothing is lost or counted twice."
        ) from error
    except Stop as stop:
        store.event(run_id, "stopped", {"reason": str(stop)})
        raise
    except KeyboardInterrupt:
        store.event(run_id, "stopped", {"reason": "killed by Ctrl-C"})
        raise
    except StoreError:
        raise
    except UserError as error:
        if store.run(run_id).status == "running":  # otherwise the step has said so itself
            store.event(run_id, "failed", {"reason": str(error)})
        raise
    except Exception as error:  # a fault of ours, or the machine's: it keeps its type, and the step can be repeated
        store.event(run_id, "failed", {"reason": f"{type(error).__name__}: {error}"})
        raise
    finally:
        run.watcher.close()
    return Investigation.of(store, run_id)


def with_proposer(config: RunConfig, say: Callable[[str], None], llm: LLM | None = None) -> RunConfig:
    """Settings in which `auto` has become a proposer: a language model where one is named, else drill; says which.

    Args:
        say: is told which, and why.
        llm: a language model that is given.
    """
    if config.proposer != "auto":
        return config
    named = config.llm_model or (llm.name if llm is not None else None)
    if named is None:
        say("proposer: drill, because no language model is named (--llm-model NAME asks one)")
        return config.model_copy(update={"proposer": "drill"})
    say(f"proposer: llm, because {named} is named (--proposer drill needs none)")
    return config.model_copy(update={"proposer": "llm"})


def checkpoints(store: Store) -> Path:
    """Where the graph's checkpoints lie: beside a SQLite file, else in the working folder. No fact is in them."""
    database = store.engine.url.database if store.engine.dialect.name == "sqlite" else None
    return Path(f"{database or 'lakatos'}.graph")
