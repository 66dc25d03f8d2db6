"""What a run has at hand: the log, the model, the behaviour, its limits, and what this process has computed."""

from __future__ import annotations

import hashlib
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from lakatos.agent.config import Limits, RunConfig
from lakatos.agent.llm import LLM, Abandoned, language_model
from lakatos.agent.proposers import Explored
from lakatos.agent.watch import Watcher
from lakatos.experiments_db.log import Entry, asked, exploration_seed
from lakatos.experiments_db.store import Store
from lakatos.tools.behaviour import Behaviour
from lakatos.tools.errors import Stop, UserError
from lakatos.tools.experiment import EXPLORED, Sample, draw_prompts
from lakatos.tools.model import LoadedModel, load_model

_PAUSE_SECONDS = 0.5  # between two looks whether a paused run may go on


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
    ) -> None:
        self.store = store
        self.run_id = run_id
        self.watcher = watcher
        self.row = store.run_row(run_id)
        changed = Limits.checked(store.limits(run_id) | (limits or {}))
        self.config = RunConfig.model_validate(self.row.config | changed.model_dump(exclude_unset=True))
        self.behaviour = Behaviour.model_validate(self.row.behaviour_definition)
        self.controls = [Behaviour.model_validate(d) for d in self.row.controls.values()]
        self.stop_asked = False
        self._waits_for_answer = False
        self._paused = 0.0  # seconds that this process has waited because it was asked to
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
            self._llm = language_model(self.config, self.watcher.say)
        return self._llm

    def entries(self) -> list[Entry]:
        """This run's hypotheses with their official states, which are those of the whole study."""
        return self.store.hypotheses(self.run_id)

    def explored(self) -> Explored:
        """The exploration's findings, read from the log."""
        payload = self.findings()
        cfg = self.model.cfg
        gap = float(self._payload("checked")["gap"])
        return Explored(gap, payload["attributions"], self.behaviour.named_positions, cfg.n_layers, cfg.n_heads)

    def findings(self) -> dict[str, Any]:
        """The exploration event as it stands in the log."""
        return self._payload("explored")

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Ctrl-C asks the run to stop after the batch under way, and abandons a request; a second one kills it."""

        def ask(_signal: int, _frame: Any) -> None:
            if self.stop_asked:
                raise KeyboardInterrupt
            self.stop_asked = True
            if self._waits_for_answer:
                self.watcher.say("stopping: the request under way is abandoned (Ctrl-C again to kill)")
                raise Abandoned
            self.watcher.say("stopping after this batch (Ctrl-C again to kill; nothing that is stored would be lost)")

        try:
            before = signal.signal(signal.SIGINT, ask)
        except ValueError:  # not the main thread: a notebook or a server keeps its own handling
            yield
            return
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    @contextmanager
    def waiting_for_answer(self) -> Iterator[None]:
        """While a language model is asked: Ctrl-C does not wait for it.

        Raises:
            Abandoned: from whatever is under way within.
            Stop: the user asked before it began.
        """
        self._waits_for_answer = True
        try:
            if self.stop_asked:
                raise Stop("interrupted")
            yield
        finally:
            self._waits_for_answer = False

    def check_limits(self, tested: int | None = None) -> None:
        """Stop if the user asked, or a limit of the run is reached.

        Args:
            tested: how many tests are finished, where another is about to begin.

        Raises:
            Stop
        """
        self._obey()
        spent = self.store.run(self.run_id)
        limits: list[tuple[str, float | None, float]] = [
            ("--max-forwards", self.config.max_forwards, spent.forwards),
            ("--max-tokens", self.config.max_tokens, spent.tokens),
            ("--max-seconds", self.config.max_seconds, spent.seconds),
        ]
        if tested is not None:
            limits.append(("--max-tests", self.config.max_tests, tested))
        for flag, limit, used in limits:
            if limit is not None and used >= limit:
                raise Stop(f"the limit {flag} {limit:g} is reached ({used:,.0f} spent)")

    def going(self, phase: str, done: int, of: int) -> None:
        """Tell how far a phase has come, and stop if the user asked (Stop)."""
        self.watcher.phase(phase, done, of)
        self._obey()

    def _obey(self) -> None:
        """Stop (raises Stop) or wait, if that was asked here by Ctrl-C, or anywhere else through the log."""
        waiting = False
        while not self.stop_asked and (wish := asked(self.store, self.run_id)) is not None:
            if wish == "stop":
                raise Stop("asked to stop")
            if not waiting:
                self.watcher.say("paused, as was asked; `lakatos review` resumes it, Ctrl-C stops it")
                waiting = True
            time.sleep(_PAUSE_SECONDS)
            self._paused += _PAUSE_SECONDS
        if self.stop_asked:
            raise Stop("interrupted")
        if waiting:
            self.watcher.say("going on")

    def exploration(self, *, donors: bool) -> Sample:
        """The exploration pairs behind every constant: the same for all claims, and run once."""
        if donors not in self._samples:
            self._samples[donors] = draw_prompts(
                self.behaviour,
                self.controls,
                self.model.tokenizer,
                n=EXPLORED,
                skip=0,
                split="exploration",
                seeds=self._seed,
                donors=donors,
            ).on(self.model.bridge)
        return self._samples[donors]

    def _seed(self, purpose: str) -> int:
        return exploration_seed(self.row.seed, purpose)

    def _payload(self, kind: str) -> dict[str, Any]:
        event = self.store.event_of(self.run_id, kind)
        if event is None:
            raise LookupError(f"run {self.run_id} has no event {kind!r}")
        return event.payload

    def _fail(self, why: str, *, final: bool) -> NoReturn:
        """A behaviour that was looked at and dropped is part of the record; where that is final, no resuming helps."""
        self.store.event(self.run_id, "failed", {"reason": why, "final": final})
        raise UserError(why)

    def _log(self, kind: str, payload: dict[str, Any], forwards: float, began: float) -> None:
        self.store.event(self.run_id, kind, payload, forwards, self._clock() - began)

    def _clock(self) -> float:
        """Seconds, without those of pauses: a paused run spends nothing."""
        return time.monotonic() - self._paused


def null_seed(seed: str) -> int:
    """The seed of new weights, where a `null:` model names none."""
    return int(hashlib.sha256(f"{seed}|null".encode()).hexdigest()[:8], 16)
