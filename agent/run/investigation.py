"""The steps of a run. Each reads what the log already holds and appends what is missing, so that a step can be repeated
after a crash, a kill or a stop without doing anything twice.
"""

from __future__ import annotations

import hashlib
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import numpy as np

from lakatos.agent.config import Limits, RunConfig
from lakatos.agent.llm import LLM, Abandoned, language_model
from lakatos.agent.proposers import Explored, Proposal, at_random, from_attribution, from_file, to_replicate
from lakatos.agent.run.asking import ask_for_proposals
from lakatos.agent.run.registering import may_need_donors
from lakatos.agent.watch import Watcher
from lakatos.experiments_db import models as m
from lakatos.experiments_db.control import asked
from lakatos.experiments_db.correction import OFFICIAL
from lakatos.experiments_db.records import Entry
from lakatos.experiments_db.store import Store, exploration_seed
from lakatos.tools.behaviour import Behaviour, load_behaviour, load_controls, readiness_problems, told
from lakatos.tools.claim import AnyClaim
from lakatos.tools.environment import environment
from lakatos.tools.errors import Stop, UserError
from lakatos.tools.experiment import EXPLORED, Presence, Sample, draw_prompts, measure_presence
from lakatos.tools.model import LoadedModel, load_model

_PAUSE_SECONDS = 0.5  # between two looks whether a paused run may go on


class Investigation:
    """A run in progress: the log, the model, the behaviour, and what has been computed in this process."""

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
                self.config.model, device=self.config.device, seed=_null_seed(self.row.seed), say=self.watcher.say
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

    # -- steps -------------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Does the model show the behaviour at all? The figures are logged either way.

        Raises:
            UserError: it does not, and the run was not told to go on all the same.
        """
        if self._event("checked") is None:
            began = self._clock()
            problems = readiness_problems(
                self.behaviour,
                {control.name: control for control in self.controls},
                self.model.tokenizer,
                max_pairs=self.config.max_pairs,
                explored=self.config.attribution_pairs,
                donors=may_need_donors(self),
            )
            if problems:
                listed = "\n- ".join(told(problems))
                self._fail(f"{self.behaviour.name} cannot be investigated on {self.row.model}:\n- {listed}", final=True)
            try:
                presence, forwards = measure_presence(self.model.bridge, self.exploration(donors=False).runs)
            except FloatingPointError as error:
                self._fail(f"{self.row.model} cannot be measured on {self.behaviour.name}: {error}", final=True)
            self._log("checked", presence._asdict(), forwards, began)
        presence = Presence(**self._payload("checked"))
        self.watcher.say(f"{self.behaviour.name} on {self.row.model}: {presence.text}")
        if not presence.present and not self.config.allow_absent:
            self._fail(
                f"{self.row.model} does not show {self.behaviour.name}: {presence.text}. "
                "A mechanism for it would be a story about noise. --allow-absent goes on all the same.",
                final=True,
            )

    def explore(self) -> None:
        """Attribution patching, direct logit attribution and attention by role, on exploration pairs."""
        from lakatos.tools.exploration import attention_by_role, attribution_patching, direct_logit_attribution

        if self._event("explored") is not None:
            return
        began = self._clock()
        bridge = self.model.bridge
        pairs = self.behaviour.sample(self.config.attribution_pairs, self._seed("attribution"), "exploration")
        attributions = attribution_patching(
            bridge, pairs, progress=lambda done, of: self.going("attribution patching", done, of)
        )
        self.watcher.phase("direct logit attribution", 0, 1)
        try:
            direct = [row.as_dict() for row in direct_logit_attribution(bridge, pairs)]
            unavailable = None
        except (ValueError, NotImplementedError, RuntimeError, KeyError, AttributeError) as error:
            direct, unavailable = [], f"{type(error).__name__}: {str(error).splitlines()[0]}"
            self.watcher.say(f"direct logit attribution is not available for this model: {unavailable}")
        payload = {
            "pairs": len(pairs),
            "attributions": [row.as_dict() for row in attributions],
            "direct": direct,
            "direct_unavailable": unavailable,
            "attention": [row.as_dict() for row in attention_by_role(bridge, pairs)[:400]],
            "exemplars": self._exemplars(),
        }
        self._log(
            "explored", payload, forwards=6.0 * len(pairs), began=began
        )  # 3 forwards, a backward worth 2, a cache
        self.watcher.say(f"explored {len(pairs)} pairs: {len(attributions)} attributions")

    def propose(self, round_: int) -> int:
        """Ask the proposer; every proposal becomes a row, word for word. Returns how many there are."""
        where = (m.Proposal.run_id == self.run_id, m.Proposal.round == round_)
        already = self.store.all(m.Proposal, *where)
        if already:
            return len(already)
        call_id = None
        if self.config.proposer == "llm":
            proposals, call_id = ask_for_proposals(self, round_)
        else:
            proposals = self._propose(round_)

        def build(append: Any) -> None:
            for place, proposal in enumerate(proposals):
                append.add(
                    m.Proposal(run_id=self.run_id, round=round_, place=place, proposal=proposal, llm_call_id=call_id)
                )

        if proposals:
            self.store.append(build)
        return len(proposals)

    def conclude(self) -> None:
        """Note the verdicts as they stand."""
        if self._event("finished") is None:
            with self.store.snapshot() as log:
                entries, head = log.hypotheses(self.run_id), log.ledger_head()
            payload = {
                "method": OFFICIAL,
                "confirmed": [e.id for e in entries if e.state == "confirmed"],
                "ledger_head": head,
            }
            self.store.event(self.run_id, "finished", payload)

    # -- what steps share --------------------------------------------------------------------------------------------

    def entries(self) -> list[Entry]:
        """This run's hypotheses with their official states, which are those of the whole study."""
        return self.store.hypotheses(self.run_id)

    def _confirmed(self) -> list[tuple[str, AnyClaim]]:
        """What the study has confirmed of this behaviour and model, but for what is a replication itself."""
        return [
            (e.text, e.claim)
            for e in self.store.hypotheses()
            if e.state == "confirmed"
            and e.claim.kind != "generalisation"
            and (e.record["weights"], e.record["behaviour_hash"]) == (self.row.weights, self.row.behaviour_hash)
        ]

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

    def _propose(self, round_: int) -> list[Proposal]:
        config = self.config
        if config.proposer == "file":
            return from_file(config.claims) if round_ == 1 else []
        if config.proposer == "random":
            return at_random(self.explored(), config.hypotheses, config.threshold, f"{self.row.seed}:{round_}")
        if config.proposer == "replication":
            try:
                return to_replicate(self._confirmed(), list(self.behaviour.families), config.hypotheses)
            except UserError as error:
                self._fail(str(error), final=False)
        return from_attribution(self.explored(), config.hypotheses, config.threshold) if round_ == 1 else []

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

    def _exemplars(self) -> list[dict[str, Any]]:
        """Exploration pairs to look at: a random draw, and some by quantile of the metric. Never only the best."""
        runs = self.exploration(donors=False).runs
        clean = np.concatenate([b.base_metric("clean", "logit_diff", "clean") for b in runs.batches])
        places = np.concatenate([b.batch.index for b in runs.batches])
        ranked = places[np.argsort(clean)]
        metric = dict(zip(places.tolist(), clean.tolist(), strict=True))
        quantiles = {"hardest": 0, "lower quartile": len(ranked) // 4, "median": len(ranked) // 2, "easiest": -1}
        chosen = [("random", place) for place in range(4)]  # the stream is a random draw: its first four are one
        chosen += [(name, int(ranked[k])) for name, k in quantiles.items()]
        return [
            {
                "choice": choice,
                "clean": runs.pairs[place].clean,
                "corrupted": runs.pairs[place].corrupted,
                "answer": runs.pairs[place].answer,
                "wrong": runs.pairs[place].wrong,
                "clean_metric": float(metric[place]),
            }
            for choice, place in chosen
        ]

    def _seed(self, purpose: str) -> int:
        return exploration_seed(self.row.seed, purpose)

    def _event(self, kind: str) -> m.Event | None:
        found = self.store.all(m.Event, m.Event.run_id == self.run_id, m.Event.kind == kind)
        return found[-1] if found else None

    def _payload(self, kind: str) -> dict[str, Any]:
        event = self._event(kind)
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
    model = load(config.model, device=config.device, seed=_null_seed(seed), say=say)
    row = store.add(
        m.Run(
            study_id=store.study.id,
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
    )
    return row.id, model


def _null_seed(seed: str) -> int:
    return int(hashlib.sha256(f"{seed}|null".encode()).hexdigest()[:8], 16)
