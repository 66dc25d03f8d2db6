"""Tokens, positions, and everything that would silently spoil a patching experiment."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from lakatos.tools.behaviour import SPLITS, Behaviour, builtin_behaviours, encode, load_behaviour, static_problems
from lakatos.tools.errors import UserError


class WordTokenizer:
    """Words with their leading space, in pieces of at most `piece` letters; anything else is a token by itself."""

    bos_token_id: int | None = 0

    def __init__(self, piece: int = 99) -> None:
        self.ids: dict[str, int] = {}
        self.pattern = re.compile(rf" ?[A-Za-z]{{1,{piece}}}|.", re.DOTALL)

    def __call__(self, text: str, *, add_special_tokens: bool, return_offsets_mapping: bool) -> dict[str, Any]:
        assert not add_special_tokens
        found = list(self.pattern.finditer(text))
        ids = [self.ids.setdefault(match.group(), len(self.ids) + 1) for match in found]
        return {"input_ids": ids, "offset_mapping": [match.span() for match in found]}

    def text(self, ids: Any) -> str:
        words = {i: word for word, i in self.ids.items()}
        return "".join(words[int(i)] for i in ids)


def given(*pairs: dict[str, str], bos: str | None = None) -> Behaviour:
    """A finite behaviour that has the same pairs in either split, but for a last word."""
    later = [pair | {side: pair[side] + " then" for side in ("clean", "corrupted")} for pair in pairs]
    return Behaviour.model_validate(
        {"name": "mine", "version": 1, "question": "?", "selected_because": "!", "bos": bos}
        | {"pairs": {"exploration": list(pairs), "confirmation": later}}
    )


def said_of(behaviour: Behaviour) -> list[str]:
    return [str(problem) for problem in static_problems(behaviour, WordTokenizer())]


def pair(clean: str = "the [X:big] cat", corrupted: str = "the [X:red] cat", **changes: str) -> dict[str, str]:
    return {"clean": clean, "corrupted": corrupted, "answer": " sat", "wrong": " ran"} | changes


def test_groups_by_length_and_keeps_order() -> None:
    long = [pair(f"a very [X:{w}] cat", f"a very [X:{v}] cat") for w, v in (("big", "red"), ("old", "new"))]
    short = [pair(f"a [X:{w}] cat", f"a [X:{v}] cat") for w, v in (("big", "red"), ("old", "new"))]
    pairs = given(*long, *short).sample(4, seed=3)
    tokenizer = WordTokenizer()
    batches = encode(pairs, tokenizer)
    assert [batch.clean.shape for batch in batches] == [(2, 3), (2, 4)]
    assert sorted(int(i) for batch in batches for i in batch.index) == [0, 1, 2, 3]
    for batch in batches:
        assert batch.clean.dtype == batch.answer.dtype == np.int64
        assert list(batch.index) == sorted(batch.index)
        for row, i in enumerate(batch.index):
            assert tokenizer.text(batch.clean[row]) == pairs[int(i)].clean
            assert tokenizer.text(batch.corrupted[row]) == pairs[int(i)].corrupted
            assert tokenizer.text(batch.answer[[row]]) == " sat"
            assert tokenizer.text(batch.wrong[[row]]) == " ran"
        width = batch.clean.shape[1]
        assert list(batch.positions["X"]) == [width - 2] * 2
        assert list(batch.positions["END"]) == [width - 1] * 2


def test_a_position_is_the_last_token_of_its_span() -> None:
    batch = encode(given(pair("the [X:big old] cat", "the [X:red new] cat")).sample(1), WordTokenizer())[0]
    assert batch.positions["X"][0] == 2
    pieces = encode(given(pair("the [X:bigger] cat", "the [X:redder] cat")).sample(1), WordTokenizer(piece=3))[0]
    assert pieces.positions["X"][0] == 2


@pytest.mark.parametrize(("bos", "first"), [("\n", "\n"), ("model", None)])
def test_bos_is_one_token_and_shifts_positions(bos: str, first: str | None) -> None:
    tokenizer = WordTokenizer()
    batch = encode(given(pair(), bos=bos).sample(1), tokenizer)[0]
    assert batch.clean.shape == (1, 4)
    assert batch.clean[0, 0] == batch.corrupted[0, 0] == (tokenizer.ids[first] if first else 0)
    assert (batch.positions["X"][0], batch.positions["END"][0]) == (2, 3)


def test_positions_that_only_some_pairs_have_are_left_out() -> None:
    behaviour = given(pair(), pair("the old cat", "the new cat"))
    assert set(encode(behaviour.sample(2), WordTokenizer())[0].positions) == {"END"}
    assert any("position X is not in every prompt" in said for said in said_of(behaviour))


def test_plain_text_is_its_own_corruption() -> None:
    pairs = load_behaviour("plain_text").sample(8)
    for batch in encode(pairs, WordTokenizer()):
        assert np.array_equal(batch.clean, batch.corrupted)
        assert not batch.answer.any()
        assert not batch.wrong.any()
        assert set(batch.positions) == {"END"}


def test_nothing_gives_nothing() -> None:
    assert encode(given(pair()).sample(0), WordTokenizer()) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"corrupted": "the [X:very red] cat"}, "differ in length.*3 tokens.*4 tokens.*equally many"),
        ({"corrupted": "the red [X:cat]"}, "position X is token 1 .*but 2"),
        ({"answer": " sat down"}, r"answer ' sat down' is 2 tokens, \[' sat', ' down'\]"),
        ({"wrong": ""}, "answer '' is 0 tokens"),
        ({"answer": "nap"}, "'nap' merges with the end of the prompt.*catnap"),
    ],
)
def test_errors_name_the_prompt_and_the_cure(changes: dict[str, str], said: str) -> None:
    behaviour = given(pair(**changes))
    with pytest.raises(UserError, match=said):
        encode(behaviour.sample(1), WordTokenizer())
    assert any(re.search(said, problem) for problem in said_of(behaviour))


def test_a_prompt_that_ends_in_a_space_is_refused() -> None:
    class Greedy(WordTokenizer):
        def __init__(self) -> None:
            super().__init__()
            self.pattern = re.compile(r" ?[A-Za-z]+ (?![A-Za-z])| ?[A-Za-z]+|.", re.DOTALL)

    with pytest.raises(UserError, match="merges"):
        encode(given(pair("the [X:big] cat ", "the [X:red] cat ", answer="sat", wrong="ran")).sample(1), Greedy())


def test_a_bos_of_several_tokens_is_refused() -> None:
    behaviour = given(pair(), bos="two words")
    with pytest.raises(UserError, match=r"bos: 'two words' is 2 tokens here, \['two', ' words'\]"):
        encode(behaviour.sample(1), WordTokenizer())
    assert len(static_problems(behaviour, WordTokenizer())) == 1


def test_a_model_without_bos_is_refused() -> None:
    tokenizer = WordTokenizer()
    tokenizer.bos_token_id = None
    with pytest.raises(UserError, match="has none"):
        encode(given(pair(), bos="model").sample(1), tokenizer)


def test_a_slow_tokenizer_is_refused() -> None:
    class Slow(WordTokenizer):
        def __call__(self, text: str, **options: Any) -> dict[str, Any]:
            raise NotImplementedError

    with pytest.raises(UserError, match="no character offsets"):
        encode(given(pair()).sample(1), Slow())


@pytest.mark.parametrize("name", builtin_behaviours())
def test_builtins_are_sound_for_a_tokenizer_of_words_and_digits(name: str) -> None:
    assert static_problems(load_behaviour(name), WordTokenizer()) == []


def test_static_problems_looks_at_families() -> None:
    long = {"id": "x", "text": "one {w} for the [X:{v}] cat and {word}"}
    behaviour = Behaviour.model_validate(
        {"name": "mine", "version": 1, "question": "?", "selected_because": "!"}
        | {"fillers": {"word": {"exploration": ["big", "red"], "confirmation": ["old", "new"]}}}
        | {"draw": {"word": "word"}, "clean": dict.fromkeys("wv", "{word}")}
        | {"corrupted": {"w": "a{word}", "v": "{word} b"}}
        | {"answer": " sat", "wrong": " ran", "families": {"long": [long]}}
        | {"templates": {split: [{"id": split, "text": f"the {split} {{w}}"}] for split in SPLITS}}
    )
    short = behaviour.model_copy(update={"corrupted": dict.fromkeys("wv", "a{word}")})
    (said,) = said_of(short)
    assert "missing from templates.exploration.exploration, templates.confirmation.confirmation;" in said
    assert any("(template x)" in problem for problem in said_of(behaviour))


def test_static_problems_looks_at_every_filler_of_an_answer() -> None:
    behaviour = load_behaviour("capital_of")
    problems = static_problems(behaviour, WordTokenizer(piece=9), n=1)
    assert any("' Copenhagen' is 2 tokens" in str(problem) for problem in problems)
