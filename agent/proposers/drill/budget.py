"""How many hypotheses a stage may spend, and what a candidate promises on exploration prompts."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from lakatos.agent.view import Proposal, View
from lakatos.tools.claim import AnyClaim, Hypothesis, claim_fields
from lakatos.tools.claim.hypothesis import Role
from lakatos.tools.statistics import standardised_effect

T = TypeVar("T")

# The share of a run's hypotheses that may be proposed until the end of each stage: what one leaves, the next may use.
SHARES: Final = {"where": 0.45, "how": 0.7, "who": 0.8, "enough": 0.9, "far": 1.0}
PROMISING: Final = 0.35  # standardised excess over the threshold: of 128 prompts about enough


class Candidate(NamedTuple):
    """A hypothesis that a stage may put forward."""

    proposal: Proposal
    passes: bool  # whether exploration predicts that it would be confirmed


Stage = Callable[[View], list[Candidate]]  # the candidates of a stage, the first to be proposed first


def share(stage: str, budget: int, proposed: int) -> int:
    """How many hypotheses a stage may propose, of a run's budget, where so many were proposed before it."""
    return max(0, math.floor(SHARES[stage] * budget + 1e-9) - proposed)


def used_up(view: View) -> bool:
    """Whether no further claim can be tested: the behaviour is a given list of pairs, and a test has used it."""
    return any(entry.prediction.corpus is not None and entry.prediction.corpus.whole for entry in view.known)


def promise(effect: NDArray[np.float64], threshold: float) -> float:
    """The standardised excess of an effect [n] over the threshold; -inf where there is none to speak of."""
    found = standardised_effect(effect, threshold)
    return -math.inf if math.isnan(found) else found


def fresh(view: View, claim: AnyClaim) -> bool:
    """Whether the study has not registered the claim yet: the same claim again is a duplicate."""
    return all(claim != entry.claim for entry in view.known)


def put(
    claim: AnyClaim, rationale: str, *, passes: bool, predicted: float | None = None, role: Role = "main"
) -> Candidate:
    """A candidate."""
    hypothesis = Hypothesis(claim=claim, rationale=rationale, predicted=predicted, role=role)
    fields: dict[str, Any] = hypothesis.model_dump(exclude={"claim"}, exclude_none=True)
    return Candidate({"claim": claim_fields(claim), **fields}, passes)


def spread(items: Iterable[T], cell: Callable[[T], Hashable]) -> list[T]:
    """The items in another order: the first of every cell, then the second of every cell, and so on.

    Cells come in the order of their first items.
    """
    cells: dict[Hashable, list[T]] = {}
    for item in items:
        cells.setdefault(cell(item), []).append(item)
    longest = max(map(len, cells.values()), default=0)
    return [own[k] for k in range(longest) for own in cells.values() if k < len(own)]


def third(layer: int, n_layers: int) -> int:
    """Early, middle or late: 0, 1 or 2."""
    return min(2, 3 * layer // max(1, n_layers))


def mixed(*several: Sequence[T]) -> list[T]:
    """Items of several lists in turn."""
    pairs = [(k, item) for k, own in enumerate(several) for item in own]
    return [item for _, item in spread(pairs, lambda pair: pair[0])]
