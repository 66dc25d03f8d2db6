"""Who visits the site, and what a blind visitor may not see yet: the one place that decides it.

Blind means: no rationale, and nothing that others said, of a hypothesis before the visitor has said something of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from lakatos.experiments_db.documents import HypothesisDocument
from lakatos.experiments_db.store import Store


class Hidden(Exception):
    """A blind visitor asks for what they may not see yet; the message says why, and what to do."""

    def __init__(self, why: str) -> None:
        super().__init__(f"{why} Or leave blind mode: under your name, above.")


@dataclass(frozen=True)
class Visitor:
    """Who looks at the site: a name that nobody checks, and what they asked not to see yet."""

    name: str = ""
    blind: bool = False
    theme: str = ""  # light, dark, or as the system has it

    def may_not_see(self, why: str) -> None:
        """Refuse (raises Hidden) what shows rationales, or what others said, of many hypotheses at once."""
        if self.blind:
            raise Hidden(why)

    def waits_for(self, store: Store, hypothesis_id: int) -> bool:
        """Whether this visitor has yet to say something of a hypothesis before they may see what others say."""
        return self.blind and all(review.author != self.name for review in store.reviews([hypothesis_id]))

    def lines(self, rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        """Lines of hypotheses as this visitor may see them: blind, without what people said."""
        return [{**row, "review": None} for row in rows] if self.blind else list(rows)


def without_opinions(document: HypothesisDocument) -> HypothesisDocument:
    """A hypothesis' document without rationale and reviews."""
    return replace(document, rationale="", reviews=(), review=None)
