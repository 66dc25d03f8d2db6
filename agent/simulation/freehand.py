"""What an agent can do where nothing is registered: any prompts, as often as it likes, and an ordinary t-test.

Nothing here is offered by the public interface. It is what the protocol is compared with (`agents.py`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lakatos.agent.simulation.laboratory import WEIGHTS
from lakatos.agent.simulation.world import BEHAVIOUR, GAP, THRESHOLD, WORDS, Floats, World, place
from lakatos.experiments_db.verdict import Slot
from lakatos.tools.claim import NodeEffect, atoms
from lakatos.tools.statistics import BATCH, MIN_EXPLORATION, clip, e_path, scale

FEWEST = 8  # prompts, before anybody looks
Numbers = tuple[float, float]  # p, e


@dataclass(frozen=True)
class Looks:
    """The effect of a claim on some prompts, [n], in logits beyond delta; and its e-value after each of them."""

    beyond: Floats
    e: Floats

    @property
    def last(self) -> Numbers:
        """After all prompts."""
        return float(t_test(self.beyond.sum(), (self.beyond**2).sum(), self.beyond.size)), float(self.e[-1])

    @property
    def best(self) -> Numbers:
        """The smallest p and the largest e of a look after every prompt: what stopping where it looks best reports."""
        n = np.arange(FEWEST, self.beyond.size + 1)
        total, squares = np.cumsum(self.beyond), np.cumsum(self.beyond**2)
        return float(t_test(total[FEWEST - 1 :], squares[FEWEST - 1 :], n).min()), float(self.e[FEWEST - 1 :].max())


class Freehand:
    """A study without a log.

    Args:
        world: where effects come from.
        slots: how many claims are reported.
        n_max: prompts of an ordinary test.
        seed: of the prompts.
        planned: how many claims would have been planned, for the weights of slots.
        own_streams: whether an honest agent draws prompts for every claim.
    """

    def __init__(
        self,
        world: World,
        slots: int,
        n_max: int,
        seed: Sequence[int],
        planned: int | None = None,
        own_streams: bool = False,
    ) -> None:
        self.world, self.slots, self.n_max, self.planned, self.own_streams = world, slots, n_max, planned, own_streams
        self.reported: list[Slot] = []
        self.true: dict[int, bool] = {}
        self.prompts: dict[int, int] = {}
        self._rng = np.random.default_rng(seed)
        self._explored = [place(pair) for pair in BEHAVIOUR.sample(MIN_EXPLORATION, world.seed)]

    def explore(self, components: Sequence[str]) -> Floats:
        """The effects of the components on the exploration prompts, in logits."""
        return self.world.effect(components, "exploration")[self._explored]

    def draw(self, n: int) -> list[int]:
        """So many prompts."""
        return [int(k) for k in self._rng.choice(WORDS * WORDS, n, replace=False)]

    def look(self, components: Sequence[str], prompts: Sequence[int], direction: str = "supports") -> Looks:
        """Measure the effect of the components on these prompts, in a direction."""
        sign, delta = (1.0 if direction == "supports" else -1.0), THRESHOLD * GAP
        effect = sign * self.world.effect(components, "confirmation")[prompts]
        s = scale(self.explore(components), margin=delta)
        return Looks(effect - delta, e_path(clip(effect, s), delta / s))

    def report(self, components: Sequence[str], found: Numbers, prompts: int, **fields: Any) -> None:
        """Report a claim with its p and e, and the prompts that were spent on it."""
        claim = NodeEffect(**{"components": tuple(components), "threshold": THRESHOLD, **fields})
        number = len(self.reported) + 1
        p, e = found
        self.reported.append(
            Slot(
                id=number,
                run_id=1,
                slot=number,
                kind=claim.kind,
                behaviour=BEHAVIOUR.name,
                behaviour_hash=BEHAVIOUR.hash,
                weights=WEIGHTS,
                subject="+".join(claim.components),
                atoms=atoms(claim, self.world.shape.n_heads),
                batches=prompts // BATCH,
                stop="exhausted",
                frozen_e=e,
                frozen_p=p,
                planned=self.planned,
            )
        )
        self.true[number], self.prompts[number] = self.world.holds(claim), prompts


def t_test(total: Any, squares: Any, n: Any) -> Floats:
    """One-sided p-values of Student's t-test of "the mean exceeds 0", from sums and sums of squares of n >= 2 numbers.

    The tail is that of the normal distribution at Wallace's transform of t (Annals of Mathematical Statistics 30,
    1959): within a tenth of p from eight numbers on, where p is above .0001.
    """
    freedom = np.asarray(n) - 1
    variance = np.maximum(squares - total**2 / n, np.finfo(float).eps) / freedom
    t = total / np.sqrt(n * variance)
    z = (8 * freedom + 1) / (8 * freedom + 3) * np.sqrt(freedom * np.log1p(t**2 / freedom)) * np.sign(t)
    return np.array([0.5 * math.erfc(value / math.sqrt(2)) for value in np.ravel(z)]).reshape(np.shape(z))
