"""Where in a larger transformer the parts of a compiled program come to stand."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lakatos.tools.errors import UserError
from lakatos.tools.model.rasp.compiling import Compiled
from lakatos.tools.model.rasp.structure import Edge, edges_of, parts_of

LAYERS, HEADS = 6, 4
_TRIES = 10_000


class Placement(NamedTuple):
    """Of each part, in the order of `parts_of`, its layer and, for a head, its number in it."""

    layers: tuple[int, ...]
    heads: tuple[int | None, ...]  # None: an MLP

    @property
    def names(self) -> tuple[str, ...]:
        """The parts as components: "a2.h1", "m3"."""
        return tuple(
            f"m{layer}" if head is None else f"a{layer}.h{head}"
            for layer, head in zip(self.layers, self.heads, strict=True)
        )


def every_component() -> list[str]:
    """All heads and MLPs of the larger transformer."""
    heads = [f"a{layer}.h{head}" for layer in range(LAYERS) for head in range(HEADS)]
    return heads + [f"m{layer}" for layer in range(LAYERS)]


def placed(compiled: Compiled, rng: np.random.Generator) -> Placement:
    """Any places at which each part comes after those that it reads, all as likely.

    Raises:
        UserError: there is no room.
    """
    edges, heads = edges_of(compiled), len(compiled.heads)
    count = len(parts_of(compiled))
    for _ in range(_TRIES):
        layers = rng.integers(LAYERS, size=count)
        if _in_order(layers, heads, edges) and _fits(layers, heads):
            numbers = [rng.permutation(HEADS).tolist() for _ in range(LAYERS)]
            chosen = [numbers[layer].pop() for layer in layers[:heads]]
            return Placement(tuple(layers.tolist()), (*chosen, *[None] * (count - heads)))
    raise UserError(
        f"{compiled.program.name}: its {count} heads and MLPs find no room in {LAYERS} layers of {HEADS} heads; "
        "take a program of fewer steps"
    )


def _in_order(layers: np.ndarray, heads: int, edges: list[Edge]) -> bool:
    moment = 2 * layers + (np.arange(len(layers)) >= heads)
    return all(e.receiver is None or moment[e.sender] < moment[e.receiver] for e in edges)


def _fits(layers: np.ndarray, heads: int) -> bool:
    """Whether no layer has too many heads, or two compiled MLPs."""
    counts = [np.bincount(part, minlength=LAYERS).max(initial=0) for part in (layers[:heads], layers[heads:])]
    return bool(counts[0] <= HEADS and counts[1] <= 1)
