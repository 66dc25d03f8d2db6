"""The steps of a run. Each reads what the log already holds and appends what is missing, so that a step can be repeated
after a crash, a kill or a stop without doing anything twice.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lakatos.agent.proposers import Proposal, at_random, from_attribution, from_file, to_replicate
from lakatos.agent.run.asking import ask_for_proposals
from lakatos.agent.run.context import Context
from lakatos.agent.run.registering import may_need_donors
from lakatos.experiments_db.verdict import OFFICIAL
from lakatos.tools.behaviour import readiness_problems, told
from lakatos.tools.claim import AnyClaim
from lakatos.tools.errors import UserError
from lakatos.tools.experiment import Presence, measure_presence


class Investigation(Context):
    """A run in progress, with its steps."""

    def check(self) -> None:
        """Does the model show the behaviour at all? The figures are logged either way.

        Raises:
            UserError: it does not, and the run was not told to go on all the same.
        """
        if self.store.event_of(self.run_id, "checked") is None:
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

        if self.store.event_of(self.run_id, "explored") is not None:
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
        already = self.store.proposals(self.run_id, round_)
        if already:
            return len(already)
        call_id = None
        if self.config.proposer == "llm":
            proposals, call_id = ask_for_proposals(self, round_)
        else:
            proposals = self._propose(round_)

        if proposals:
            self.store.propose(self.run_id, round_, proposals, call_id)
        return len(proposals)

    def conclude(self) -> None:
        """Note the verdicts as they stand."""
        if self.store.event_of(self.run_id, "finished") is None:
            with self.store.snapshot() as log:
                entries, head = log.hypotheses(self.run_id), log.ledger_head()
            payload = {
                "method": OFFICIAL,
                "confirmed": [e.id for e in entries if e.state == "confirmed"],
                "ledger_head": head,
            }
            self.store.event(self.run_id, "finished", payload)

    def _confirmed(self) -> list[tuple[str, AnyClaim]]:
        """What the study has confirmed of this behaviour and model, but for what is a replication itself."""
        return [
            (e.text, e.claim)
            for e in self.store.hypotheses()
            if e.state == "confirmed"
            and e.claim.family is None
            and (e.prediction.weights, e.prediction.behaviour_hash) == (self.row.weights, self.row.behaviour_hash)
        ]

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
