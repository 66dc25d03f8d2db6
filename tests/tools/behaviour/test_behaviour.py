"""The behaviour files, their generator, and what is said about a malformed one."""

from __future__ import annotations

import copy
import itertools
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from lakatos.tools.behaviour import SPLITS, Behaviour, Exhausted, builtin_behaviours, load_behaviour, parse_markup
from lakatos.tools.behaviour.markup import Markup, entity, escape
from lakatos.tools.errors import UserError

TOY: dict[str, Any] = {
    "name": "toy",
    "version": 1,
    "question": "Who gives?",
    "selected_because": "It is small.",
    "fillers": {
        "person": {
            "exploration": [{"name": "Ann", "pronoun": "she"}, {"name": "Bob", "pronoun": "he"}],
            "confirmation": [{"name": "Cat", "pronoun": "she"}, {"name": "Dan", "pronoun": "he"}],
        },
        "thing": {"exploration": ["ring", "cup", "hat"], "confirmation": ["pen", "bag", "map"]},
    },
    "draw": {"a": "person", "b": "person", "thing": "thing"},
    "distinct": [["a.pronoun", "b.pronoun"]],
    "clean": {"who": "{a.name}"},
    "corrupted": {"who": "{b.name}"},
    "answer": " {a.pronoun}",
    "wrong": " {b.pronoun}",
    "templates": {
        "exploration": [{"id": "gave", "text": "Then [WHO:{who}] gave a [THING:{thing}] because"}],
        "confirmation": [{"id": "took", "text": "Then [WHO:{who}] took the [THING:{thing}] until"}],
    },
}
GIVEN: dict[str, Any] = {key: TOY[key] for key in ("name", "version", "question", "selected_because")} | {
    "pairs": {
        "exploration": [
            {
                "clean": f"{i} plus [N:two] is",
                "corrupted": f"{i} plus [N:ten] is",
                "answer": " x",
                "wrong": " y",
            }
            for i in range(5)
        ],
        "confirmation": [{"clean": "A [N:b] c", "corrupted": "A [N:d] c", "answer": " {x}", "wrong": " y"}],
    }
}


def changed(path: str, value: Any, base: dict[str, Any] = TOY) -> dict[str, Any]:
    data = copy.deepcopy(base)
    *parents, last = path.split("/")
    place = data
    for key in parents:
        place = place[int(key) if isinstance(place, list) else key]
    place[int(last) if isinstance(place, list) else last] = value
    return data


def toy(**changes: Any) -> Behaviour:
    return Behaviour.model_validate(TOY | changes)


def test_a_pair_is_what_the_file_says() -> None:
    pair = toy().sample(1)[0]
    assert pair.template == "gave"
    start, end = pair.spans_clean["WHO"]
    name = pair.clean[start:end]
    thing = slice(*pair.spans_clean["THING"])
    assert pair.clean == f"Then {name} gave a {pair.clean[thing]} because"
    assert pair.answer == {"Ann": " she", "Bob": " he"}[name]
    assert {pair.answer, pair.wrong} == {" she", " he"}
    assert pair.corrupted[slice(*pair.spans_corrupted["WHO"])] == {"Ann": "Bob", "Bob": "Ann"}[name]
    assert len(pair.uid) == 16


def test_distinct_and_no_filler_twice() -> None:
    pairs = list(itertools.islice(toy(distinct=[]).stream(0, "exploration"), 6))
    assert all(pair.clean != pair.corrupted for pair in pairs)


@pytest.mark.parametrize("name", builtin_behaviours())
@pytest.mark.parametrize("split", SPLITS)
def test_seeds_reproduce_and_skip_continues(name: str, split: Any) -> None:
    behaviour = load_behaviour(name)
    whole = behaviour.sample(48, 2**255 + 7, split)
    assert behaviour.sample(48, 2**255 + 7, split) == whole
    batches = [behaviour.sample(16, 2**255 + 7, split, skip=16 * i) for i in range(3)]
    assert batches[0].concat(*batches[1:]) == whole
    assert behaviour.sample(48, 1, split).pairs != whole.pairs


def test_a_stream_is_the_same_in_every_version() -> None:
    """Pinned: stored seeds must give the prompts that they gave when they were registered."""
    assert [pair.clean for pair in toy().sample(3, seed=5)] == PINNED
    assert toy().hash == PINNED_HASH


@pytest.mark.parametrize("name", builtin_behaviours())
def test_builtins_are_large_disjoint_and_explained(name: str) -> None:
    behaviour = load_behaviour(name)
    assert behaviour.name == name
    assert behaviour.considered
    assert set(behaviour.controls) <= set(builtin_behaviours())
    uids = {split: {pair.uid for pair in behaviour.sample(2000, 3, split)} for split in SPLITS}
    assert [len(found) for found in uids.values()] == [2000, 2000]
    assert not uids["exploration"] & uids["confirmation"]
    for lists in behaviour.fillers.values():
        assert not {entity(f) for f in lists.exploration} & {entity(f) for f in lists.confirmation}
    assert behaviour.templates is not None
    minimum = 12 if behaviour.kind == "text" else 6
    assert min(len(behaviour.templates.of(split)) for split in SPLITS) >= minimum
    drawn = {pair.template for pair in behaviour.sample(1000, 0, "confirmation")}
    assert drawn == {template.id for template in behaviour.templates.confirmation}


def test_an_exhausted_space_says_how_many_there_are() -> None:
    assert len(toy().sample(6)) == 6
    with pytest.raises(Exhausted, match="only 6 distinct exploration pairs"):
        toy().sample(7)


def test_given_pairs() -> None:
    behaviour = Behaviour.model_validate(GIVEN)
    assert behaviour.finite
    assert not toy().finite
    assert behaviour.named_positions == ["N", "END"]
    first, second = behaviour.sample(5, seed=1), behaviour.sample(5, seed=2)
    assert {pair.uid for pair in first} == {pair.uid for pair in second}
    assert first.pairs != second.pairs
    assert behaviour.sample(1, split="confirmation")[0].answer == " {x}"
    with pytest.raises(UserError, match=r"only 5 distinct exploration pairs.*add pairs"):
        behaviour.sample(6)


def test_named_positions_are_those_of_every_template() -> None:
    assert toy().named_positions == ["WHO", "THING", "END"]
    fewer = changed("templates/confirmation/0/text", "Then [WHO:{who}] took the {thing} until")
    assert Behaviour.model_validate(fewer).named_positions == ["WHO", "END"]


def test_the_hash_follows_the_prompts_and_nothing_else() -> None:
    behaviour = toy()
    assert behaviour.hash.startswith("sha256:")
    assert toy(question="Why?", considered=["x"], changelog=["2: y"], version=2, controls=[]).hash == behaviour.hash
    reordered = copy.deepcopy(TOY)
    reordered["draw"] = dict(reversed(TOY["draw"].items()))
    other = Behaviour.model_validate(reordered)
    assert other.hash == behaviour.hash
    assert other.sample(5).pairs == behaviour.sample(5).pairs
    fields = changed("fillers/person/exploration/0", {"pronoun": "she", "name": "Ann"})
    assert behaviour.model_copy(update={"bos": "\n"}).hash == Behaviour.model_validate(changed("bos", "\n")).hash
    for data in (changed("bos", "\n"), changed("answer", "{a.pronoun}"), fields):
        assert Behaviour.model_validate(data).hash != behaviour.hash


FAMILIES: dict[str, Any] = {
    "formal": [{"id": "handed", "text": "It was [WHO:{who}] who handed over the [THING:{thing}] after"}],
    "brief": [
        {"id": "kept", "text": "[WHO:{who}] kept a [THING:{thing}] as"},
        {"id": "lost", "text": "[WHO:{who}] lost a [THING:{thing}] as"},
    ],
}


def test_a_family_has_templates_of_its_own_and_the_fillers_of_confirmation() -> None:
    behaviour = toy(families=FAMILIES)
    assert behaviour.origins == [
        ("exploration", None),
        ("confirmation", None),
        ("confirmation", "formal"),
        ("confirmation", "brief"),
    ]
    pairs = behaviour.sample(6, 5, "confirmation", family="formal")
    assert {pair.template for pair in pairs} == {"handed"}
    assert {pair.answer for pair in pairs} == {" she", " he"}
    assert all(pair.clean.startswith(("It was Cat who", "It was Dan who")) for pair in pairs)
    assert pairs.family == "formal"
    assert behaviour.sample(6, split="confirmation").family is None
    assert not {"handed", "kept", "lost"} & {
        pair.template for split in SPLITS for pair in behaviour.sample(6, split=split)
    }
    with pytest.raises(Exhausted, match="only 6 distinct confirmation pairs of the family 'formal'"):
        behaviour.sample(7, split="confirmation", family="formal")
    with pytest.raises(UserError, match=r"takes no part in exploration.*split='confirmation'"):
        behaviour.sample(1, family="formal")
    with pytest.raises(UserError, match="no family 'casual'; its families are: 'formal', 'brief'"):
        behaviour.sample(1, split="confirmation", family="casual")
    with pytest.raises(UserError, match="no family 'casual'; its families are: none"):
        toy().sample(1, split="confirmation", family="casual")
    with pytest.raises(UserError, match="cannot be joined"):
        pairs.concat(behaviour.sample(1, split="confirmation"))


def test_families_count_in_the_hash_and_their_absence_does_not() -> None:
    assert toy(families={}).hash == PINNED_HASH
    assert toy(families=FAMILIES).hash == PINNED_HASH_WITH_FAMILIES
    assert toy(families=dict(reversed(FAMILIES.items()))).hash == PINNED_HASH_WITH_FAMILIES
    assert {name: load_behaviour(name).hash[7:19] for name in PINNED_BUILTINS} == PINNED_BUILTINS


@pytest.mark.parametrize("family", [None, "brief"])
def test_blocks_are_of_one_template_and_each_template_comes_once(family: str | None) -> None:
    behaviour = load_behaviour("greater_than") if family is None else toy(families=FAMILIES)
    templates = list(behaviour.texts("confirmation", family))
    whole = behaviour.sample(3 * len(templates), 2**255 + 7, "confirmation", family=family, per_template=3)
    drawn = [pair.template for pair in whole]
    assert sorted(drawn[::3]) == sorted(templates)
    assert drawn == [template for template in drawn[::3] for _ in range(3)]
    assert len({pair.uid for pair in whole}) == len(whole)
    halves = [behaviour.sample(3, 2**255 + 7, "confirmation", skip, family, 3) for skip in (0, 3)]
    assert halves[0].concat(halves[1]) == whole[:6]
    orders = {behaviour.sample(6, s, "confirmation", family=family, per_template=3)[0].template for s in range(60)}
    assert orders == set(templates)
    with pytest.raises(Exhausted, match=f"has {len(templates)} confirmation templates.*3 pairs of each"):
        behaviour.sample(3 * len(templates) + 1, 0, "confirmation", family=family, per_template=3)


def test_blocks_of_given_pairs_and_blocks_that_cannot_be_filled() -> None:
    labelled = changed("pairs/exploration/0/template", "other", GIVEN)
    behaviour = Behaviour.model_validate(labelled)
    assert {p.template for p in behaviour.sample(2, 1, per_template=1)} == {"given", "other"}
    with pytest.raises(Exhausted, match="template 'other' has only 1 distinct exploration pairs, and 2"):
        behaviour.sample(5, 1, per_template=2)
    with pytest.raises(Exhausted, match="template 'gave' has only 6 distinct"):
        toy().sample(7, per_template=7)
    with pytest.raises(UserError, match="per_template = 0"):
        toy().sample(1, per_template=0)


@given(st.sets(st.integers(0, 39), max_size=20), st.integers(0, 2**64), st.sampled_from(SPLITS))
@settings(max_examples=20, deadline=None)
def test_what_is_passed_over_never_comes_and_the_rest_is_the_same(places: set[int], seed: int, split: Any) -> None:
    behaviour = load_behaviour("ioi")
    whole = behaviour.sample(40, seed, split)
    without = {whole[place].uid for place in places}
    left = [pair for pair in whole if pair.uid not in without]
    assert list(behaviour.sample(len(left), seed, split, without=without)) == left
    skipped = behaviour.sample(len(left) - 3, seed, split, skip=3, without=frozenset(without))
    assert list(skipped) == left[3:]


def test_passing_over_all_there_is_says_so() -> None:
    uids = [pair.uid for pair in toy().sample(6)]
    assert [pair.uid for pair in toy().sample(2, without=uids[2:])] == uids[:2]
    for behaviour in (toy(), Behaviour.model_validate(GIVEN)):
        uids = [pair.uid for pair in behaviour.sample(5)]
        n = 6 if behaviour.pairs is None else 5
        with pytest.raises(Exhausted, match=f"only {n - 2} distinct exploration pairs beside 2 that are passed over"):
            behaviour.sample(n - 1, 3, without=[*uids[:2], "another behaviour's"])


def test_templates_are_passed_over_where_they_come_in_blocks() -> None:
    behaviour = toy(families=FAMILIES)
    ids = [template.id for template in behaviour.families["brief"]]
    whole = behaviour.sample(3 * len(ids), 5, "confirmation", family="brief", per_template=3)
    first, *others = [pair.template for pair in whole[::3]]
    left = behaviour.sample(3 * len(others), 5, "confirmation", 0, "brief", 3, without={first})
    assert [pair.template for pair in left[::3]] == others
    with pytest.raises(Exhausted, match=rf"has {len(others)} confirmation templates.*beside 1 that are passed over"):
        behaviour.sample(3 * len(ids), 5, "confirmation", 0, "brief", 3, without={first})


def test_pairs_are_passed_over_in_blocks_too() -> None:
    uids = [pair.uid for pair in toy().sample(6)]
    assert {pair.uid for pair in toy().sample(4, per_template=4, without=uids[:2])} == set(uids[2:])
    with pytest.raises(
        Exhausted, match="template 'gave' has only 4 distinct exploration pairs beside 2 that are passed"
    ):
        toy().sample(5, per_template=5, without=uids[:2])


def test_slices_are_prompt_pairs_and_strangers_are_not_joined() -> None:
    pairs = toy().sample(4)
    assert pairs[1:3].pairs == pairs.pairs[1:3]
    assert pairs[1:3].hash == pairs.hash
    assert pairs[:1].concat(toy().sample(1, seed=9)).seed is None
    with pytest.raises(UserError, match="cannot be joined"):
        pairs.concat(toy().sample(1, split="confirmation"))


def test_text_has_no_answers() -> None:
    pair = load_behaviour("plain_text").sample(1)[0]
    assert (pair.corrupted, pair.answer, pair.wrong, pair.spans_corrupted) == ("", "", "", {})


def test_answers_lists_what_the_fillers_can_form() -> None:
    assert toy().answers("exploration") == [" he", " she"]
    assert Behaviour.model_validate(GIVEN).answers("confirmation") == [" y", " {x}"]
    assert load_behaviour("ioi").answers("exploration", limit=3) == []


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (changed("nmae", "x"), "nmae.*did you mean name"),
        (changed("colour", "x"), "colour.*remove it"),
        ({k: v for k, v in TOY.items() if k != "question"}, "question: .*add it"),
        (
            changed("fillers/thing/exploration/1", 1741),
            "fillers.thing.exploration.1: .*1741: write it in quotes",
        ),
        (changed("fillers/thing/exploration/1", "pen"), "fillers.thing: .*share 'pen'"),
        (changed("fillers/person/exploration/1/name", "Cat"), "fillers.person: .*share 'Cat'"),
        (changed("fillers/thing/confirmation", []), "fillers.thing.confirmation: "),
        (
            changed("fillers/person/confirmation", [{"name": "Cat", "pronoun": "she"}]),
            "fillers.person: 2 variables",
        ),
        (changed("fillers/person/exploration/1", {"name": "Bob"}), "answer: .*no field 'pronoun'.*'name'"),
        (changed("fillers/thing/exploration/1", {}), "fillers.thing: .*empty record"),
        (changed("draw/thing", "things"), "draw.thing: no fillers of kind 'things'.*'thing'"),
        (changed("distinct", [["a.pronoun", "c.pronoun"]]), "distinct: .*no variable 'c'"),
        (changed("distinct", [["a.name", "a.name"]]), "distinct: no draw of exploration fillers"),
        (changed("clean/thing", "{a.name}"), "corrupted: defines 'who', clean defines 'thing', 'who'"),
        (changed("answer", " {c}"), "answer: .*no variable 'c'"),
        (changed("answer", " {thing.name}"), "answer: .*plain string.*no fields"),
        (changed("answer", " [WHO:{a}]"), "answer: only templates have named positions"),
        (changed("answer", " she"), "answer and wrong are both ' she'.*distinct"),
        (changed("answer", None), "answer: missing"),
        (changed("wrong", None), "wrong: missing"),
        (changed("corrupted/who", "{a.name}"), "clean and corrupted are the same text"),
        (changed("templates/exploration/0/text", "a [WHO:{whom}] b"), "templates.exploration.gave: .*'whom'"),
        (
            changed("templates/exploration/0/text", "[W:{who}] [W:x]"),
            "templates.exploration.gave: .*occurs twice",
        ),
        (
            changed("templates/exploration/0/text", TOY["templates"]["confirmation"][0]["text"]),
            r"templates \(text\)",
        ),
        (changed("templates/exploration/0/id", "took"), r"templates \(id\): .*share 'took'"),
        (changed("templates/exploration", TOY["templates"]["exploration"] * 2), "an id occurs twice"),
        (changed("templates", None), "either `templates` or `pairs`"),
        (changed("families", FAMILIES, GIVEN), "families: not used where `pairs` are given"),
        (TOY | {"families": {"Far off": FAMILIES["brief"]}}, "families.Far off: a name such as"),
        (TOY | {"families": {"empty": []}}, "families.empty: .*at least one template"),
        (TOY | {"families": {"brief": FAMILIES["brief"] * 2}}, "families.brief: an id occurs twice"),
        (TOY | {"families": FAMILIES | {"again": FAMILIES["formal"]}}, "families.again and families.formal share"),
        (TOY | {"families": {"same": TOY["templates"]["exploration"]}}, r"\(text\): exploration and families.same"),
        (
            TOY | {"families": {"mine": [{"id": "took", "text": "[WHO:{who}] [THING:{thing}]"}]}},
            r"templates \(id\): confirmation and families.mine share 'took'",
        ),
        (
            TOY | {"families": {"mine": [{"id": "x", "text": "[WHO:{who}] {thing}"}]}},
            "families.mine.x: has no position 'THING'",
        ),
        (
            TOY | {"families": {"mine": [{"id": "x", "text": "[WHO:{whom}] [THING:{thing}]"}]}},
            "families.mine.x: .*'whom'",
        ),
        (changed("kind", "text"), "kind: a text behaviour has templates only"),
        (changed("kind", "song"), "kind: "),
        (changed("name", "Not a name"), "name: "),
        (changed("draw", {"a": "thing"}, GIVEN), "draw: not used where `pairs` are given"),
        (changed("pairs/confirmation", GIVEN["pairs"]["exploration"][:1], GIVEN), "pairs: .*share '0 plus"),
        (changed("pairs/exploration/0/answer", " y", GIVEN), "answer and wrong are both ' y'"),
        (changed("pairs/exploration/0/clean", "{i} is", GIVEN), "no variable 'i'"),
    ],
)
def test_a_malformed_file_names_the_field(tmp_path: Path, data: dict[str, Any], said: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    with pytest.raises(UserError, match=said) as caught:
        load_behaviour(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "not valid YAML"),
        ("- a", "holds list"),
        ("", "holds nothing"),
        ("!!python/name:os.system", "valid YAML"),
    ],
)
def test_what_is_no_behaviour_file_at_all(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=said):
        load_behaviour(path)


def test_a_file_of_ones_own_loads(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(TOY), encoding="utf-8")
    assert load_behaviour(str(path)) == toy()
    assert load_behaviour(path).hash == toy().hash


def test_unknown_names_and_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no behaviour 'inductoin'\. Did you mean 'induction'\?.*plain_text"):
        load_behaviour("inductoin")
    with pytest.raises(UserError, match="cannot read"):
        load_behaviour(tmp_path / "absent.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"name: \xe9")
    with pytest.raises(UserError, match="cannot read"):
        load_behaviour(tmp_path / "latin.yaml")


def test_bad_arguments() -> None:
    with pytest.raises(UserError, match="no split 'test'"):
        toy().sample(1, split="test")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="negative"):
        toy().sample(-1)


@pytest.mark.parametrize(
    "text", ["{x.__class__}", "{x.a.b}", "{x[0]}", "{x!r}", "{x:>9}", "{}", "{0}", "{_x}", "}", "["]
)
def test_nothing_but_variables_and_fields_is_substituted(text: str) -> None:
    with pytest.raises(UserError):
        parse_markup(text).render({"x": {"a": "b"}, "_x": "y"})


@pytest.mark.parametrize(
    ("text", "said"),
    [("[A:x", "never closed"), ("x]", "closes nothing"), ("[A:[B:x]]", "opens inside"), ("[END:x]", "always the last"),
     ("[A:]", "empty"), ("[a:x]", "in capitals, .A:")],
)  # fmt: skip
def test_malformed_spans(text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        parse_markup(text).render({})


def test_substituted_text_is_not_parsed_again() -> None:
    text, spans = parse_markup("[[{{[A:{x}]}}]]").render({"x": "[B:{y}]"})
    assert text == "[{[B:{y}]}]"
    assert spans == {"A": (2, 9)}


plain = st.text(st.sampled_from("ab [{}]:.A_é\n"), max_size=12)


@given(plain)
def test_escaped_text_comes_back(text: str) -> None:
    assert parse_markup(escape(text)).render({}) == (text, {})


@given(st.lists(st.tuples(plain, st.sampled_from(["text", "variable", "span"])), max_size=6))
def test_spans_are_where_the_text_is(parts: list[tuple[str, str]]) -> None:
    template, expected, values = "", "", {}
    where: dict[str, tuple[int, int]] = {}
    for i, (text, kind) in enumerate(parts):
        text = "x" + text  # "]" right after a span would belong to it
        if kind == "span":
            where[f"N{i}"] = (len(expected), len(expected) + len(text))
        values[f"v{i}"] = text
        inner = escape(text) if kind == "text" else f"{{v{i}}}"
        template += f"[N{i}:{inner}]" if kind == "span" else inner
        expected += text
    assert parse_markup(template).render(values) == (expected, where)


@given(st.text(st.sampled_from("aA0_.:[]{} \n"), max_size=30))
def test_any_text_parses_or_is_a_user_error(text: str) -> None:
    try:
        markup = parse_markup(text)
    except UserError:
        return
    assert isinstance(markup, Markup)
    try:
        markup.render({"a": "x", "A": {"a": "y"}})
    except UserError:
        return


PINNED = ["Then Bob gave a hat because", "Then Bob gave a ring because", "Then Ann gave a cup because"]
PINNED_HASH = "sha256:3680fd1d33c0678a85665754232fc6b9ee15c91ccfaff54c35950934325ed47f"
PINNED_HASH_WITH_FAMILIES = "sha256:fc95fb10a415d48f87e1181c6c8f009f42090e07ac9968d7571fe78272d4ddaa"
PINNED_BUILTINS = {"docstring": "2c92a2550415", "gendered_pronoun": "4cbf09413c2a", "plain_text": "37dc46405331"}
