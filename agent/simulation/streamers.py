"""Agents that cheat with streams of prompts, and one that extends every test for as long as it may.

As in `agents.py`: `guarded` through the protocol, `unguarded` without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from lakatos.agent.simulation.agents import (
    LEVEL,
    TRIES,
    VARIANTS,
    register_best,
    registered,
    score,
    seen_direction,
)
from lakatos.agent.simulation.freehand import Freehand
from lakatos.agent.simulation.laboratory import Laboratory
from lakatos.agent.simulation.world import THRESHOLD
from lakatos.tools.statistics import BATCH

SUBSET = 5  # claims for which a splitter opens a stream
LOOKED = 4  # draws that a joiner has seen when it chooses
EXTENSIONS = 4  # of one test
SMALL = 0.01  # about what BH asks of p where a fifth of the claims are true


class Joiner:
    """Fits claims to the first four draws of an opened stream, and wants them tested on that stream.

    Half of its claims are registered when the stream is opened. The database lets none of the others join: they get a
    stream of their own. Unguarded, they are tested on all prompts of the first stream.
    """

    def guarded(self, lab: Laboratory) -> None:
        tested = registered(lab, lab.world.candidates[: lab.slots // 2])
        late: list[int] = []

        def join(hypothesis: int, n: int, _e: float) -> None:
            if hypothesis == tested[-1] and n == LOOKED * BATCH:
                late.extend(register_best(lab, tested))
                opened = lab.stream_of(hypothesis)
                assert opened is not None
                for claim in late:
                    lab.attempt(partial(lab.take, claim, opened))
                    lab.attempt(partial(_open, lab, [*tested, claim]))

        lab.test(tested, join)
        lab.test(late)

    def unguarded(self, study: Freehand) -> None:
        prompts, half = study.draw(study.n_max), study.slots // 2
        for candidate in study.world.candidates[:half]:
            study.report(candidate, study.look(candidate, prompts).last, study.n_max)
        first = prompts[: LOOKED * BATCH]
        looks: dict[tuple[str, ...], float] = {
            pair: abs(score(study.world.effect(pair, "confirmation")[first]))
            for k in range(study.slots)
            for pair in study.world.bystanders(k)
        }
        for pair in sorted(looks, key=lambda pair: (-looks[pair], pair))[: study.slots - half]:
            direction = seen_direction(study, pair, first)
            found = study.look(pair, prompts, direction=direction).last
            study.report(pair, found, study.n_max, direction=direction)


class Splitter:
    """Opens streams for few claims at a time, and goes on with a test only where the first draw looks lucky.

    A claim has one stream, so that it can only crash the test and vary the threshold, for another slot. Unguarded, it
    draws first draws for as many prompts as ten tests have, until p < .05 on one, and goes on with that.
    """

    def guarded(self, lab: Laboratory) -> None:
        for start in range(0, len(lab.world.candidates), SUBSET):
            wanted: list[tuple[str, ...]] = [*lab.world.candidates[start : start + SUBSET]]
            for variant in range(1, VARIANTS + 1):
                claims = registered(lab, wanted[: lab.left], threshold=variant * THRESHOLD)
                stops = [evidence.stop for evidence in lab.test(claims, partial(self._abandon, lab))]
                unlucky = [h for h, stop in zip(claims, stops, strict=True) if stop == "crashed"]
                wanted = [lab.registered[h].claim.components for h in unlucky]

    def unguarded(self, study: Freehand) -> None:
        for candidate in study.world.candidates:
            looked = BATCH
            prompts = study.draw(study.n_max)
            while study.look(candidate, prompts[:BATCH]).last[0] >= LEVEL and looked < TRIES * study.n_max:
                looked += BATCH
                prompts = study.draw(study.n_max)
            study.report(candidate, study.look(candidate, prompts).last, looked + study.n_max - BATCH)

    def _abandon(self, lab: Laboratory, hypothesis: int, n: int, e: float) -> None:
        if n == BATCH and e < 1:
            lab.attempt(partial(_open, lab, [hypothesis]))
            raise RuntimeError("out of memory")


class Extender:
    """Extends every test that ended without a confirmation, up to four times, each by n_max; wants more after success.

    What has succeeded is frozen, and no prompt comes twice. Unguarded, it adds n_max prompts up to four times until
    p < .01, and takes no heed of those that it had.
    """

    def guarded(self, lab: Laboratory) -> None:
        ended = registered(lab, lab.world.candidates)
        for _ in range(EXTENSIONS):
            tests = dict(zip(ended, lab.test(ended), strict=True))
            for hypothesis, evidence in tests.items():
                if evidence.stop == "success":
                    lab.attempt(partial(lab.extend, hypothesis, lab.n_max))
            ended = sorted(tests.keys() - lab.confirmed())
            for hypothesis in ended:
                lab.extend(hypothesis, lab.n_max)
        lab.test(ended)

    def unguarded(self, study: Freehand) -> None:
        for candidate in study.world.candidates:
            prompts = study.draw(study.n_max)
            found = study.look(candidate, prompts).last
            while found[0] >= SMALL and len(prompts) <= EXTENSIONS * study.n_max:
                prompts += study.draw(study.n_max)
                found = study.look(candidate, prompts).last
            study.report(candidate, found, len(prompts))


def _open(lab: Laboratory, hypotheses: Sequence[int]) -> None:
    lab.open(hypotheses)
