"""A cell of a heat map over a model's components."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cell:
    """A place in the model, whatever the position, and what was found of it."""

    layer: int
    kind: str  # of `Component`
    index: int | None
    counts: dict[str, int]  # hypotheses by state
    fraction: float | None  # effect of the hypothesis with the largest one, as a fraction of the gap
