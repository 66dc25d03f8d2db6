"""What a run tells on standard error: what it is doing, and what its language model has cost."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from lakatos.agent import RunConfig, investigate
from lakatos.agent.llm import ScriptedLLM
from lakatos.agent.watch import RichWatcher, tokens_and_money


def test_one_line_says_what_it_is_doing_and_what_that_has_cost():
    screen = io.StringIO()
    watcher = RichWatcher(Console(file=screen, force_terminal=True, width=160, color_system=None))
    watcher.spent(12_345, 0.0625)
    watcher.phase("asking gpt-5 for hypotheses", 0, 3)
    watcher.close()
    shown = [line for line in screen.getvalue().splitlines() if "asking gpt-5 for hypotheses" in line]
    assert "0/3" in shown[-1]
    assert "12,345 tokens, 0.0625 in money" in shown[-1]


@pytest.mark.parametrize(("money", "told"), [(None, "7 tokens"), (0.0, "7 tokens, 0 in money")])
def test_money_is_told_where_a_price_is_known(money, told):
    assert tokens_and_money(7, money) == told


class Noting:
    """Notes all that it is told of a language model."""

    def __init__(self):
        self.said, self.costs = [], []

    def say(self, text):
        self.said.append(text)

    def phase(self, name, done, of):
        if name.startswith("asking"):
            self.said.append(name)

    def testing(self, text, pairs, n_max, e, forwards):
        pass

    def spent(self, tokens, money):
        self.costs.append((tokens, money))

    def close(self):
        pass


def test_each_request_is_announced_and_its_cost_added(toy, tmp_path):
    behaviour, model = toy
    answer = '{"hypotheses": [{"claim": "m2@END carries toy (denoising, logit_diff, >= 10% of gap)", "rationale": ""}]}'
    watcher = Noting()
    config = RunConfig(
        model=model,
        proposer="llm",
        llm_style="prompt",
        seed=1,
        attribution_pairs=2,
        max_pairs=16,
        llm_price_in=1e6,
        llm_price_out=2e6,
    )
    run = investigate(
        behaviour, config, db=str(tmp_path / "a.db"), llm=ScriptedLLM([answer, "So."]), watcher=watcher
    ).run
    asked = [text for text in watcher.said if "scripted" in text]
    assert asked[0] == "asking scripted for hypotheses"
    assert asked[1].startswith("scripted, asked for hypotheses, answered: 0 s, ")
    assert asked[2] == "asking scripted what the verdicts mean"
    tokens = [tokens for tokens, _ in watcher.costs]
    assert tokens[0] == 0
    assert tokens == sorted(tokens)
    assert watcher.costs[-1] == (run.tokens, run.money)
    assert run.money > run.tokens
