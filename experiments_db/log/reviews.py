"""What people say of hypotheses, beside what the machine says: decisions with author, reason and time.

A review is a row that is only ever appended; an author who changes their mind adds another. It never touches a verdict,
frees no slot and no error.
"""

from __future__ import annotations

from typing import Final

from lakatos.experiments_db.log import tables as m
from lakatos.experiments_db.log.appending import Conflict
from lakatos.experiments_db.log.log import Log
from lakatos.experiments_db.log.standing import DECISIONS, SCORE
from lakatos.tools.errors import NotThere, UserError

SCORES: Final = {1: "not credible", 2: "doubtful", 3: "undecided", 4: "credible", 5: "beyond doubt"}
MOST_AUTHOR, MOST_REASON = 100, 4000  # characters


def add_review(
    log: Log,
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
    if not log.with_number(hypothesis_id):
        raise NotThere(f"There is no hypothesis {hypothesis_id} here; `lakatos log` lists their numbers.")
    if blind and any(r.author == author for r in log.reviews([hypothesis_id])):
        raise UserError(f"{author} has reviewed hypothesis {hypothesis_id} before: only a first review can be blind.")
    row = m.Review(
        hypothesis_id=hypothesis_id, author=author, decision=decision, score=score, reason=reason, blind=blind
    )
    try:
        return log.add(row)
    except Conflict as error:  # another process was faster
        raise UserError(f"{error} Reload, and look at what was said.") from error
