"""The parts of `investigation.py`: registered claims, copies of their log, and a clock that tells phases apart."""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import wraps
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from lakatos.agent.config import RunConfig
from lakatos.agent.run import testing
from lakatos.agent.run.beginning import begin
from lakatos.agent.run.context import Context
from lakatos.agent.run.exploring import check, explore
from lakatos.agent.run.proposing import propose
from lakatos.agent.run.registering import register_proposals
from lakatos.agent.view import Proposal
from lakatos.agent.watch import Silent
from lakatos.experiments_db import open_store
from lakatos.experiments_db.log import Log, Reader
from lakatos.experiments_db.store import StudyReader
from lakatos.tools.behaviour import PromptPairs, encode
from lakatos.tools.experiment import Draw, measuring
from lakatos.tools.intervention import BatchRuns, engine
from lakatos.tools.intervention.audit import Audit
from lakatos.tools.intervention.stacks import Stacks
from lakatos.tools.model import LoadedModel

# Each function's time counts for the innermost phase it was called in, but for what controls call.
_TIMED: tuple[tuple[str, Any, str], ...] = (
    ("drawing", Draw, "draw"),
    ("base runs", engine._Measuring, "_of_base_runs"),
    ("interventions", Stacks, "measure"),
    ("audits", Audit, "check"),
    ("controls", measuring, "_run_controls"),
    ("rules", testing, "stopped"),
    ("rules", testing, "looks_ahead"),
    ("rules", testing, "e_process"),
    ("rules", testing, "conclude"),
    ("log", Log, "append"),
    ("log", Reader, "_read"),
    ("log", StudyReader, "hypotheses"),
)
PHASES = (*dict.fromkeys(phase for phase, _, _ in _TIMED), "rest")


def registered(
    path: Path, model: LoadedModel, behaviour: str, config: RunConfig, proposals: Sequence[Proposal] | None = None
) -> Context:
    """A run whose claims are registered and not tested: these, or where there are none what its proposer says."""
    secret = None if config.seed is None else str(config.seed)
    seed = secret or secrets.token_hex(16)
    store = open_store(str(path), secret_seed=secret)
    run_id, _ = begin(store, behaviour, config, seed, load=lambda *_, **__: model)
    run = Context(store, run_id, Silent(), model=model)
    check(run)
    if proposals is None:
        explore(run)
        propose(run, 1)
    else:
        store.propose(run_id, 1, proposals)
    register_proposals(run, 1)
    return run


def copied(run: Context, path: Path) -> Context:
    """The same run in a copy of its log."""
    source = run.store.engine.url.database
    assert source is not None
    with closing(sqlite3.connect(source)) as original, closing(sqlite3.connect(path)) as copy:
        original.backup(copy)
    return Context(open_store(str(path)), run.run_id, Silent(), model=run.model)


def verdicts(run: Context) -> Counter[str]:
    """How many tests ended how."""
    return Counter(entry.evidence.stop for entry in run.entries() if entry.evidence is not None)


def attainable(model: LoadedModel, pairs: PromptPairs) -> float:
    """Plain forward passes of clean prompts a second: batches of one length, the better of two rounds."""
    rounds = []
    with torch.no_grad():
        for _ in range(2):
            began = time.perf_counter()
            for batch in encode(pairs, model.tokenizer):
                model.bridge(torch.from_numpy(batch.clean).to(model.cfg.device), return_type="logits")
            rounds.append(time.perf_counter() - began)
    return len(pairs) / min(rounds)


class Clock:
    """Seconds and forward passes by phase, over all that runs within `running`."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.forwards: dict[str, float] = defaultdict(float)
        self._stack: list[str] = []
        self._since = 0.0

    @contextmanager
    def running(self, run: Context) -> Iterator[None]:
        """Time what is done within; forward passes that no phase claims are of the rest."""
        before, counted = run.store.run(run.run_id).forwards, sum(self.forwards.values())
        with ExitStack() as patches:
            for phase, owner, name in _TIMED:
                patches.enter_context(mock.patch.object(owner, name, self._timed(phase, getattr(owner, name))))
            with self._within("rest"):
                yield
        spent = run.store.run(run.run_id).forwards - before
        self.forwards["rest"] += spent - (sum(self.forwards.values()) - counted)

    def _timed(self, phase: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            own = "controls" if "controls" in self._stack else phase
            batch = _batch(args)
            before = _spent(batch)
            with self._within(own):
                found = function(*args, **kwargs)
            self.forwards[own] += _spent(batch) - before
            return found

        return timed

    @contextmanager
    def _within(self, phase: str) -> Iterator[None]:
        self._turn()
        self._stack.append(phase)
        try:
            yield
        finally:
            self._turn()
            self._stack.pop()

    def _turn(self) -> None:
        now = time.perf_counter()
        if self._stack:
            self.seconds[self._stack[-1]] += now - self._since
        self._since = now


def _batch(args: Sequence[Any]) -> BatchRuns | None:
    """The batch of prompts that a function of the engine works on."""
    for each in args:
        found = each if isinstance(each, BatchRuns) else getattr(getattr(each, "plan", each), "batch", None)
        if isinstance(found, BatchRuns):
            return found
    return None


def _spent(batch: BatchRuns | None) -> float:
    if batch is None:
        return 0.0
    return batch.forwards + sum(run.passes for run in batch._recordings.values()) / float(batch.model.cfg.n_layers)
