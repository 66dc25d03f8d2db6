"""Exploration, as it stands in the log, and measuring on exploration prompts. Nothing that it shows is evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lakatos.tools.claim import AnyClaim
    from lakatos.tools.component import Component
    from lakatos.tools.exploration import Answered, HeadScores, LensRow
    from lakatos.tools.intervention import Base, Intervention

Proposal = dict[str, Any]  # of the form of `lakatos.tools.claim.Hypothesis`, not yet judged


@dataclass(frozen=True)
class Explored:
    """What exploration found, as it stands in the log."""

    gap: float  # mean clean - corrupted metric on exploration pairs
    attributions: Sequence[dict[str, Any]]  # component, score, sd; strongest first
    positions: Sequence[str]
    n_layers: int
    n_heads: int


class Searched(NamedTuple):
    """A stage of a proposer that searches: what it put forward, and what it found and had no budget for."""

    stage: str
    proposals: tuple[Proposal, ...]
    left: tuple[Proposal, ...]


class WantedPairs(NamedTuple):
    """Exploration pairs that somebody asks for: the first ones of a random draw."""

    n: int  # at most
    template: str | None = None  # only of this one
    containing: tuple[str, ...] = ()  # only those whose clean prompt has all of these words
    new: bool = False  # only those that nobody asked for before


class Probed(Protocol):
    """A claim's whole battery on exploration prompts."""

    @property
    def effect(self) -> float:
        """Mean of the main line, in its unit."""

    @property
    def promise(self) -> float:
        """(mean - delta) / sd of the line where that is smallest: negative, the claim would fail."""

    @property
    def forwards(self) -> float:
        """Forward passes of one prompt that it took."""


class Searching(Protocol):
    """Measuring on exploration prompts, within a run's limits. Nothing that it shows is evidence.

    Each method raises Stop where a limit of the run is reached, or the user interrupted.
    """

    def effects(self, interventions: Sequence[Intervention], base: Base) -> NDArray[np.float64]:
        """How far each intervention moves the metric, as a fraction of the gap: [n_interventions, n_pairs].

        Restored on the corrupted run, lost on the clean one.
        """

    def kept(self, circuits: Sequence[Sequence[Component]]) -> list[float]:
        """The share of the model's metric that each circuit keeps, everything else being resampled."""

    def probe(self, claims: Sequence[AnyClaim]) -> Sequence[Probed | None]:
        """Each claim's whole battery; None: the model or the behaviour has not what it is about."""

    @property
    def edges(self) -> dict[str, dict[str, float]]:
        """Edge attribution: sender -> receiver -> mean score, as a fraction of the gap; {} where it cannot be had."""

    def stepping_in(self, missing: Sequence[Component]) -> list[dict[Component, float]]:
        """For each missing component: later ones -> how much more they write towards the answer, in logits."""

    def answers(self, asked: Sequence[WantedPairs]) -> list[Answered]:
        """What the model answers to exploration prompts.

        Args:
            asked: what was asked for so far; the last one is answered.
        """

    def attention(self, heads: Sequence[Component]) -> list[dict[tuple[str, str], float]]:
        """For each head: (from, to) -> mean share of its attention; see `exploration.attention_between`."""

    def lens(self, position: str) -> list[LensRow]:
        """What the residual stream would answer at a named position, layer by layer."""

    @property
    def head_scores(self) -> list[HeadScores]:
        """Every head's scores on repeated random tokens, and of its OV circuit."""
