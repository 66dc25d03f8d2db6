"""What the index says of itself, and what it finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Freshness:
    """How far the index has read the log."""

    read: int  # id of the last ledger entry that it knows; 0: none yet
    now: int  # id of the newest
    at: str | None  # when it was last brought up to date; None: never
    refreshing: bool  # whether this process is doing so
    done: int = 0  # rows that it has written, of those that it must
    of: int = 0

    @property
    def current(self) -> bool:
        """Whether it knows all of the log."""
        return self.at is not None and self.read == self.now


@dataclass(frozen=True)
class Page:
    """Some of the hypotheses that a query asks for."""

    rows: list[dict[str, Any]]  # `documents.entry_line` of each
    total: int  # how many it asks for
    page: int
    per_page: int

    @property
    def pages(self) -> int:
        """How many there are, at least one."""
        return max(1, -(-self.total // self.per_page))
