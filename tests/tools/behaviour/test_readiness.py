"""All that a run would fail on is found beforehand, on prompts that are no study's."""

from __future__ import annotations

import copy
import random
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from models import NAMES, PLACES, TOY, TOY_TEXT, build_tokenizer
from pydantic import ValidationError

from lakatos.tools.behaviour import (
    Behaviour,
    available,
    builtin_behaviours,
    load_behaviour,
    load_controls,
    most_pairs,
    readiness_problems,
    static_problems,
)
from lakatos.tools.behaviour import supply_problems as supply_problems_module
from lakatos.tools.behaviour.encoding import answer_token
from lakatos.tools.behaviour.problems import Misfit, Problem
from lakatos.tools.behaviour.supply_problems import donor_problems, supply_problems
from lakatos.tools.errors import UserError
from lakatos.tools.experiment import EXPLORED
from lakatos.tools.statistics import MIN_EXPLORATION

TOKENIZER = build_tokenizer()


def toy(**changes: Any) -> Behaviour:
    return Behaviour.model_validate(TOY.model_dump() | changes)


def of_names(exploration: int, confirmation: int) -> Behaviour:
    """The toy behaviour with so many names and two templates: n (n - 1) prompts, and three times as many."""
    names = {"exploration": NAMES["exploration"][:exploration], "confirmation": NAMES["confirmation"][:confirmation]}
    return toy(fillers={"name": names, "place": PLACES})


def of_pairs(n: int, *, longer: int = 0) -> Behaviour:
    """A list of n pairs in either split, of which the last are longer, each by another word more."""
    made = {
        split: [
            {
                "clean": f"{a} [X:{b}] {the}and",
                "corrupted": f"{a} [X:{a}] {the}and",
                "answer": f" {b}",
                "wrong": f" {a}",
            }
            for k, (a, b) in enumerate([(a, b) for a in NAMES[split] for b in NAMES[split] if a != b][:n])
            for the in ["the " * max(0, k - n + longer + 1)]
        ]
        for split in NAMES
    }
    head = {"name": "mine", "version": 1, "question": "?", "selected_because": "!", "controls": []}
    return Behaviour.model_validate(head | {"pairs": made})


def said(problems: list[Problem]) -> str:
    return "\n".join(map(str, problems))


def ready(behaviour: Behaviour, max_pairs: int = 128, **more: Any) -> list[Problem]:
    return readiness_problems(behaviour, {"toy_text": TOY_TEXT}, TOKENIZER, max_pairs=max_pairs, **more)


def test_the_toy_behaviour_is_ready() -> None:
    assert EXPLORED == MIN_EXPLORATION
    assert ready(TOY) == []


@pytest.mark.parametrize("name", builtin_behaviours())
def test_builtins_have_all_that_a_test_needs(name: str) -> None:
    behaviour = load_behaviour(name)
    assert supply_problems(behaviour, 128) == []
    assert load_controls(behaviour, name)[1] == []


@pytest.mark.parametrize(("pairs", "cap"), [(84, 80), (80, 80), (79, 64), (16, 16), (15, 0)])
def test_the_cap_of_a_list_is_whole_batches_of_its_distinct_pairs(pairs: int, cap: int) -> None:
    assert most_pairs(of_pairs(pairs), 128) == cap
    assert most_pairs(of_pairs(pairs), 100) == min(cap, 96)


def test_a_pair_that_is_listed_twice_counts_once() -> None:
    data = of_pairs(84).model_dump()
    data["pairs"]["confirmation"][-5:] = data["pairs"]["confirmation"][:5]
    behaviour = Behaviour.model_validate(data)
    assert most_pairs(behaviour, 128) == 64
    assert "pairs (confirmation): 'Kim Leo and|Kim Kim and| Leo| Kim', " in said(ready(behaviour))


def test_a_generator_must_have_as_many_prompts_as_a_test_may_use() -> None:
    few = of_names(10, 5)  # 20 of one template, 60 of the other
    assert available(few, "confirmation") == 80
    assert "only 80 distinct confirmation pairs, and a test may need 128" in said(ready(few))
    assert ready(few, max_pairs=95, donors=False) == []
    assert most_pairs(few, 128) == 80


@pytest.mark.heavy
def test_more_exploration_pairs_than_there_are_can_be_asked_for() -> None:
    assert available(TOY, "exploration") == 360
    assert ready(TOY, explored=360) == []
    assert "361 are explored: add templates or fillers or lower --attribution-pairs" in said(ready(TOY, explored=361))


def test_many_templates_need_a_block_of_each() -> None:
    def wide(last: str) -> list[Problem]:
        one, ten = [{"e": "Kim", "a": "Leo"}], [{"e": name, "a": "Ann"} for name in NAMES["exploration"][1:]]
        many = [{"id": f"t{k}", "text": f"{'a ' * k}then [X:{{w}}] and {{place}}"} for k in range(63)]
        explored = [{"id": f"e{k}", "text": f"{'a ' * k}when [X:{{w}}] and {{place}}"} for k in range(9)]
        behaviour = toy(
            fillers={"name": {"exploration": ten, "confirmation": one}, "place": PLACES},
            draw={"n": "name", "place": "place"},
            clean={"w": "{n.e}"},
            corrupted={"w": "{n.a}"},
            answer=" {n.e}",
            wrong=" {n.a}",
            templates={"exploration": explored, "confirmation": [*many, {"id": "last", "text": last}]},
        )
        return supply_problems(behaviour, 128)

    assert wide("it was [X:{w}] and {place}") == []
    assert "the template 'last' has only 1 distinct confirmation pairs, and 2 were asked" in said(wide("was [X:{w}]"))


def test_a_prompt_without_a_like_is_found_although_it_is_rare() -> None:
    assert donor_problems(of_pairs(90, longer=0), TOKENIZER)[0].text.startswith("exploration: ")  # 64 and 26 others
    problems = donor_problems(of_pairs(90, longer=1), TOKENIZER)
    assert [problem.text.split(":")[0] for problem in problems] == ["exploration", "confirmation"]
    assert "as many tokens as 'Tom Sue the and', which resample ablation needs. Add pairs" in problems[1].text


def test_one_prompt_of_a_thousand_is_found_that_no_batch_meets(monkeypatch: pytest.MonkeyPatch) -> None:
    data = of_pairs(90).model_dump()
    many = [
        pair | {side: f"day{k} {pair[side]}" for side in ("clean", "corrupted")}
        for k in range(10)
        for pair in data["pairs"]["confirmation"]
    ]
    many[0] |= {side: f"the {many[0][side]}" for side in ("clean", "corrupted")}
    data["pairs"] = {"exploration": [pair | {"clean": f"x {pair['clean']}"} for pair in many], "confirmation": many}
    for pair in data["pairs"]["exploration"]:
        pair["corrupted"] = f"x {pair['corrupted']}"
    monkeypatch.setattr(supply_problems_module, "_TRIES", {"exploration": 0, "confirmation": 0})
    problems = donor_problems(Behaviour.model_validate(data), TOKENIZER)
    assert ["'x the day0 Kim Leo and'" in problem.text for problem in problems] == [True, False]
    assert "'the day0 Kim Leo and'" in problems[1].text


@pytest.mark.heavy
def test_donors_are_looked_for_in_families_and_only_where_claims_may_need_them() -> None:
    gave = "[IO:{io}] and {s} met . [S2:{s2}] gave it to"
    lengths = ["old " * k + "mill" for k in range(40)]  # one for each order of two names, so that few prompts are alike
    behaviour = toy(
        families={"far": [{"id": "far", "text": "it was {place} . " + gave}]},
        fillers={
            "name": {"exploration": NAMES["exploration"], "confirmation": ["Kim", "Leo"]},
            "place": {"exploration": PLACES["exploration"], "confirmation": lengths},
            "day": {"exploration": ["monday"], "confirmation": [f"day{k}" for k in range(60)]},
        },
        draw={"io": "name", "s": "name", "place": "place", "day": "day"},
        templates=TOY.model_dump()["templates"] | {"confirmation": [{"id": "near", "text": "{day} . " + gave}]},
    )
    (problem,) = ready(behaviour, max_pairs=64)
    assert problem.text.startswith("family far: toy: found no other prompt of the template 'far'")
    assert ready(behaviour, max_pairs=64, donors=False) == []


def test_the_fillers_that_make_lengths_differ_are_named_once() -> None:
    names = {split: [*names] for split, names in NAMES.items()}
    names["exploration"][3], names["exploration"][7] = "Mary Ann", "Bob the big"
    problems = static_problems(toy(fillers={"name": names, "place": PLACES}), TOKENIZER)
    assert [problem.cause for problem in problems] == ["length", "answer tokens"]
    length, answer = problems
    assert [(apart.list, apart.others) for apart in length.fillers] == [
        ("fillers.name (exploration)", {"Mary Ann": 2, "Bob the big": 3})
    ]
    assert [(apart.list, apart.others) for apart in answer.fillers] == [
        ("answers (exploration)", {" Mary Ann": 2, " Bob the big": 3})
    ]
    assert length.count > 20


def test_a_missing_position_names_those_that_lack_it() -> None:
    data = TOY.model_dump()
    data["templates"]["confirmation"][0]["text"] = "{io} and {s} met . then [S2:{s2}] gave it to"
    (problem,) = static_problems(Behaviour.model_validate(data), TOKENIZER)
    assert "missing from templates.confirmation.short2; mark it there as [IO:...]" in problem.text
    listed = of_pairs(20).model_dump()
    for k in range(3, 18):
        listed["pairs"]["exploration"][k]["clean"] = listed["pairs"]["exploration"][k]["clean"].replace("[X:", "[Y:")
    lacking = {p.cause: p.text for p in static_problems(Behaviour.model_validate(listed), TOKENIZER)}
    assert "pairs.exploration.3, pairs.exploration.4" in lacking["missing X"]
    assert "pairs.exploration.12, and 5 like these; mark" in lacking["missing X"]
    assert "pairs.exploration.0, " in lacking["missing Y"]


@pytest.mark.parametrize(
    ("clean", "answer", "advice"),
    [
        ("then [X:Ann] gave", "Bob", "begin the answer with a space: ' Bob'"),
        ("then [X:Ann] gave ", "Bob", "move the space from the prompt to the answer, which is then ' Bob'"),
        ("then [X:Ann] gave ", " Bob", "move the space from the prompt to the answer, which is then ' Bob'"),
        ("then [X:Ann] gave .", ".", "choose another answer, or end the prompt with other text"),
    ],
)
def test_advice_fits_the_cause(clean: str, answer: str, advice: str) -> None:
    pair = {"clean": clean, "corrupted": clean.replace("Ann", "Eve"), "answer": answer, "wrong": " Leo"}
    data = of_pairs(1).model_dump()
    data["pairs"]["exploration"] = [pair]
    problems = static_problems(Behaviour.model_validate(data), TOKENIZER)
    assert [advice in str(problem) for problem in problems] == [True]


def test_an_answer_of_several_tokens_is_told_whether_the_space_is_to_blame() -> None:
    class Spaced:
        """A word with its space is one token, and letters without one are tokens each."""

        def __call__(self, text: str, *, add_special_tokens: bool, return_offsets_mapping: bool) -> dict[str, Any]:
            assert (add_special_tokens, return_offsets_mapping) == (False, True)
            found = list(re.finditer(r" [A-Za-z]+|.", text))
            return {"input_ids": [hash(m.group()) % 9999 for m in found], "offset_mapping": [m.span() for m in found]}

    with pytest.raises(Misfit, match="begin it with a space: ' Bob' is one token"):
        answer_token("Bob", Spaced())
    with pytest.raises(Misfit, match=r"' \.' is 2 tokens.*only without its space, '\.', is it one token"):
        answer_token(" .", Spaced())
    with pytest.raises(Misfit, match=r"answer '' is 0 tokens.*write one"):
        answer_token("", Spaced())


@pytest.mark.heavy
def test_prompts_are_never_those_of_a_study(monkeypatch: pytest.MonkeyPatch) -> None:
    """A study's seeds are digests of 256 bits; all that is drawn here comes from small numbers."""
    seeds = []
    real = Behaviour.stream

    def noted(self: Behaviour, seed: int, *args: Any, **kwargs: Any) -> Any:
        seeds.append(seed)
        return real(self, seed, *args, **kwargs)

    monkeypatch.setattr(Behaviour, "stream", noted)
    assert ready(TOY) == []
    assert len(seeds) > 50
    assert all(abs(seed) < 100 for seed in seeds)


JUNK = st.one_of(
    st.none(), st.integers(-3, 3), st.text("a{}[]:A ", max_size=6), st.just([]), st.just({}), st.just(["Ann"])
)


@settings(max_examples=20, deadline=None)
@given(st.randoms(use_true_random=False), JUNK)
def test_a_spoilt_file_is_a_user_error_or_has_problems_but_never_crashes(rng: random.Random, junk: Any) -> None:
    data = copy.deepcopy(TOY.model_dump())
    place: Any = data
    while True:
        key = rng.choice(sorted(place) if isinstance(place, dict) else range(len(place)))
        if not isinstance(place[key], dict | list) or not place[key] or rng.random() < 0.2:
            break
        place = place[key]
    place[key] = junk
    try:
        behaviour = Behaviour.model_validate(data)
    except (UserError, ValidationError):
        return
    for problem in readiness_problems(behaviour, {}, TOKENIZER, max_pairs=32):
        assert str(problem)
