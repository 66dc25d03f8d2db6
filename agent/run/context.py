"""What a run has at hand: the log, the model, the behaviour, its limits, and what this process has computed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from lakatos.agent.config import Limits, RunConfig
from lakatos.agent.llm import LLM, language_model
from lakatos.agent.run.interruptions import Interruptions
from lakatos.agent.view import Proposal
from lakatos.agent.watch import Watcher
from lakatos.experiments_db.log import Conflict, Entry, exploration_seed
from lakatos.experiments_db.store import Store
from lakatos.tools.behaviour import Behaviour
from lakatos.tools.errors import UserError
from lakatos.tools.experiment import EXPLORED, Sample, draw_prompts
from lakatos.tools.model import LoadedModel, load_model


class Context:
    """A run in progress, as each of its steps sees it."""

    def __init__(
        self,
        store: Store,
        run_id: int,
        watcher: Watcher,
        llm: LLM | None = None,
        *,
        model: LoadedModel | None = None,
        load: Callable[..., LoadedModel] = load_model,
        limits: dict[str, Any] | None = None,
        approver: Callable[[str, Sequence[Proposal]], tuple[str, list[Proposal]]] | None = None,
    ) -> None:
        self.store = store
        self.run_id = run_id
        self.watcher = watcher
        self.approver = approver  # who is asked before claims are registered; None: whoever looks at the review site
        self.row = store.run_row(run_id)
        changed = Limits.checked(store.limits(run_id) | (limits or {}))
        self.config = RunConfig.model_validate(self.row.config | changed.model_dump(exclude_unset=True))
        self.behaviour = Behaviour.model_validate(self.row.behaviour_definition)
        self.controls = [Behaviour.model_validate(d) for d in self.row.controls.values()]
        self.interruptions = Interruptions(store, run_id, self.config, watcher.say)
        self._llm = llm
        self._model = model
        self._load = load
        self._samples: dict[bool, Sample] = {}

    def load(self) -> LoadedModel:
        """Boot the run's model if that has not happened: before any step in which an error would count as a result.

        Raises:
            UserError: it cannot be loaded, or its weights are not those that the run began with.
        """
        if self._model is None:
            model = self._load(
                self.config.model, device=self.config.device, seed=null_seed(self.row.seed), say=self.watcher.say
            )
            if model.weight_hash != self.row.weights:
                raise UserError(f"{self.config.model} has other weights now than when run {self.run_id} began.")
            self._model = model
        return self._model

    @property
    def model(self) -> LoadedModel:
        """The run's model (see `load`)."""
        return self.load()

    @property
    def llm(self) -> LLM:
        """The language model of `--proposer llm` (see `reach_llm`)."""
        return self.reach_llm()

    def reach_llm(self) -> LLM:
        """Find the run's language model, if that has not happened.

        Raises:
            UserError: its address or its key is wrong.
        """
        if self._llm is None:
            # a run that failed for want of a usable answer is not given the unusable ones again
            anew = any("attempts" in event.payload for event in self.store.events(self.run_id, "failed"))
            kept = answers(str(self.store.engine.url.database or ""))
            self._llm = language_model(self.config, self.watcher.say, kept, anew)
        return self._llm

    def entries(self) -> list[Entry]:
        """This run's hypotheses with their official states, which are those of the whole study."""
        return self.store.hypotheses(self.run_id)

    def check_limits(self, tested: int | None = None) -> None:
        """Stop (raises Stop) if the user asked, or a limit is reached; see `Interruptions.check`."""
        self.interruptions.check(tested)

    def check_alone(self) -> None:
        """Raises Conflict: another process has gone on with the run since this one began."""
        newest = self.store.events(self.run_id, "started", "resumed")[-1]
        if newest.payload["pid"] != os.getpid():
            raise Conflict(f"process {newest.payload['pid']} goes on with run {self.run_id}")

    def going(self, phase: str, done: int, of: int) -> None:
        """Tell how far a phase has come, and stop if the user asked (Stop)."""
        self.watcher.phase(phase, done, of)
        self.interruptions.obey()

    def exploration(self, *, donors: bool) -> Sample:
        """The exploration pairs behind every constant: the same for all claims, and run once."""
        if donors not in self._samples:
            drawn = draw_prompts(
                self.behaviour,
                self.controls,
                self.model.tokenizer,
                n=EXPLORED,
                skip=0,
                split="exploration",
                seeds=self.seed,
                donors=donors,
            )
            plain = self.exploration(donors=False) if donors else None
            self._samples[donors] = drawn.on(self.model.bridge) if plain is None else drawn.added_to(plain)
        return self._samples[donors]

    def seed(self, purpose: str) -> int:
        """The seed of one of its exploration streams."""
        return exploration_seed(self.row.seed, purpose)

    def payload(self, kind: str) -> dict[str, Any]:
        """What the newest event of this kind says. Raises LookupError: there is none."""
        event = self.store.event_of(self.run_id, kind)
        if event is None:
            raise LookupError(f"run {self.run_id} has no event {kind!r}")
        return event.payload

    def fail(self, why: str, *, final: bool) -> NoReturn:
        """A behaviour that was looked at and dropped is part of the record; where that is final, no resuming helps."""
        self.store.event(self.run_id, "failed", {"reason": why, "final": final})
        raise UserError(why)

    def log(self, kind: str, payload: dict[str, Any], forwards: float, began: float) -> None:
        """Append what a step showed, with what it cost; `began` is by `Interruptions.clock`."""
        self.store.event(self.run_id, kind, payload, forwards, self.interruptions.clock() - began)


def answers(db: str) -> Path:
    """Where a language model's answers are kept: beside a SQLite file, else in the working folder."""
    local = db.removeprefix("sqlite:///")
    return Path(f"{local if local and '://' not in local else 'lakatos'}.answers")


def null_seed(seed: str) -> int:
    """The seed of new weights, where a `null:` model names none."""
    return int(hashlib.sha256(f"{seed}|null".encode()).hexdigest()[:8], 16)
