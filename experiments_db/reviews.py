"""What people say of hypotheses, beside what the machine says: decisions with author, reason and time.

A review is a row that is only ever appended; an author who changes their mind adds another. It never touches a verdict,
frees no slot and no error. `standing` sums up what authors said last; `agreement` compares reviewers by Cohen's kappa
(Cohen 1960, "A coefficient of agreement for nominal scales").
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Final

from sqlalchemy.exc import IntegrityError

from lakatos.experiments_db import models as m
from lakatos.tools.errors import NotThere, UserError

if TYPE_CHECKING:
    from lakatos.experiments_db.store import Store

SCORE: Final = "score"
DECISIONS: Final = {  # what the standing of a hypothesis is called, the one that weighs most first
    "retract": "retracted",
    "dispute": "disputed",
    "replicate": "needs replication",
    "accept": "accepted",
}
SCORES: Final = {1: "not credible", 2: "doubtful", 3: "undecided", 4: "credible", 5: "beyond doubt"}
MOST_AUTHOR, MOST_REASON = 100, 4000  # characters


@dataclass(frozen=True)
class Agreement:
    """How far two reviewers agree on the hypotheses that both decided on, by what each said last."""

    first: str
    second: str
    both: int  # hypotheses that both decided on
    agreed: int
    kappa: float | None  # 1 agreement, 0 what chance gives; None where chance alone would always agree


def add_review(
    store: Store,
    hypothesis_id: int,
    *,
    author: str,
    decision: str,
    reason: str = "",
    score: int | None = None,
    blind: bool = False,
) -> m.Review:
    """Append a review.

    Args:
        decision: accept, dispute, replicate (needs replication), retract: each with a reason; or score.
        score: 1 (not credible) to 5 (beyond doubt), for the decision `score` and no other.
        blind: the author had not seen the rationale; true of an author's first review of a hypothesis at most.

    Raises:
        UserError: no author, an unknown decision, no reason, a score out of range, or no such hypothesis.
    """
    author, reason = author.strip(), "\n".join(reason.strip().splitlines())  # a form sends CR LF
    if not author:
        raise UserError("A review is signed: give your name (--author).")
    if len(author) > MOST_AUTHOR or len(reason) > MOST_REASON:
        raise UserError(f"A name has at most {MOST_AUTHOR} characters, a reason at most {MOST_REASON}.")
    if any("\ud800" <= c <= "\udfff" for c in author + reason):  # from bytes of a terminal that are no UTF-8
        raise UserError("A name and a reason are text: these bytes are not UTF-8.")
    if decision != SCORE and decision not in DECISIONS:
        raise UserError(f"There is no decision {decision!r}; there are {', '.join(DECISIONS)} and {SCORE}.")
    if decision == SCORE and score not in SCORES:
        raise UserError("A score is a whole number from 1 (not credible) to 5 (beyond doubt).")
    if decision != SCORE and score is not None:
        raise UserError("A score is a review of its own: decision score.")
    if decision != SCORE and not reason:
        raise UserError(f"Say why: to {decision} without a reason tells the next reader nothing.")
    if not store.ids(m.HypothesisRow.id == hypothesis_id):
        raise NotThere(f"There is no hypothesis {hypothesis_id} here; `lakatos log` lists their numbers.")
    if blind and any(r.author == author for r in store.reviews([hypothesis_id])):
        raise UserError(f"{author} has reviewed hypothesis {hypothesis_id} before: only a first review can be blind.")
    row = m.Review(
        hypothesis_id=hypothesis_id, author=author, decision=decision, score=score, reason=reason, blind=blind
    )
    try:
        return store.add(row)
    except IntegrityError as error:  # another process was faster
        raise UserError(
            f"The log does not take this review: {error.orig}. Reload, and look at what was said."
        ) from error


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
