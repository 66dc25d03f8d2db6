"""No tool runs the model on a confirmation prompt: every token that it is given during calls is recorded."""

from __future__ import annotations

import pytest
import torch
from models import TOY, TOY_TEXT
from workbench import CARRIES, NOTHING, Bench

from lakatos.agent.run import searching
from lakatos.agent.toolbox import TOOLS
from lakatos.tools.behaviour import Exhausted

MEASURING = {
    "examples": {"n": 48},
    "effects": {"interventions": [{"components": ["m1@END"]}, {"components": ["a0.h1"], "intervention": "resample"}]},
    "attention": {"heads": ["a0.h1"]},
    "reads": {"component": "m1"},
    "lens": {},
    "heads": {},
    "backups": {"missing": ["m0"]},
    "vary": {"n": 32},
    "draft": {"claims": [CARRIES, NOTHING, "m1 necessary for toy (resample, >= 10% of gap)"]},
}


def prompts(split):
    """Every prompt of a split, as the words that it has."""
    found = set()
    for behaviour in (TOY, TOY_TEXT):
        try:
            for pair in behaviour.stream(0, split):
                found |= {tuple(pair.clean.split()), tuple(pair.corrupted.split())}
        except Exhausted:
            continue
    return found - {()}


@pytest.fixture(scope="module")
def confirmation():
    found = prompts("confirmation")
    assert len(found) > 500
    assert not found & prompts("exploration")
    return found


def recorded(bench, name):
    """The prompts that the model is run on during a call, as the words that they have."""
    seen = set()
    tokenizer = bench.run.model.tokenizer

    def record(_module, inputs):
        (tokens, *_) = inputs
        assert tokens.dtype in (torch.int64, torch.int32)
        seen.update(
            tuple(w for w in tokenizer.convert_ids_to_tokens(row) if w not in ("<s>", "<pad>"))
            for row in tokens.tolist()
        )

    embedding = bench.run.model.bridge.original_model.get_input_embeddings()
    while hasattr(embedding, "original_component"):
        embedding = embedding.original_component
    handle = embedding.register_forward_pre_hook(record)
    try:
        bench.says(name, MEASURING[name])
    finally:
        handle.remove()
    return seen


def test_every_tool_that_runs_the_model_is_recorded():
    lasting = {name for name, own in TOOLS.items() if own.lasting}
    assert lasting - {"attribution"} | {"vary"} == set(MEASURING), "attribution reads the log; vary shows other prompts"


@pytest.mark.parametrize("name", sorted(MEASURING))
def test_no_tool_looks_at_confirmation_prompts(bench, confirmation, name):
    seen = recorded(bench, name)
    assert seen
    assert not seen & confirmation
    if name != "heads":  # random tokens
        assert seen & prompts("exploration")


@pytest.mark.parametrize("name", ["effects", "draft", "lens", "attention", "backups"])
def test_a_toolbox_that_looks_at_confirmation_prompts_is_caught(bench, confirmation, monkeypatch, name):
    draw = searching.draw_prompts
    monkeypatch.setattr(searching, "draw_prompts", lambda *a, **k: draw(*a, **k | {"split": "confirmation"}))
    assert recorded(bench, name) & confirmation


def test_so_is_one_that_shows_them(explored_log, loaded, tmp_path, confirmation, monkeypatch):
    bench = Bench(explored_log, tmp_path, loaded)
    stream = type(bench.run.behaviour).stream
    monkeypatch.setattr(
        type(bench.run.behaviour), "stream", lambda own, seed, _, *a: stream(own, seed, "confirmation", *a)
    )
    assert recorded(bench, "vary") & confirmation
