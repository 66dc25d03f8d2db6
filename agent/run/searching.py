"""A run's exploration prompts, open to its proposer: what interventions, edges and claims show on them."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lakatos.agent.run.context import Context
from lakatos.agent.view import WantedPairs
from lakatos.tools.behaviour import Exhausted, PromptPair, PromptPairs
from lakatos.tools.claim import AnyClaim
from lakatos.tools.component import Component
from lakatos.tools.errors import Stop, UserError
from lakatos.tools.experiment import Probed, Sample, draw_prompts, probe
from lakatos.tools.intervention import Base, Effects, Intervention, Runs, run_interventions

if TYPE_CHECKING:
    from lakatos.tools.exploration import Answered, HeadScores, LensRow

_LOOKED_THROUGH = 2_000  # pairs of the stream, for those that are asked for
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
        """Since it began, or since what it cost was last taken into the log."""
        return self._run.interruptions.clock() - self._began

    def taken(self) -> tuple[float, float]:
        """Forward passes and seconds that are not in the log yet; whoever asks appends them."""
        cost = self.forwards, self.seconds
        self.forwards, self._began = 0.0, self._run.interruptions.clock()
        return cost

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

    def answers(self, asked: Sequence[WantedPairs]) -> list[Answered]:
        """What the model answers to so many exploration prompts (`view.Searching.answers`).

        Raises:
            Stop: see `effects`.
        """
        from lakatos.tools.exploration import model_answers

        self._going("asking the model", 0, 1)
        found, shown = list[PromptPair](), set[str]()
        for wanted in asked:
            found = list(itertools.islice(self._wanted(wanted, shown if wanted.new else set()), wanted.n))
            shown |= {pair.uid for pair in found}
        self.forwards += 2.0 * len(found)
        pairs = replace(self._run.behaviour.sample(0, 0, "exploration"), pairs=tuple(found))
        return model_answers(self._run.model.bridge, pairs) if found else []

    def _wanted(self, wanted: WantedPairs, without: Collection[str]) -> Iterator[PromptPair]:
        """Pairs of a random draw as they are wanted, but for those that were shown."""
        return (
            pair
            for pair in self._looked_through
            if wanted.template in (None, pair.template)
            and all(word in pair.clean for word in wanted.containing)
            and pair.uid not in without
        )

    @cached_property
    def _looked_through(self) -> list[PromptPair]:
        found = list[PromptPair]()
        with suppress(Exhausted):
            for pair in self._run.behaviour.stream(self._run.seed(f"{_PURPOSE}:answers"), "exploration"):
                found.append(pair)
                if len(found) == _LOOKED_THROUGH:
                    break
        return found

    def attention(self, heads: Sequence[Component]) -> list[dict[tuple[str, str], float]]:
        """Where heads look (`exploration.attention_between`).

        Raises:
            Stop: see `effects`.
            UserError: the model does not show its attention.
        """
        from lakatos.tools.exploration import attention_between

        self._going("where heads look", 0, 1)
        self.forwards += len(self._drawn[0])
        with _shown("attention patterns"):
            return attention_between(self._run.model.bridge, self._drawn[0], heads)

    def lens(self, position: str) -> list[LensRow]:
        """What the residual stream would answer at a named position (`exploration.logit_lens`).

        Raises:
            Stop: see `effects`.
        """
        from lakatos.tools.exploration import logit_lens

        self._going("logit lens", 0, 1)
        self.forwards += len(self._drawn[0])
        return logit_lens(self._run.model.bridge, self._drawn[0], position)

    @cached_property
    def head_scores(self) -> list[HeadScores]:
        """Every head's scores (`exploration.head_scores`).

        Raises:
            Stop: see `effects`.
            UserError: the model does not show its attention.
        """
        from lakatos.tools.exploration import head_scores

        self._going("scores of heads", 0, 1)
        self.forwards += 4.0
        with _shown("attention patterns"):
            return head_scores(self._run.model.bridge)

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


@contextmanager
def _shown(what: str) -> Iterator[None]:
    """Not every architecture shows all that is asked for. Raises UserError where it does not."""
    try:
        yield
    except KeyError as error:
        raise UserError(f"this model does not show its {what} ({error})") from error
