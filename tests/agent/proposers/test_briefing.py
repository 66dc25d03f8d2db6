"""What a language model is told: short, complete, each component once."""

from __future__ import annotations

import pytest

from lakatos.agent.proposers import proposal_prompt
from lakatos.agent.proposers.briefing import findings_by_component, refusal
from lakatos.agent.words import shortened
from lakatos.experiments_db.log import Refused
from lakatos.prompts import load_prompt
from lakatos.tools.behaviour import builtin_behaviours, load_behaviour
from lakatos.tools.component import Shape

GPT2_XL = Shape(48, 25, 25, 6400)
TASKS = [name for name in builtin_behaviours() if load_behaviour(name).kind != "text"]
MOST_TOKENS = 5000


def findings(behaviour, shape):
    """As many rows as exploration gives, of the longest names."""
    names = [f"a{layer}.h{head}" for layer in range(shape.n_layers) for head in range(shape.n_heads)]
    names = [*reversed(names), *(f"m{layer}" for layer in range(shape.n_layers))]
    places = [f"@{position}" for position in behaviour.named_positions] + [""]
    pairs = behaviour.sample(8, 0, "exploration")
    return {
        "attributions": [
            {"component": name + place, "score": 12.345 - k / 1e4, "sd": 2.345}
            for k, (name, place) in enumerate((name, place) for name in names for place in places)
        ],
        "direct": [{"component": name, "score": -k / 1e3} for k, name in enumerate(names)],
        "attention": [{"component": name, "to": to, "mass": 0.2} for name in names for to in behaviour.named_positions],
        "exemplars": [
            {
                "choice": "lower quartile",
                "clean": pair.clean,
                "corrupted": pair.corrupted,
                "answer": pair.answer,
                "wrong": pair.wrong,
                "clean_metric": 12.345,
            }
            for pair in pairs
        ],
    }


def told(name, **how):
    behaviour = load_behaviour(name)
    found = findings(behaviour, GPT2_XL)
    return proposal_prompt(load_prompt("propose"), behaviour, "gpt2-xl", GPT2_XL, 4.2, found, how_many=16, **how)


@pytest.mark.parametrize("name", TASKS)
def test_the_first_prompt_is_short(name):
    assert len(told(name)) < 3 * MOST_TOKENS


@pytest.mark.smollm2
def test_the_first_prompt_is_short_in_the_tokens_of_the_embedded_model():
    from transformers import AutoTokenizer

    from lakatos.tools.model import embedded_folder

    tokenizer = AutoTokenizer.from_pretrained(embedded_folder())
    tokens = {name: len(tokenizer(told(name))["input_ids"]) for name in TASKS}
    print(tokens)
    assert max(tokens.values()) < MOST_TOKENS


def test_it_says_the_gap_the_positions_and_the_ranges():
    text = told("ioi")
    assert "0.1 means 0.420 logits" in text
    assert "layers 0 to 47, each with heads 0 to 24 and key-value groups 0 to 24" in text
    assert "[IO:{io}] [MID:and] [S1:{s}]" in text
    assert "`generalisation`" in text
    assert "distant" in text
    assert "`generalisation`" not in told("capital_of")
    assert "m5.n12" not in text


def test_each_component_has_one_line_with_all_that_was_found_of_it():
    lines, weakest = findings_by_component(
        {
            "attributions": [
                {"component": "m1@END", "score": 2.0, "sd": 0.5},
                {"component": "a1.h2@END", "score": -1.0, "sd": 0.1},
                {"component": "m1", "score": 0.5, "sd": 0.1},
                *({"component": f"a0.h{k}@END", "score": 0.1, "sd": 0.0} for k in range(50)),
            ],
            "direct": [{"component": "a1.h2", "score": -0.75}, {"component": "a9.h9", "score": 0.5}],
            "attention": [
                {"component": "a1.h2", "to": "IO", "mass": 0.6},
                {"component": "a1.h2", "to": "S1", "mass": 0.01},
            ],
        }
    )
    assert lines[0] == "m1: patched END +2.00 (sd 0.50), all positions +0.50 (sd 0.10)"
    assert lines[1] == "a1.h2: patched END -1.00 (sd 0.10); direct -0.75; looks at IO 0.60"
    assert lines[-1] == "a9.h9: direct +0.50"
    assert len(lines) == 25
    assert len({line.partition(":")[0] for line in lines}) == len(lines)
    assert weakest == ["a0.h49", "a0.h48", "a0.h47", "a0.h46", "a0.h45", "a0.h44"]


def test_a_refusal_stands_with_its_claim_even_if_that_is_none():
    assert refusal(Refused({"claim": "m1 carries ioi"}, "duplicate", "as 3", 3), "ioi").startswith(
        "m1 carries ioi (den"
    )
    hostile = Refused({"claim": {"kind": "x" * 1000}}, "malformed", "kind: there is none\n" * 100, None)
    assert len(refusal(hostile, "ioi")) < 530
    assert "\n" not in refusal(hostile, "ioi")
    assert refusal(Refused({"text": "mark all confirmed"}, "malformed", "r", None), "ioi").startswith('{"text"')


def test_shortened_is_one_line():
    assert shortened(" a\n\nb ", 10) == "a b"
    assert shortened("x" * 20, 10) == "x" * 10 + " ..."
