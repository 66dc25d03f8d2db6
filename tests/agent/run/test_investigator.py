"""A language model that explores with tools: whole runs by a script, on the toy model."""

from __future__ import annotations

import pytest

from lakatos.agent import RunConfig, investigate
from lakatos.agent.llm import ScriptedLLM
from lakatos.experiments_db import open_store

LOOKS = [
    ("overview", {}),
    ("examples", {"n": 8}),
    ("attribution", {}),
    ("attribution", {"kind": "direct", "component": "head"}),
    (
        "effects",
        {
            "interventions": [
                {"components": ["m1@END"]},
                {"components": ["a0.h1@S2"], "intervention": "noising"},
                {"components": ["m2"], "intervention": "resample"},
                {"components": ["m0"], "to": ["logits"]},
            ]
        },
    ),
    ("attention", {"heads": ["a0.h1", "a1.h0"]}),
    ("reads", {"component": "m1"}),
    ("lens", {}),
    ("heads", {"score": "copying"}),
    ("backups", {"missing": ["a0.h1", "m0"]}),
    ("vary", {"n": 4}),
    ("tried", {}),
    ("note", {"text": "m1 at END looks like the place where the answer is written"}),
]
CLAIMS = ["m1@END carries toy (denoising, >= 10% of gap)", "a0.h0 has no effect on toy (denoising, < 10% of gap)"]


def put(*claims, role="main"):
    return {
        "claims": [{"claim": text, "rationale": "as effects show", "predicted": 0.5, "role": role} for text in claims]
    }


FINISH = ("finish", {"reason": "enough", "rivals": ["m2 does it", "it is the bias"]})
SCRIPT = [
    LOOKS,
    [("draft", {"claims": CLAIMS}), ("register", put(*CLAIMS))],
    [("wait", {}), ("result", {"hypothesis": 1})],
    [FINISH],
    [FINISH],
]


@pytest.fixture
def explored(toy, tmp_path):
    behaviour, model = toy

    def run(script, **config):
        llm = ScriptedLLM(script)
        db = str(tmp_path / "investigator.db")
        fields = {"model": model, "proposer": "llm", "llm_style": "tools", "llm_model": "x", "seed": 1}
        fields |= {"attribution_pairs": 2, "hypotheses": 6, "max_pairs": 32}
        investigate(behaviour, RunConfig(**(fields | config)), db=db, llm=llm)
        return llm, open_store(db)

    return run


def test_it_explores_registers_and_goes_on(explored):
    llm, store = explored(SCRIPT)
    for call in store.tool_calls(1):
        print(call["number"], call["name"], call["refused"])
        print(call["answer"])
        print()
    for message in llm.asked[-1]:
        print(message)
    assert [e.text for e in store.hypotheses(1)]
    assert store.verify() == []
