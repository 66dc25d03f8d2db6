"""Reviews: signed, of a known decision, with a score or a reason; a blind one is its author's first."""

from __future__ import annotations

from collections.abc import Iterator

from lakatos.experiments_db.log import DECISIONS, MOST_AUTHOR, MOST_REASON, SCORE, SCORES
from lakatos.experiments_db.verify.log import Log


def review_lies(log: Log) -> Iterator[str]:
    """What `add_review` and the database would have refused."""
    said: set[tuple[int, str]] = set()
    for review in log["reviews"].values():
        here = f"reviews row {review.id}"
        if review.author != review.author.strip() or not 0 < len(review.author) <= MOST_AUTHOR:
            yield f"{here}: is signed by {review.author!r}, which is no name"
        if review.decision != SCORE and review.decision not in DECISIONS:
            yield f"{here}: there is no decision {review.decision!r}"
        if (review.score in SCORES) != (review.decision == SCORE) or (review.score is None) == (
            review.decision == SCORE
        ):
            yield f"{here}: has the score {review.score} and the decision {review.decision}"
        if (review.decision != SCORE and not review.reason) or len(review.reason) > MOST_REASON:
            yield f"{here}: gives no reason, or one of {len(review.reason)} characters"
        if review.blind and (review.hypothesis_id, review.author) in said:
            yield f"{here}: calls itself blind, and {review.author} had reviewed hypothesis {review.hypothesis_id}"
        said.add((review.hypothesis_id, review.author))
