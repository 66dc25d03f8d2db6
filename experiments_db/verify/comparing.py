"""Equal, as far as two processors' arithmetic agrees."""

from __future__ import annotations

import math
from typing import Any

from lakatos.tools.errors import ProposalError, UserError

# What reading a record that was tampered with may raise.
UNREADABLE = (
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
    UserError,
    ProposalError,
)


def same(derived: Any, stored: Any) -> bool:
    """Equal, but for the last digits in which two processors' arithmetic may differ (1e-9 relative)."""
    if isinstance(derived, dict) and isinstance(stored, dict):
        return derived.keys() == stored.keys() and all(same(v, stored[k]) for k, v in derived.items())
    if isinstance(derived, list | tuple) and isinstance(stored, list | tuple):
        return len(derived) == len(stored) and all(map(same, derived, stored))
    if isinstance(derived, float) and isinstance(stored, float):
        return math.isclose(derived, stored, rel_tol=1e-9, abs_tol=1e-12)
    return bool(derived == stored)


def spent(row: Any) -> bool:
    """Whether forwards and seconds of a row are numbers that can have been spent."""
    return all(math.isfinite(n) and n >= 0 for n in (row.forwards, row.seconds))
