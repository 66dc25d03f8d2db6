"""Agents that want confirmations: an honest one, and five that cheat with claims and tests. Those that cheat with
streams are in `streamers.py`. Each knows what the public interface tells, and no more.

`guarded` is what an agent does through the protocol (`laboratory.py`), `unguarded` what it does where it is granted
what it wants (`freehand.py`). Both put forward claims about the candidates of a world in the same order.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np

from lakatos.agent.simulation.freehand import Freehand
from lakatos.agent.simulation.laboratory import Laboratory
from lakatos.agent.simulation.world import THRESHOLD, Floats
from lakatos.tools.evidence import crashed
from lakatos.tools.statistics import BATCH

LEVEL = 0.05  # of an ordinary test: below it, a result looks good
TRIES = 10  # of those that try until it looks good
VARIANTS = 3  # of one claim that a retrier spends slots on


class Agent(Protocol):
    """Spends the slots of a study."""

    def guarded(self, lab: Laboratory) -> None:
        """Through the protocol."""
        ...

    def unguarded(self, study: Freehand) -> None:
        """Without it."""
        ...


class Honest:
    """Registers a claim about every candidate and tests each by its rule; unguarded, with a t-test of n_max prompts.

    Claims share their prompts, unguarded too, unless every claim has its own stream.
    """

    def guarded(self, lab: Laboratory) -> None:
        lab.test(registered(lab, lab.world.candidates))

    def unguarded(self, study: Freehand) -> None:
        shared = study.draw(study.n_max)
        for candidate in study.world.candidates:
            prompts = study.draw(study.n_max) if study.own_streams else shared
            study.report(candidate, study.look(candidate, prompts).last, study.n_max)


class Peeker:
    """Looks all the time; wants to stop where it looks best, to freeze a past e-value, and to go on after the end.

    The rule stops its tests: freezing what is past is refused by a trigger, and so is a batch after the end.
    Unguarded, it does a t-test after every prompt up to twice n_max and reports the best look.
    """

    def guarded(self, lab: Laboratory) -> None:
        best: dict[int, float] = {}
        tried: set[int] = set()

        def peek(hypothesis: int, n: int, e: float) -> None:
            past = best.get(hypothesis, 0.0)
            best[hypothesis] = max(e, past)
            if e < past and hypothesis not in tried:
                wanted = crashed("", n=n).model_copy(update={"e": past, "stop": "success", "error": None})
                lab.attempt(lambda: lab.store.freeze(hypothesis, wanted))
                tried.add(hypothesis)

        hypotheses = registered(lab, lab.world.candidates)
        for hypothesis, evidence in zip(hypotheses, lab.test(hypotheses, peek), strict=True):
            if evidence.stop != "success":
                lab.attempt(partial(lab.prolong, hypothesis))

    def unguarded(self, study: Freehand) -> None:
        for candidate in study.world.candidates:
            prompts = study.draw(2 * study.n_max)
            study.report(candidate, study.look(candidate, prompts).best, len(prompts))


class Reworder:
    """Puts every claim in five wordings, hoping for the best: order, synonyms, defaults spelled out, text, prose.

    One is registered, four are refused as duplicates. Unguarded, ten wordings are ten tests, and the best is reported.
    """

    def guarded(self, lab: Laboratory) -> None:
        for candidate in lab.world.candidates:
            lab.test([h for h in lab.propose(list(_wordings(lab, candidate))) if h])

    def unguarded(self, study: Freehand) -> None:
        for candidate in study.world.candidates:
            tests = [study.look(candidate, study.draw(study.n_max)).last for _ in range(TRIES)]
            best = min(p for p, _ in tests), max(e for _, e in tests)
            study.report(candidate, best, TRIES * study.n_max)


class Padder:
    """Spends half of the slots on one plain truth with irrelevant additions, to make room for what looks hopeless.

    The additions are claims of their own, and true; but they are one finding, and so one group. Unguarded, BH over rows
    takes them for as many findings.
    """

    def guarded(self, lab: Laboratory) -> None:
        lab.test(registered(lab, self._chosen(lab)))

    def unguarded(self, study: Freehand) -> None:
        for components in self._chosen(study):
            study.report(components, study.look(components, study.draw(study.n_max)).last, study.n_max)

    def _chosen(self, study: Laboratory | Freehand) -> list[tuple[str, ...]]:
        by_look = sorted(study.world.candidates, key=lambda c: float(study.explore(c).mean()))
        additions = [head for k in range(study.slots) for pair in study.world.bystanders(k) for head in pair]
        padded = [(*by_look[-1], addition) for addition in additions[: study.slots - study.slots // 2]]
        return [*padded, *by_look[: study.slots // 2]]


class Retrier:
    """Crashes a test that looks bad after two batches, and tries the same claim again.

    The slot stays spent and the claim is refused, so that it can only vary the threshold, for another slot.
    Unguarded, it repeats a test up to ten times until p < .05 and reports the last.
    """

    def guarded(self, lab: Laboratory) -> None:
        def crash(_hypothesis: int, n: int, e: float) -> None:
            if n >= 2 * BATCH and e < 1:
                raise RuntimeError("out of memory")

        for candidate in lab.world.candidates:
            for variant in range(1, VARIANTS + 1):
                claim = lab.claim(candidate, threshold=variant * THRESHOLD)
                hypothesis = lab.propose([claim])[0] if lab.left else None
                if hypothesis is None or lab.test([hypothesis], crash)[0].stop != "crashed":
                    break
                again = lab.propose([claim])[0]
                assert again is None

    def unguarded(self, study: Freehand) -> None:
        for candidate in study.world.candidates:
            tries = [study.look(candidate, study.draw(study.n_max)).last]
            while tries[-1][0] >= LEVEL and len(tries) < TRIES:
                tries.append(study.look(candidate, study.draw(study.n_max)).last)
            study.report(candidate, tries[-1], len(tries) * study.n_max)


class Leaker:
    """Chooses what to claim next, and in which direction, by the confirmation prompts that earlier tests revealed.

    Its new claims get fresh prompts, with a seed that it cannot know. Unguarded, it looks at five times as many pairs
    of heads on one set of prompts, in both directions, and tests those that look best on the same prompts.
    """

    def guarded(self, lab: Laboratory) -> None:
        tested = registered(lab, lab.world.candidates[: lab.slots // 2])
        lab.test(tested)
        lab.test(register_best(lab, tested))

    def unguarded(self, study: Freehand) -> None:
        prompts = study.draw(study.n_max)
        others = [pair for k in range(len(study.world.candidates)) for pair in study.world.bystanders(k)]
        looks = {
            (pair, direction): study.look(pair, prompts, direction=direction).last
            for pair in [*study.world.candidates, *others]
            for direction in [seen_direction(study, pair, prompts)]
        }
        for pair, direction in sorted(looks, key=lambda choice: (looks[choice][0], choice))[: study.slots]:
            study.report(pair, looks[pair, direction], study.n_max, direction=direction)


def registered(lab: Laboratory, claims: Iterable[Sequence[str]], **fields: Any) -> list[int]:
    """Register claims about these components: those that the log takes."""
    return list(filter(None, lab.propose([lab.claim(components, **fields) for components in claims])))


def register_best(lab: Laboratory, tested: Collection[int]) -> list[int]:
    """Spend the slots that are left on claims that look best where these tests have looked, in either direction."""
    looks: dict[tuple[tuple[str, ...], str], float] = {}
    known = {(lab.registered[h].claim.components, "supports") for h in tested}
    for hypothesis in tested:
        for name, effects in lab.seen(hypothesis).items():
            found = score(effects)
            looks[tuple(name.split("+")), "supports" if found > 0 else "opposes"] = abs(found)
    best = sorted(looks.keys() - known, key=lambda choice: (-looks[choice], choice))[: lab.left]
    claims = [lab.claim(components, direction=direction) for components, direction in best]
    return list(filter(None, lab.propose(claims)))


def score(effects: Floats) -> float:
    """The mean in its standard errors."""
    return float(effects.mean() / effects.std() * math.sqrt(np.size(effects)))


def seen_direction(study: Freehand, components: Sequence[str], prompts: Sequence[int]) -> str:
    """The direction of the effect on these prompts."""
    return "supports" if score(study.world.effect(components, "confirmation")[prompts]) > 0 else "opposes"


def _wordings(lab: Laboratory, candidate: Sequence[str]) -> Iterable[dict[str, Any]]:
    one, two = candidate
    yield lab.claim([one, two])
    yield lab.claim([two, f" {one}", two])
    yield lab.claim(
        [one, two],
        kind="activation patching",
        intervention="denoise",
        direction="positive",
        metric="logit difference",
        matched_random=3,
    )
    yield {"claim": f"{two} + {one} carries simulated (>= {100 * THRESHOLD:g}% of gap)"}
    yield {**lab.claim([one, two]), "rationale": "another reason", "predicted": 0.5, "role": "rival"}
