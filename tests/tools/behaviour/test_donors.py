"""Every tested prompt gets a stand-in of its own shape."""

from __future__ import annotations

import pytest
from models import TOY, build_tokenizer

from lakatos.tools.behaviour import Behaviour, draw_donors
from lakatos.tools.errors import UserError

TOKENIZER = build_tokenizer()
PAIRS = TOY.sample(40, seed=5, split="confirmation")


def test_same_template_length_split_and_order() -> None:
    donors = draw_donors(TOY, PAIRS, TOKENIZER, seed=6)
    assert (len(donors), donors.split, donors.hash) == (40, "confirmation", TOY.hash)
    for pair, donor in zip(PAIRS, donors, strict=True):
        assert donor.template == pair.template
        assert len(TOKENIZER(donor.clean)["input_ids"]) == len(TOKENIZER(pair.clean)["input_ids"])


def test_none_is_tested_and_none_comes_twice() -> None:
    donors = draw_donors(TOY, PAIRS, TOKENIZER, seed=5)  # the same stream that the pairs came from
    uids = {donor.uid for donor in donors}
    assert len(uids) == 40
    assert not uids & {pair.uid for pair in PAIRS}


def test_the_seed_decides() -> None:
    first, again, other = (draw_donors(TOY, PAIRS, TOKENIZER, seed) for seed in (6, 6, 7))
    assert first.pairs == again.pairs
    assert first.pairs != other.pairs


def test_prompts_of_a_family_have_donors_of_that_family() -> None:
    template = {"id": "apart", "text": "it was {s} . [S2:{s2}] and [IO:{io}] met . {s2} gave it to"}
    behaviour = Behaviour.model_validate(TOY.model_dump() | {"families": {"far": [template]}})
    pairs = behaviour.sample(5, 5, "confirmation", family="far")
    donors = draw_donors(behaviour, pairs, TOKENIZER, seed=6)
    assert {donor.template for donor in donors} == {"apart"}
    assert (donors.family, donors.seed) == ("far", 6)


def test_a_prompt_without_a_donor_is_named() -> None:
    few = Behaviour.model_validate(
        TOY.model_dump()
        | {
            "fillers": {
                "name": {"exploration": ["Ann", "Bob"], "confirmation": ["Kim", "Leo"]},
                "place": {"exploration": ["park"], "confirmation": ["bank", "old mill"]},
            }
        }
    )
    pairs = few.sample(6, split="confirmation")  # all there are: two orders of names; none, one or two words of place
    with pytest.raises(UserError, match=r"more were asked for"):
        few.sample(7, split="confirmation")
    with pytest.raises(UserError, match=r"found no other prompt of the template"):
        draw_donors(few, pairs, TOKENIZER, seed=1)
    assert len(draw_donors(few, pairs[:1], TOKENIZER, seed=1)) == 1
