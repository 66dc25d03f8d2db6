"""Prompt files: every variable is given, what is data stays data."""

from __future__ import annotations

from importlib import resources

import pytest

from lakatos.prompts import load_prompt

NAMES = [p.name.removesuffix(".md") for p in resources.files("lakatos.prompts").iterdir() if p.name.endswith(".md")]


def filled(prompt, **changes):
    lists = {"exemplars", "components", "weakest", "tested", "refused", "templates", "families", "verdicts"}
    numbers = {"n_layers", "n_heads", "n_groups", "gap", "older", "how_many"}
    values = {v: [] if v in lists else 1 if v in numbers else "x" for v in prompt.variables}
    return values | ({"positions": ["END"]} if "positions" in values else {}) | changes


@pytest.mark.parametrize("name", NAMES)
def test_each_prompt_renders_with_its_variables_and_no_others(name):
    prompt = load_prompt(name)
    assert prompt.version >= 1
    assert prompt.hash.startswith("sha256:")
    assert prompt.render(**filled(prompt))
    with pytest.raises(ValueError, match="missing or unknown"):
        prompt.render(**filled(prompt), extra=1)
    fewer = filled(prompt)
    fewer.popitem()
    with pytest.raises(ValueError, match="missing or unknown"):
        prompt.render(**fewer)


def test_template_syntax_inside_data_is_not_evaluated():
    prompt = load_prompt("propose")
    exemplar = {
        "choice": "random",
        "clean_metric": 1.0,
        "clean": "{{ 7 * 7 }}",
        "answer": "a",
        "wrong": "b",
        "corrupted": "c",
    }
    text = prompt.render(**filled(prompt, exemplars=[exemplar], question="{% for x in y %}"))
    assert "{{ 7 * 7 }}" in text
    assert "{% for x in y %}" in text
    assert "49" not in text


def test_there_are_prompts():
    assert {"propose", "interpret"} <= set(NAMES)
