"""A world whose truth is known: what every component does on every prompt of a small corpus, drawn instead of measured.

Effects have a standard deviation of 1 logit over the corpus, and a mean that is exact over the corpus:

    true candidates        delta + d     delta: the smallest effect of interest, `THRESHOLD` of the gap
    null candidates        delta         the boundary of the null hypothesis
    everything else        0

Claims tested on the same prompts are dependent: on one prompt the effects of two candidates have a given correlation,
0, .5 or .9, because of a factor that all components share, or only those of one block of `BLOCK` candidates. Candidates
are pairs of heads and lie ten layers apart: the matched random components that a claim is compared with are never
candidates. They are of the candidate's neighbourhood, and with it they share at least `NEAR` of the variance, whatever
the correlation of claims is: a neighbourhood has a factor of its own for what is lacking. What they share cancels in
the comparison with their mean. Its standard deviation is sqrt(4/3 (1 - share)), .82 at most for three of them, and its
mean beyond delta is that of the effect itself: the line "effect" is the weaker one, and d is its d. It alone carries
the correlation; the comparison, from which common factors are gone, is all but independent over claims.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from lakatos.tools.behaviour import Behaviour, PromptPair
from lakatos.tools.claim import NodeEffect
from lakatos.tools.claim.measures import CLEAN, CORRUPTED
from lakatos.tools.component import Component, Shape
from lakatos.tools.evidence import Values

Floats = NDArray[np.float64]

THRESHOLD = 1e-4  # of the gap: both directions of a null are near its boundary
GAP = 4.0  # logits, between the clean and the corrupted run of every prompt
SHARED = 0.5  # of the variance, by all candidates on one prompt, where no other correlation is asked for
CORRELATIONS = (0.0, 0.5, 0.9)  # that studies take turns with, by default
NEAR = 0.5  # of the variance at least, by all components of a neighbourhood
BLOCK = 5  # candidates that share a factor, where they come in blocks
APART = 10  # layers between candidates
HEADS = 8  # in a layer
WORDS = 32  # of each of two kinds, for either split: 1,024 prompts

Noise = Callable[[np.random.Generator, int], Floats]
NOISES: dict[str, Noise] = {
    "gaussian": lambda rng, n: rng.standard_normal(n),
    "skewed": lambda rng, n: 1 - rng.exponential(size=n),
    "heavy-tailed": lambda rng, n: rng.standard_t(3, size=n) / math.sqrt(3),
}  # mean 0, variance 1


def _words(kind: str) -> dict[str, list[str]]:
    return {
        split: [f"{kind}{k}" for k in range(start, start + WORDS)]
        for split, start in (("exploration", 0), ("confirmation", WORDS))
    }


BEHAVIOUR = Behaviour.model_validate(
    {
        "name": "simulated",
        "version": 1,
        "question": "does the protocol keep its promises?",
        "selected_because": "its truth is known",
        "fillers": {"one": _words("a"), "two": _words("b")},
        "draw": {"one": "one", "two": "two"},
        "clean": {"seen": "{one}"},
        "corrupted": {"seen": "{two}"},
        "answer": " {one}",
        "wrong": " {two}",
        "templates": {
            "exploration": [{"id": "explored", "text": "{one} and {two} met , then {seen} went to"}],
            "confirmation": [{"id": "confirmed", "text": "{one} and {two} met ; {seen} left for"}],
        },
        "controls": [],
    }
)
_PLACES = {
    (" " + one, " " + two): WORDS * i + j
    for split in ("exploration", "confirmation")
    for i, one in enumerate(_words("a")[split])
    for j, two in enumerate(_words("b")[split])
}


def place(pair: PromptPair) -> int:
    """Which prompt of its split's corpus this is."""
    return _PLACES[pair.answer, pair.wrong]


class World:
    """Components with known effects.

    Args:
        seed: the same seed gives the same world.
        candidates: how many pairs of heads a study may make claims about.
        true: how many of them have an effect.
        d: standardised effect of these, beyond delta.
        noise: a name of `NOISES`.
        correlation: of the effects of two candidates on one prompt, 0 to 1.
        blocks: whether only candidates of one block are correlated.
    """

    def __init__(
        self,
        seed: int,
        candidates: int,
        true: int,
        d: float,
        noise: str,
        correlation: float = SHARED,
        blocks: bool = False,
    ) -> None:
        self.seed, self.d, self.correlation, self.blocks = seed, d, correlation, blocks
        self.shape = Shape(n_layers=APART * candidates + APART // 2, n_heads=HEADS, n_key_value_heads=HEADS, d_mlp=0)
        self.candidates = [(f"a{APART * k}.h0", f"a{APART * k}.h1") for k in range(candidates)]
        order = np.random.default_rng([seed, 1]).permutation(candidates)
        self._true = {APART * int(k) for k in order[:true]}
        self._noise = NOISES[noise]
        self._drawn: dict[tuple[int, ...], dict[str, Floats]] = {}
        self._effects: dict[tuple[tuple[str, ...], str], Floats] = {}
        self._baseline = self._of(2)

    def bystanders(self, candidate: int) -> list[tuple[str, str]]:
        """Pairs of heads without any effect, halfway between two candidates."""
        layer = APART * candidate + APART // 2
        return [(f"a{layer}.h{2 * k}", f"a{layer}.h{2 * k + 1}") for k in range(HEADS // 2)]

    def holds(self, claim: NodeEffect) -> bool:
        """Whether the claim is true."""
        return claim.direction == "supports" and bool(self._true & {c.layer for c in claim.parsed() if c.index == 0})

    def effect(self, components: Sequence[str], split: str) -> Floats:
        """What patching the components does, in logits, on every prompt of the split's corpus."""
        key = (tuple(components), split)
        if key not in self._effects:
            self._effects[key] = self._effect(*key)
        return self._effects[key]

    def measure(
        self, claim: NodeEffect, matched: Mapping[str, tuple[str, ...]], places: Sequence[int], split: str
    ) -> Values:
        """What a model would have shown: the metric of every run of the claim's battery on these prompts."""
        at = np.asarray(places)
        corrupted = 0.25 * GAP * self._baseline[split][at]
        values = {CLEAN: GAP + corrupted, CORRUPTED: corrupted}
        for arm in claim.arms(matched):
            values[arm.name] = corrupted + self.effect(arm.components, split)[at]
        return values

    def _effect(self, components: tuple[str, ...], split: str) -> Floats:
        heads = {(c.layer, c.index or 0) for c in map(Component.parse, components)}
        mean = 0.0
        if any(layer % APART == 0 for layer, _ in heads):
            mean = THRESHOLD * GAP + (self.d if self._true & {layer for layer, head in heads if head == 0} else 0.0)
        near = max(NEAR, self.correlation)
        places = [(layer + APART // 2 - 1) // APART for layer, _ in heads]
        parts: list[tuple[float, list[tuple[int, ...]]]] = [
            (self.correlation, [(5, place // BLOCK) if self.blocks else (4,) for place in places]),
            (near - self.correlation, [(6, place) for place in places]),
            (1 - near, [(3, *head) for head in heads]),
        ]
        found: Floats = np.full(WORDS * WORDS, mean)
        for share, keys in parts:
            if share:
                found += math.sqrt(share) * self._mixed(keys, split)
        return found

    def _mixed(self, keys: Sequence[tuple[int, ...]], split: str) -> Floats:
        """The noise of all of these keys together, of variance 1 where those that differ are independent."""
        often = Counter(keys)
        total: Floats = np.sum([n * self._of(*key)[split] for key, n in often.items()], axis=0)
        return total / math.sqrt(sum(n * n for n in often.values()))

    def _of(self, *key: int) -> dict[str, Floats]:
        """Noise of its own for every key: mean 0 and variance 1, over the corpus of either split."""
        if key not in self._drawn:
            rng = np.random.default_rng([self.seed, *key])
            columns = {}
            for split in ("exploration", "confirmation"):
                noise = self._noise(rng, WORDS * WORDS)
                columns[split] = (noise - noise.mean()) / noise.std()
            self._drawn[key] = columns
        return self._drawn[key]
