"""A run's exploration prompts, open to its proposer: what interventions, edges and claims show on them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lakatos.agent.run.context import Context
from lakatos.tools.behaviour import PromptPairs
from lakatos.tools.claim import AnyClaim
from lakatos.tools.component import Component
from lakatos.tools.errors import Stop, UserError
from lakatos.tools.experiment import Probed, Sample, draw_prompts, probe
from lakatos.tools.intervention import Base, Effects, Intervention, Runs, run_interventions

PAIRS = 16  # exploration pairs of every measurement here
_EDGE_PAIRS = 4
_PURPOSE = "search"


class Searching:
    """Measures on exploration prompts that no constant of a test comes from; counts what that costs.

    Nothing here is evidence, and nothing here knows a seed of a confirmation prompt.
    """

    def __init__(self, run: Context) -> None:
        self._run = run
        self._began = run.interruptions.clock()
        self.forwards = 0.0  # forward passes of one prompt that are not in the log yet

    @property
    def seconds(self) -> float:
        """Since it began."""
        return self._run.interruptions.clock() - self._began

    @cached_property
    def gap(self) -> float:
        """What thresholds are fractions of: the gap, or the sd of the clean metric where that is larger; in logits."""
        shown = self._measured([], "clean")
        return max(float((shown.clean - shown.corrupted).mean()), float(shown.clean.std(ddof=1)))

    def effects(self, interventions: Sequence[Intervention], base: Base) -> NDArray[np.float64]:
        """How far each intervention moves the metric, as a fraction of the gap: [n_interventions, n_pairs].

        Restored on the corrupted run, lost on the clean one. Resample ablation has donors of its own.

        Raises:
            Stop: a limit of the run is reached, or the user interrupted.
        """
        shown = self._measured(interventions, base)
        moved = shown.values - shown.corrupted if base == "corrupted" else shown.clean - shown.values
        return np.asarray(moved / self.gap)

    def kept(self, circuits: Sequence[Sequence[Component]]) -> list[float]:
        """The share of the model's metric that each circuit keeps, everything else being resampled.

        Raises:
            Stop: see `effects`.
        """
        shown = self._measured([Intervention(tuple(c), "resample", keep=True) for c in circuits], "clean")
        return [float(row.mean() / shown.clean.mean()) for row in shown.values]

    def probe(self, claims: Sequence[AnyClaim]) -> list[Probed | None]:
        """Each claim's whole battery; None: the model or the behaviour has not what it is about.

        Raises:
            Stop: see `effects`.
        """
        found = []
        for number, claim in enumerate(claims):
            self._going("probing claims", number, len(claims))
            shown = probe(claim, self._run.model.bridge, self._sample, self.gap, f"{self._run.row.seed}:{_PURPOSE}")
            self.forwards += shown.forwards if shown else 0.0
            found.append(shown)
        return found

    @cached_property
    def edges(self) -> dict[str, dict[str, float]]:
        """Edge attribution: sender -> receiver -> mean score, as a fraction of the gap; {} where it cannot be had.

        Raises:
            Stop: see `effects`.
        """
        from lakatos.tools.exploration import edge_attribution

        pairs = self._drawn[0][:_EDGE_PAIRS]
        try:
            found = edge_attribution(self._run.model.bridge, pairs, progress=lambda k, n: self._going("edges", k, n))
        except (UserError, FloatingPointError) as error:
            self._run.watcher.say(f"paths are not searched for: {error}")
            return {}
        self.forwards += 6.0 * len(pairs)  # two forwards, a backward worth two, and each receiver's own
        mean = found.scores.mean(0) / self.gap
        return {
            sender: {r: float(mean[k, j]) for j, r in enumerate(found.receivers) if found.downstream[k, j]}
            for k, sender in enumerate(found.senders)
        }

    def stepping_in(self, missing: Sequence[Component]) -> list[dict[Component, float]]:
        """For each missing component: how much more later ones write towards the answer (`exploration.stepping_in`).

        Raises:
            Stop: see `effects`.
        """
        from lakatos.tools.exploration import stepping_in

        self._going("who steps in", 0, 1)
        pairs, donors = self._drawn
        self.forwards += (2.0 + len(missing)) * len(pairs)
        return stepping_in(self._run.model.bridge, pairs, donors, missing)

    @cached_property
    def _drawn(self) -> tuple[PromptPairs, PromptPairs]:
        """The prompts, and a donor for each."""
        prompts = draw_prompts(
            self._run.behaviour,
            [],
            self._run.model.tokenizer,
            n=PAIRS,
            skip=0,
            split="exploration",
            seeds=lambda purpose: self._run.seed(f"{_PURPOSE}:{purpose}"),
            donors=True,
        ).prompts
        assert prompts.donors is not None
        return prompts.pairs, prompts.donors

    @cached_property
    def _sample(self) -> Sample:
        return Sample(Runs(self._run.model.bridge, *self._drawn), {})

    def _measured(self, interventions: Sequence[Intervention], base: Base) -> Effects:
        shown = run_interventions(
            self._run.model.bridge,
            self._sample.runs,
            list(interventions),
            base=base,
            progress=lambda done, of: self._going("looking closer", done, of),
        )
        self.forwards += shown.forwards
        return shown

    def _going(self, phase: str, done: int, of: int) -> None:
        self._run.going(phase, done, of)
        limit = self._run.config.max_forwards
        if limit is not None and self._run.store.run(self._run.run_id).forwards + self.forwards >= limit:
            raise Stop(f"the limit --max-forwards {limit:g} is reached while searching")
