"""Going on with tests that ended without a confirmation: on fresh prompts, from the e-values that they had."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Final

from lakatos.agent.run.context import Context
from lakatos.agent.run.testing import finish_tests
from lakatos.agent.watch import Silent, Watcher
from lakatos.experiments_db.log import Conflict, Entry
from lakatos.experiments_db.store import open_store
from lakatos.tools.errors import UserError
from lakatos.tools.model import LoadedModel, load_model

_UNLIMITED: Final[dict[str, None]] = {  # the run's own limits were for the run
    "max_tests": None,
    "max_forwards": None,
    "max_seconds": None,
}


def extend(
    hypotheses: Sequence[str],
    pairs: int | None = None,
    *,
    db: str,
    study: str | None = None,
    watcher: Watcher | None = None,
    load: Callable[..., LoadedModel] = load_model,
) -> list[Entry]:
    """Give tests further pairs, and run them. Those that ask about the same prompts share them.

    Args:
        hypotheses: of each the number, or the beginning of its claim hash.
        pairs: how many more each may use; None: only go on with what was extended before and has not ended.
        watcher: is told what happens; by default nobody is.
        load: boots the model: `load_model`, or your own.

    Returns:
        The hypotheses as they stand afterwards.

    Raises:
        UserError: one of them cannot be extended (nothing is appended then), the model cannot be loaded, or
            another process is at work on them.
        Stop: Ctrl-C; without `pairs` the same call goes on.
    """
    store, told = open_store(db, study=study, create=False), watcher or Silent()
    entries = [store.hypothesis(key) for key in dict.fromkeys(hypotheses)]
    reopened = [e for e in entries if e.extensions and e.evidence is None]
    if pairs is None and len(reopened) < len(entries):
        raise UserError("Say with --pairs how many more pairs a test may use: `lakatos extend 5 --pairs 128`.")
    runs: dict[int, list[int]] = defaultdict(list)
    for entry in entries:
        runs[entry.run_id].append(entry.id)
    contexts = {run_id: Context(store, run_id, told, load=load, limits=dict(_UNLIMITED)) for run_id in runs}
    for context in contexts.values():
        context.load()  # before anything is appended
    fresh = [entry for entry in entries if entry not in reopened]
    granted = [store.extension(entry, pairs or 0) for entry in fresh]
    try:
        for entry, more in zip(fresh, granted, strict=True):
            store.extend(entry, more)
            told.say(f"{entry.id}: {more} more pairs for {entry.text}")
        for run_id, ids in runs.items():
            with contexts[run_id].interruptions.interruptible():
                finish_tests(contexts[run_id], ids)
    except Conflict as error:
        raise UserError(
            "Another process is at work on these hypotheses: it has stored what this one was about to. "
            "Let it finish; nothing is lost or counted twice."
        ) from error
    return [store.hypothesis(str(entry.id)) for entry in entries]
