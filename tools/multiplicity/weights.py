"""The weights of slots, fixed before any hypothesis is known, and the e-values that confirm them."""

from __future__ import annotations

from typing import Final

import numpy as np

from lakatos.tools.multiplicity.inputs import Floats, check_alpha

FIRST_BLOCK: Final = 100
INVERSE_ZETA: Final = 0.437490165774474  # 1 / zeta(1.6): makes j^-1.6 sum to one


PLANNED_SHARE: Final = 0.8  # of alpha, to the hypotheses that a study plans for


def slot_weights(m: int, planned: int | None = None) -> Floats:
    """The fixed weights of the first m slots, [m].

    Block k = 1, 2, .. holds 100 * 2^(k-1) slots that share total weight 2^-k equally. All of them sum to one,
    however many are ever used. A slot's weight never changes, so a study need not know its size.

    Args:
        planned: hypotheses that the study said beforehand it would register. The first so many slots share
            `PLANNED_SHARE` equally; those after them share the rest by the schedule above.

    Raises:
        ValueError: m is negative, or planned is not positive.
    """
    if m < 0:
        raise ValueError(f"m must be >= 0, got {m}")
    if planned is not None:
        if planned < 1:
            raise ValueError(f"a study plans for at least one hypothesis, got {planned}")
        first = np.full(min(m, planned), PLANNED_SHARE / planned)
        return np.concatenate([first, (1 - PLANNED_SHARE) * slot_weights(max(0, m - planned))])
    block = np.frexp(np.arange(m) // FIRST_BLOCK + 1.0)[1]
    weights: Floats = np.ldexp(1 / FIRST_BLOCK, 1 - 2 * block)
    return weights


def success_threshold(weight: float, alpha: float) -> float:
    """1 / (alpha * weight): the e-value that confirms a slot whatever the others do."""
    check_alpha(alpha)
    if not 0 < weight <= 1:
        raise ValueError(f"a slot weight lies in (0, 1], got {weight}")
    return 1 / (alpha * weight)
