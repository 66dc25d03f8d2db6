"""From a draft to a verdict: what is refused registers nothing, notes stay, the first finish is answered."""

from __future__ import annotations

import re

import pytest
from workbench import CARRIES, FINISH, NOTHING, Bench, put

from lakatos.agent.proposers.investigator import _line
from lakatos.agent.toolbox import CRITIC

HOLDS = "r2@END carries toy (denoising, >= 10% of gap)"
NULL = "a2.h3@END has no effect on toy (denoising, < 20% of gap)"


@pytest.fixture(scope="module")
def tested(explored_log, loaded, tmp_path_factory):
    """A bench on which two claims were confirmed. Only questions."""
    bench = Bench(explored_log, tmp_path_factory.mktemp("tested"), loaded, max_pairs=128)
    bench.test(bench.call("register", put(HOLDS, NULL)))
    assert [e.state for e in bench.view.entries] == ["confirmed", "confirmed"]
    return bench


def test_what_is_registered_is_what_was_said(bench):
    called = bench.call("register", put(CARRIES, NOTHING, role="rival", predicted=0.5))
    assert [p["rationale"] for p in called.proposals] == ["as effects show"] * 2
    assert [p["role"] for p in called.proposals] == ["rival"] * 2
    bench.test(called)
    assert [e.claim.components for e in bench.view.entries] == [("m1@END",), ("a0.h0",)]
    assert {(e.prediction.role, e.prediction.predicted) for e in bench.view.entries} == {("rival", 0.5)}


HEAD_99 = "a1.h99@END carries toy (denoising, >= 10% of gap)"


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (put(HEAD_99), "heads 0 to 3, not 99"),
        (put(CARRIES, "m99@END carries toy (denoising, >= 10% of gap)"), "claim 2: .*layer"),
        (put("m1@NOWHERE carries toy (denoising, >= 10% of gap)"), "NOWHERE"),
        (put("m1@END carries ioi (denoising, >= 10% of gap)"), "about ioi"),
        (put("m1@END carries toy/distant (denoising, >= 10% of gap)"), "no family 'distant'"),
        (put("it is all done by m1"), "claim 1"),
        (put(CARRIES, CARRIES), "claim 2 is the same as another claim of this call"),
        (put(*[CARRIES.replace("10%", f"{n}%") for n in range(11, 18)]), "7 claims, and the run may register 6 more"),
        (put(CARRIES, role="judge"), "role"),
        (put(CARRIES, predicted=7), "predicted"),
        (put(CARRIES, rationale="x" * 401), "rationale"),
        ({"claims": [{"claim": CARRIES, "rationale": "", "state": "confirmed", "e": 1e9}]}, "no such argument"),
        ({"claims": []}, "at least 1 item"),
        ({"claims": CARRIES}, "list"),
    ],
)
def test_what_cannot_be_registered_is_refused_and_nothing_is(shared, asked, says):
    answer = shared.call("register", asked)
    assert answer.refused
    assert answer.proposals == ()
    assert re.search(says, answer.answer), answer.answer


def test_a_claim_that_is_registered_is_refused_with_its_verdict(tested):
    assert "the same as hypothesis 1 (confirmed)" in tested.refuses("register", put(NOTHING, HOLDS))
    assert "A duplicate" in tested.says("draft", {"claims": [HOLDS]})
    assert "It contradicts hypothesis 2" in tested.says(
        "draft", {"claims": ["a2.h3@END carries toy (denoising, >= 20% of gap)"]}
    )


def test_no_more_than_the_budget_is_registered(explored_log, loaded, tmp_path):
    bench = Bench(explored_log, tmp_path, loaded)
    bench.view.how_many = 0
    assert "may register none: call `finish`" in bench.refuses("register", put(CARRIES))


def test_mains_alone_are_warned_of(bench):
    assert "None of them is a rival or a null" in bench.says("register", put(CARRIES, NOTHING))
    assert "None of them" not in bench.says("register", put("m2@END carries toy (denoising, >= 10% of gap)"))


def test_wait_and_result_tell_verdicts(tested, bench):
    assert "Nothing is registered yet" in bench.says("wait")
    assert "there are none yet" in bench.refuses("result", {"hypothesis": 1})
    said = tested.says("wait")
    assert "1: " in said
    assert said.count("confirmed") >= 2
    assert "4 hypotheses are left" in said
    battery = tested.says("result", {"hypothesis": 1})
    assert "effect | +" in battery
    assert "'as effects show'" in battery
    assert "there are 1, 2" in tested.refuses("result", {"hypothesis": 3})


def test_notes_stay_and_are_bounded(bench):
    for number in range(40):
        assert f"({number + 1} of 40)" in bench.says("note", {"text": f"idea {number}"})
    assert "40 notes already" in bench.refuses("note", {"text": "one more"})
    assert "- idea 39" in bench.says("overview")
    assert "idea" not in bench.says("overview", by="2")


def test_tried_says_what_was_never_looked_at(bench):
    before = bench.says("tried")
    assert "Layers in which no component was intervened on or claimed: 0, 1, 2." in before
    assert "Neither were any heads or MLPs." in before
    bench.call("effects", {"interventions": [{"components": ["m1@END"], "to": ["logits"]}]})
    bench.call("effects", {"interventions": [{"components": ["m99"]}]})
    after = bench.says("tried")
    assert "claimed: 0, 2." in after
    assert "Neither were any heads." in after
    assert "effects 1" in after


def test_the_first_finish_is_answered_with_what_was_never_looked_at(bench):
    first = bench.call("finish", FINISH)
    assert not first.over
    assert "this was never looked at" in first.answer
    assert "Layers in which no component" in first.answer
    second = bench.call("finish", FINISH)
    assert second.over
    assert "m2 does it" in second.answer
    assert not bench.call("finish", FINISH, by="2").over


@pytest.mark.parametrize("rivals", [[], ["one"], ["one", "two", "three"], ["", ""]])
def test_finish_wants_two_rivals(bench, rivals):
    assert "rivals" in bench.refuses("finish", {"reason": "enough", "rivals": rivals})


def test_a_question_that_was_asked_is_answered_from_the_log_at_no_cost(bench):
    asked = [
        ("effects", {"interventions": [{"components": ["m1@END"]}]}),
        ("examples", {"n": 8}),
        ("lens", {}),
        ("heads", {}),
        ("draft", {"claims": [CARRIES]}),
    ]
    first = [bench.call(*own) for own in asked]
    before = bench.store.run(1).forwards
    again = [bench.call(*own) for own in asked]
    assert bench.call("effects", '{"interventions": [{"components": ["m1@END"], "to": []}]}').answer.startswith(
        f"(as in call {first[0].number})"
    )
    assert bench.store.run(1).forwards == before
    for one, two in zip(first, again, strict=True):
        assert two.answer == f"(as in call {one.number}) {one.answer}"
    bench.call("lens", {}, by="2")
    assert bench.store.run(1).forwards > before, "another investigator's log is its own"


def test_who_asks_the_same_again_and_again_is_told_what_they_never_asked(bench):
    said = [bench.says("tried"), bench.says("tried"), bench.says("tried"), bench.says("note", {"text": "a"})]
    assert ["in a row" in answer for answer in said] == [False, False, True, False]
    assert "examples, attribution, effects" in said[2].rpartition("never called:")[2]
    assert "tried" not in said[2].rpartition("never called:")[2]
    assert "in a row" not in bench.says("tried")


def test_what_a_call_costs_is_in_the_log(bench):
    bench.call("tried")
    assert bench.store.events(1, "tool")[-1].forwards == 0
    bench.call("examples", {"n": 8})
    assert bench.store.events(1, "tool")[-1].forwards == 16


def test_a_tool_that_is_withheld_is_not_there(bench):
    assert "there is no tool 'lens'" in bench.refuses("lens", without={"lens"})
    assert "lens" not in bench.refuses("rm", without={"lens"}).partition("there are")[2]


def test_a_challenge_is_to_a_confirmed_claim(tested):
    test = "a2.h2@END has no effect on toy (denoising, < 20% of gap)"
    said = tested.says("challenge", {"hypothesis": 1, "test": test, "why": "it would spread"}, by=CRITIC)
    assert said.startswith("Against hypothesis 1")
    assert "confirmed are 1, 2" in tested.refuses("challenge", {"hypothesis": 9, "test": test, "why": "x"}, by=CRITIC)
    assert "99" in tested.refuses("challenge", {"hypothesis": 1, "test": HEAD_99, "why": "x"}, by=CRITIC)


def test_a_critic_challenges_everything_before_it_finishes(explored_log, loaded, tmp_path):
    bench = Bench(explored_log, tmp_path, loaded, max_pairs=128, investigators=2)
    assert _line(bench.view) == ["1", "2"]
    bench.test(bench.call("register", put(HOLDS), by="1"))
    assert _line(bench.view) == ["1", "2", CRITIC]
    assert "hypotheses [1] first" in bench.refuses("finish", FINISH, by=CRITIC)
    bench.says("challenge", {"hypothesis": 1, "test": NULL, "why": "x"}, by=CRITIC)
    assert not bench.call("finish", FINISH, by=CRITIC).over
    assert bench.call("finish", FINISH, by=CRITIC).over


def test_several_investigators_have_shares_and_the_critic_the_rest(explored_log, loaded, tmp_path):
    bench = Bench(explored_log, tmp_path, loaded, investigators=2)
    bench.view.how_many = 10
    assert [bench.desk(by).left for by in ("1", "2", CRITIC)] == [4, 8, 10]
    bench.test(bench.call("register", put(NULL, CARRIES, NOTHING), by="1"))
    bench.view.how_many = 10
    assert [bench.desk(by).left for by in ("1", "2", CRITIC)] == [1, 5, 7]
    more = put(*[CARRIES.replace("10%", f"{n}%") for n in range(20, 22)])
    assert "may register 1 more" in bench.refuses("register", more, by="1")


def test_a_draft_is_no_answer_of_before_a_registration(bench):
    before = bench.says("draft", {"claims": [CARRIES]})
    bench.test(bench.call("register", put(CARRIES)))
    after = bench.says("draft", {"claims": [CARRIES]})
    assert "Slot 1 is next" in before
    assert "Slot 2 is next" in after
    assert "A duplicate" in after
