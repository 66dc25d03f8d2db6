"""A world whose truth is known: what every component does on every prompt of a small corpus, drawn instead of measured.

Effects have a standard deviation of 1 logit over the corpus, and a mean that is exact over the corpus:

    true candidates        delta + d     delta: the smallest effect of interest, `THRESHOLD` of the gap
    null candidates        delta         the boundary of the null hypothesis
    everything else        0

On one prompt all components share a part of their noise (`SHARED` of the variance), so that claims tested on the same
prompts are dependent. Candidates are pairs of heads and lie ten layers apart: the matched random components that a
claim is compared with are never candidates. What they share cancels in that comparison, so that d is that of the weaker
line.
"""

from __future__ import annotations

import math
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
SHARED = 0.5  # of the variance, by all components on one prompt
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
    """

    def __init__(self, seed: int, candidates: int, true: int, d: float, noise: str) -> None:
        self.seed, self.d = seed, d
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
        own = sum(self._of(3, *head)[split] for head in heads) / math.sqrt(len(heads))
        mean = 0.0
        if any(layer % APART == 0 for layer, _ in heads):
            mean = THRESHOLD * GAP + (self.d if self._true & {layer for layer, head in heads if head == 0} else 0.0)
        found: Floats = mean + math.sqrt(SHARED) * self._of(4)[split] + math.sqrt(1 - SHARED) * own
        return found

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
