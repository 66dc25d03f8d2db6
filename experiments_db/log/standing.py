"""What reviews come to: the standing of a hypothesis, and how far reviewers agree.

A review never touches a verdict. `standing` sums up what authors said last; `agreement` compares reviewers by Cohen's
kappa (Cohen 1960, "A coefficient of agreement for nominal scales").
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from lakatos.experiments_db.log import tables as m

SCORE: Final = "score"
DECISIONS: Final = {  # what the standing of a hypothesis is called, the one that weighs most first
    "retract": "retracted",
    "dispute": "disputed",
    "replicate": "needs replication",
    "accept": "accepted",
}


@dataclass(frozen=True)
class Agreement:
    """How far two reviewers agree on the hypotheses that both decided on, by what each said last."""

    first: str
    second: str
    both: int  # hypotheses that both decided on
    agreed: int
    kappa: float | None  # 1 agreement, 0 what chance gives; None where chance alone would always agree


def standing(reviews: Iterable[m.Review]) -> str | None:
    """What the reviews of one hypothesis come to: the weightiest of what each author said last; None without any."""
    said = set(_last(reviews).values())
    return next((name for decision, name in DECISIONS.items() if decision in said), None)


def agreement(reviews: Iterable[m.Review]) -> list[Agreement]:
    """Every two reviewers who decided on a hypothesis in common."""
    by_author: dict[str, dict[int, str]] = {}
    for (hypothesis, author), decision in _last(reviews).items():
        by_author.setdefault(author, {})[hypothesis] = decision
    found = []
    for first, second in combinations(sorted(by_author), 2):
        common = sorted(by_author[first].keys() & by_author[second].keys())
        if common:
            pairs = [(by_author[first][h], by_author[second][h]) for h in common]
            agreed = sum(a == b for a, b in pairs)
            found.append(Agreement(first, second, len(common), agreed, kappa(pairs)))
    return found


def kappa(pairs: Sequence[tuple[str, str]]) -> float | None:
    """Cohen's kappa of two reviewers' decisions; None where chance alone would always agree, or without any."""
    if not pairs:
        return None
    n = len(pairs)
    observed = sum(a == b for a, b in pairs) / n
    left, right = Counter(a for a, _ in pairs), Counter(b for _, b in pairs)
    expected = sum(left[name] * right[name] for name in left) / n**2
    return None if expected == 1 else (observed - expected) / (1 - expected)


def _last(reviews: Iterable[m.Review]) -> dict[tuple[int, str], str]:
    """What each author decided last, by hypothesis and author; scores decide nothing."""
    decided = (r for r in sorted(reviews, key=lambda r: r.id) if r.decision != SCORE)
    return {(r.hypothesis_id, r.author): r.decision for r in decided}
