"""A language model that explores with tools: whole runs by a script, on the toy model."""

from __future__ import annotations

from contextlib import suppress

import pytest
from workbench import CARRIES, CONFIG, FINISH, NOTHING, put

from lakatos.agent import RunConfig, investigate
from lakatos.agent.llm import ScriptedLLM
from lakatos.agent.toolbox import TOOLS
from lakatos.experiments_db import open_store
from lakatos.tools.errors import CheckFailed

HOLDS = "a2.h3@END has no effect on toy (denoising, < 20% of gap)"
LOOKS = [
    ("overview", {}),
    ("examples", {"n": 8}),
    ("attribution", {}),
    ("attribution", {"kind": "direct", "component": "head"}),
    ("effects", {"interventions": [{"components": ["m1@END"]}, {"components": ["m0"], "to": ["logits"]}]}),
    ("attention", {"heads": ["a0.h1", "a1.h0"]}),
    ("reads", {"component": "m1"}),
    ("lens", {}),
    ("heads", {"score": "copying"}),
    ("backups", {"missing": ["a0.h1", "m0"]}),
    ("vary", {"n": 4}),
    ("tried", {}),
    ("note", {"text": "m1 at END looks like the place where the answer is written"}),
]
END = [[("finish", FINISH)], [("finish", FINISH)]]
SCRIPT = [
    LOOKS,
    [("draft", {"claims": [CARRIES, NOTHING]}), ("register", put(CARRIES, NOTHING))],
    [("wait", {}), ("result", {"hypothesis": 1})],
    *END,
]


@pytest.fixture
def explored(toy, tmp_path):
    behaviour, model = toy

    def run(script, **config):
        llm, db = ScriptedLLM(script), str(tmp_path / "investigator.db")
        with suppress(CheckFailed):
            investigate(behaviour, RunConfig(model=model, **CONFIG | config), db=db, llm=llm)
        store = open_store(db)
        assert store.verify() == []
        return llm, store

    return run


def test_it_explores_registers_and_goes_on(explored):
    llm, store = explored(SCRIPT)
    calls = store.tool_calls(1)
    assert [c["name"] for c in calls] == ["overview", *(name for own in SCRIPT for name, _ in own)]
    assert not any(c["refused"] for c in calls)
    assert {c["name"] for c in calls} == set(TOOLS) - {"challenge"}
    assert [e.claim.components for e in store.hypotheses(1)] == [("m1@END",), ("a0.h0",)]
    assert store.run(1).status == "finished"
    last = llm.asked[-1]
    assert [message["role"] for message in last[:3]] == ["user", "assistant", "tool"]
    assert sum(message["role"] == "assistant" for message in last) == len(SCRIPT) - 1
    told = [message["content"] for message in last if message["role"] == "tool"]
    assert told == [c["answer"] for c in calls[1:-1]], "it is shown what the log says, in order"


def test_each_investigator_has_its_own_conversation_and_a_critic_comes_last(explored):
    challenge = ("challenge", {"hypothesis": 1, "test": "a2.h2@END carries toy (denoising, >= 10% of gap)", "why": "x"})
    script = [
        [("note", {"text": "mine alone"}), ("register", put(HOLDS))],
        *END,
        [("overview", {}), ("register", put(CARRIES))],
        *END,
        [("finish", FINISH)],
        [challenge],
        *END,
    ]
    llm, store = explored(script, investigators=2, max_pairs=64)
    assert not llm._answers, "all of them were asked"
    calls = store.tool_calls(1)
    assert list(dict.fromkeys(c["by"] for c in calls)) == ["1", "2", "critic"]
    assert store.hypotheses(1)[0].state == "confirmed"
    assert "mine alone" not in str(llm.asked[3])
    assert "a2.h3@END" in str(llm.asked[3]), "verdicts are of all"
    assert [c["refused"] for c in calls if c["by"] == "critic"] == [False, True, False, False, False]
    purposes = {c.purpose for c in store.calls(1)}
    assert purposes == {"investigate", "criticise"}


def test_it_ends_at_its_turns(explored):
    llm, store = explored([[("overview", {})]] * 9, llm_turns=4)
    assert len(llm.asked) == 4
    assert store.run(1).status == "finished"


def test_what_is_withheld_is_neither_offered_nor_made(explored):
    _, store = explored([[("lens", {}), ("heads", {})], *END], llm_without="lens, heads")
    (offered,) = store.events(1, "offered")
    assert not {"lens", "heads", "challenge"} & {tool["function"]["name"] for tool in offered.payload["tools"]}
    assert [c["refused"] for c in store.tool_calls(1)][:3] == [False, True, True]


def test_a_conversation_that_is_begun_anew_shows_what_was_not_read_yet(explored):
    """Sixteen large answers at once are more than a conversation may hold; none of the first is lost."""
    many = [("examples", {"n": n}) for n in range(8, 16)]
    llm, store = explored([many, *END], llm_context=4000)
    (anew,) = llm.asked[1]
    assert "too long and is begun anew" in anew["content"]
    assert "8 exploration pairs" in anew["content"]
    assert "15 exploration pairs" not in anew["content"]
    assert "there was no room" in anew["content"]
    assert store.calls(1)[1].request["after"] is None
