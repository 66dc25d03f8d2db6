"""What a correction needs to know of a hypothesis, and what it says of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["registered", "testing", "confirmed", "refuted", "inconclusive"]
STATES: tuple[State, ...] = ("registered", "testing", "confirmed", "refuted", "inconclusive")


@dataclass(frozen=True, slots=True)  # there may be very many
class Slot:
    """One registered hypothesis as corrections see it: no more than what decides."""

    id: int
    run_id: int
    slot: int
    kind: str
    behaviour: str
    behaviour_hash: str
    weights: str
    subject: str
    atoms: tuple[str, ...]
    batches: int  # measured so far
    stop: str | None  # why its test stopped; None until it has
    frozen_e: float | None = None
    frozen_p: float | None = None
    planned: int | None = None  # hypotheses that its study planned for: they share most of alpha

    @property
    def e(self) -> float:
        """The frozen e-value; 0 until the test has finished, and for a test that crashed."""
        return self.frozen_e if self.frozen_e is not None and self.stop != "crashed" else 0.0

    @property
    def p(self) -> float:
        """The sign-flip p-value; 1 until the test has finished, and for a test that crashed."""
        return self.frozen_p if self.frozen_p is not None and self.stop != "crashed" else 1.0

    @property
    def about(self) -> tuple[str, str, str]:
        """What claims share that can contradict or replicate each other."""
        return self.weights, self.behaviour_hash, self.subject


@dataclass(frozen=True, slots=True)  # there may be very many
class Judgement:
    """What the whole study says of a hypothesis."""

    state: State
    group: int  # the slot of the first of the claims that it overlaps with
    contradicted_by: int | None = None  # the confirmed hypothesis that says the opposite
    replicated_by: int | None = None  # the confirmed generalisation of this claim to another prompt family


@dataclass(frozen=True)
class Interval:
    """A confidence interval, and at what level."""

    low: float
    high: float
    level: float
