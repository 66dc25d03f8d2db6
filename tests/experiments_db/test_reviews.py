"""Reviews stand beside verdicts: signed, with a reason, kept; and how far reviewers agree."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.inter_rater import cohens_kappa, to_table

from lakatos.experiments_db import open_store
from lakatos.experiments_db.documents import entry_line, hypothesis_document
from lakatos.experiments_db.log import DECISIONS, add_review, agreement, kappa, standing
from lakatos.tools.errors import UserError


@pytest.fixture
def store(toy_copy):
    return open_store(str(toy_copy), create=False)


def say(store, decision, author="Ada", key=1, **more):
    more.setdefault("reason", "" if decision == "score" else "because")
    return add_review(store, key, author=author, decision=decision, **more)


def test_a_review_stands_beside_the_verdict_and_never_overwrites_it(store):
    before = [(e.id, e.state, e.e, e.p) for e in store.hypotheses()]
    say(store, "accept")
    say(store, "retract", author="Bob")
    assert [(e.id, e.state, e.e, e.p) for e in store.hypotheses()] == before
    entry = store.hypothesis("1")
    assert entry.standing == "retracted"
    assert entry_line(entry)["review"] == "retracted"
    assert [r.author for r in hypothesis_document(store, entry).reviews] == ["Ada", "Bob"]
    assert store.verify() == []


def test_the_last_word_of_an_author_counts_and_history_is_kept(store):
    say(store, "dispute")
    say(store, "accept", reason="was wrong")
    assert store.hypothesis("1").standing == "accepted"
    assert [r.decision for r in store.reviews([1])] == ["dispute", "accept"]


def test_the_lines_of_a_reason_end_alike_wherever_it_was_typed(store):
    say(store, "accept", reason="first\r\nsecond\n")
    assert [r.reason for r in store.reviews([1])] == ["first\nsecond"]


def test_scores_decide_nothing(store):
    say(store, "score", score=1)
    assert store.hypothesis("1").standing is None
    say(store, "accept")
    say(store, "score", score=1)
    assert store.hypothesis("1").standing == "accepted"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"author": "  "}, "signed"),
        ({"author": "x" * 101}, "at most 100"),
        ({"decision": "approve"}, "no decision"),
        ({"reason": " "}, "Say why"),
        ({"decision": "score", "score": 6}, "1 .not credible. to 5"),
        ({"decision": "score", "score": None}, "1 .not credible. to 5"),
        ({"score": 3}, "review of its own"),
        ({"hypothesis_id": 999}, "no hypothesis 999"),
    ],
)
def test_bad_reviews_are_refused_with_the_cure_and_nothing_is_appended(store, given, message):
    fields = {"hypothesis_id": 1, "author": "Ada", "decision": "accept", "reason": "because"} | given
    head = store.ledger_head()
    with pytest.raises(UserError, match=message):
        add_review(store, fields.pop("hypothesis_id"), **fields)
    assert store.ledger_head() == head


def test_only_a_first_review_is_blind(store):
    say(store, "score", score=4, blind=True)
    with pytest.raises(UserError, match="only a first review can be blind"):
        say(store, "accept", blind=True)
    say(store, "accept", author="Bob", blind=True)


@pytest.mark.parametrize(
    "values",
    [
        "1, '', 'accept', NULL, 'r', 0",
        "1, 'a', 'approve', NULL, 'r', 0",
        "1, 'a', 'accept', NULL, ' ', 0",
        "1, 'a', 'accept', 3, 'r', 0",
        "1, 'a', 'score', 9, '', 0",
        "1, 'a', 'score', NULL, '', 0",
    ],
)
def test_the_database_itself_refuses_an_unsigned_review(toy_copy, values):
    open_store(str(toy_copy))
    columns = "hypothesis_id, author, decision, score, reason, blind, at, digest"
    with sqlite3.connect(toy_copy) as raw, pytest.raises(sqlite3.IntegrityError, match="a review has an author"):
        raw.execute(f"INSERT INTO reviews ({columns}) VALUES ({values}, '', '')")


def test_the_database_itself_refuses_a_second_blind_review(toy_copy):
    say(open_store(str(toy_copy)), "score", score=3)
    columns = "hypothesis_id, author, decision, score, reason, blind, at, digest"
    with sqlite3.connect(toy_copy) as raw, pytest.raises(sqlite3.IntegrityError, match="can be blind"):
        raw.execute(f"INSERT INTO reviews ({columns}) VALUES (1, 'Ada', 'accept', NULL, 'r', 1, '', '')")


def test_a_forged_review_is_named_by_verify(toy_copy):
    say(open_store(str(toy_copy)), "dispute")
    with sqlite3.connect(toy_copy) as raw:
        (trigger,) = raw.execute("SELECT sql FROM sqlite_master WHERE name = 'reviews_no_update'").fetchone()
        raw.execute("DROP TRIGGER reviews_no_update")
        raw.execute("UPDATE reviews SET decision = 'accept'")
        raw.execute(trigger)
    assert open_store(str(toy_copy)).verify() == ["reviews row 1: is not what was appended"]


def test_the_weightiest_of_the_last_words_is_the_standing(store):
    for number, decision in enumerate(reversed(DECISIONS)):
        say(store, decision, author=f"author {number}")
        assert standing(store.reviews([1])) == DECISIONS[decision]


def test_agreement_is_over_what_both_decided_on(store):
    for author, decisions in {"Ada": ("accept", "accept", "dispute"), "Bob": ("accept", "dispute")}.items():
        for key, decision in enumerate(decisions, 1):
            say(store, decision, author=author, key=key)
    say(store, "score", author="Eve", score=3)
    (found,) = agreement(store.reviews())
    assert (found.first, found.second, found.both, found.agreed) == ("Ada", "Bob", 2, 1)
    assert found.kappa == 0.0


decided = st.lists(st.tuples(st.sampled_from(list(DECISIONS)), st.sampled_from(list(DECISIONS))), min_size=2)


@given(decided)
def test_kappa_is_that_of_statsmodels(pairs):
    names = list(DECISIONS)
    table, _ = to_table([[names.index(a), names.index(b)] for a, b in pairs], bins=4)
    found = kappa(pairs)
    if found is None:
        assert len({name for pair in pairs for name in pair}) == 1
    else:
        assert found == pytest.approx(float(cohens_kappa(table, return_results=False)), abs=1e-12)


def test_kappa_by_hand():
    """Two of four alike; chance: .5 x .5 + .5 x .5."""
    assert kappa([("accept", "accept"), ("accept", "dispute"), ("dispute", "accept"), ("dispute", "dispute")]) == 0.0
    assert kappa([("accept", "accept"), ("dispute", "dispute")]) == 1.0
    assert kappa([("accept", "accept")]) is None
    assert kappa([]) is None


def test_two_first_blind_reviews_at_once_are_one(store, monkeypatch):
    add_review(store, 1, author="Ada", decision="score", score=4, blind=True)
    monkeypatch.setattr(store, "reviews", lambda *_: [])  # the other process has not been seen
    with pytest.raises(UserError, match="only the first review"):
        add_review(store, 1, author="Ada", decision="score", score=2, blind=True)


@pytest.mark.parametrize("given", [{"author": "\udc80"}, {"reason": "\udcff no"}])
def test_bytes_that_are_no_text_are_refused(store, given):
    with pytest.raises(UserError, match="not UTF-8"):
        add_review(store, 1, **{"author": "Ada", "decision": "dispute", "reason": "no", **given})
