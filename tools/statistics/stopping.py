"""How many prompts a test plans for, and when it stops."""

from __future__ import annotations

import math
from typing import Literal

from lakatos.tools.statistics.constants import BATCH, FUTILE_BELOW, MIN_EXPLORATION, MIN_FOR_FUTILITY

StopReason = Literal["success", "futility", "exhausted"]


def sample_size(d: float, cap: int | None = None) -> int:
    """Largest number of prompts for a predicted standardised effect d: max(64, 16 ceil(32 / d^2 / 16)).

    Args:
        d: predicted (mean - delta) / sd, > 0.
        cap: upper limit set by the user, at least one batch (16); rounded down to whole batches.

    Raises:
        ValueError: d not positive, or cap below one batch. A d below 1e-6 counts as 1e-6.
    """
    if not d > 0:
        raise ValueError(f"the predicted standardised effect must be positive, got {d}")
    if cap is not None and cap < BATCH:
        raise ValueError(f"the cap must be at least one batch ({BATCH}), got {cap}")
    wanted = max(MIN_EXPLORATION, BATCH * math.ceil(32 / max(d, 1e-6) ** 2 / BATCH))
    return wanted if cap is None else min(wanted, cap // BATCH * BATCH)


def stop_reason(e: float, n: int, n_max: int, threshold: float, *, since: int = 0) -> StopReason | None:
    """The registered stopping rule, asked after each batch; None means: draw another.

    Args:
        e: E_n so far (of several lines: the minimum).
        n: prompts so far.
        n_max: the registered maximum.
        threshold: the e-value that confirms this slot whatever the others do
            (`lakatos.tools.multiplicity.success_threshold`).
        since: prompts that there were when the test was last continued; 0: it never was.

    Returns:
        "success" at e >= threshold; else "futility" at e < .2 with n - since >= 64; else "exhausted" at n >= n_max.
        Stopping at any time keeps E valid (optional stopping); the rule only spends prompts well.

    Raises:
        ValueError: e is NaN or negative.
    """
    if not e >= 0:
        raise ValueError(f"an e-value is a nonnegative number, got {e}")
    if e >= threshold:
        return "success"
    if e < FUTILE_BELOW and n - since >= MIN_FOR_FUTILITY:
        return "futility"
    return "exhausted" if n >= n_max else None
