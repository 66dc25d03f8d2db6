"""Misfits of one cause are one problem, and no list is longer than ten."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from lakatos.tools.behaviour import told
from lakatos.tools.behaviour.problems import MOST, Misfit, Problem, apart, grouped, named, of_control

causes = st.sampled_from(["length", "position X", "answer tokens", "draw"])
misfits = st.lists(st.builds(Misfit, causes, st.text("abc", min_size=1, max_size=3)), max_size=40)


@given(misfits)
def test_each_cause_is_one_problem_and_no_misfit_is_lost(found: list[Misfit]) -> None:
    problems = grouped(found)
    assert [problem.cause for problem in problems] == list(dict.fromkeys(misfit.cause for misfit in found))
    for problem in problems:
        alike = [str(misfit) for misfit in found if misfit.cause == problem.cause]
        assert problem.text == alike[0]
        assert problem.count == len(set(alike))
        assert (f"And {problem.count - 1} like this" in str(problem)) == (problem.count > 1)


@given(st.dictionaries(st.text("abcdefg", min_size=1), st.integers(1, 4), max_size=30), st.none() | st.just(1))
def test_those_apart_are_the_ones_that_are_not_as_most_are(sizes: dict[str, int], wanted: int | None) -> None:
    found = apart("fillers.name", sizes, wanted)
    others = found[0].others if found else {}
    rest = {size for entry, size in sizes.items() if entry not in others}
    assert len(rest) <= 1
    assert all(sizes[entry] == size for entry, size in others.items())
    if wanted is None and found:
        assert len(sizes) - len(others) == max(Counter(sizes.values()).values())
        assert found[0].usual in rest
    if wanted is not None:
        assert set(others) == {entry for entry, size in sizes.items() if size != wanted}
    if found:
        said = str(found[0])
        assert sum(f"{entry!r}" in said for entry in others) >= min(len(others), MOST)
        assert (f"and {len(others) - MOST} like these" in said) == (len(others) > MOST)


def test_fillers_apart_are_named_with_their_tokens() -> None:
    (found,) = apart("fillers.name (exploration)", {"Ann": 1, "Bob": 1, "Eve": 1, "Bartholomew": 3, "Zoe": 2, "Io": 2})
    assert str(found) == (
        "fillers.name (exploration): 'Zoe', 'Io' are 2 tokens; 'Bartholomew' is 3 tokens where most are 1"
    )


@given(st.integers(0, 40))
def test_at_most_ten_are_told_and_how_many_more_there_are(n: int) -> None:
    problems = [Problem(f"c{k}", f"problem {k}") for k in range(n)]
    shown = told(problems)
    assert shown[:MOST] == [f"problem {k}" for k in range(min(n, MOST))]
    assert shown[MOST:] == ([f"and {n - MOST} more problem{'s' if n > MOST + 1 else ''}"] if n > MOST else [])
    names = [f"name{k}" for k in range(n)]
    assert named(names).count("name") == min(n, MOST)
    assert (f"and {n - MOST} like these" in named(names)) == (n > MOST)


def test_a_problem_of_a_control_says_so_and_is_json_too() -> None:
    fillers = tuple(apart("fillers.name (exploration)", {"Ann": 1, "Bob": 1, "Zoe": 2}))
    (problem,) = of_control("quiet", [Problem("length", "too long; cut it", 3, fillers)])
    document = problem.document()
    assert document["said"] == str(problem)
    assert str(problem).startswith("control quiet: too long; cut it. fillers.name (exploration): 'Zoe' is 2 tokens")
    assert document["fillers"][0]["others"] == {"Zoe": 2}
    assert (document["cause"], document["count"], document["of"]) == ("length", 3, "quiet")
