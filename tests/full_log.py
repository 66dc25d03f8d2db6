"""A finished log with rows in every table (but `effects`, of older logs): every verdict, a crash, refusals, reviews."""

from __future__ import annotations

import json
import random
import secrets
from contextlib import suppress
from dataclasses import replace
from unittest import mock

from lakatos.agent import RunConfig, investigate
from lakatos.agent.llm import LLMFailure, ScriptedLLM
from lakatos.agent.run import extend, testing
from lakatos.experiments_db import open_store
from lakatos.experiments_db.log import add_review
from lakatos.experiments_db.regression import append_rerun, file_of, rerun
from lakatos.tools.errors import UserError


def _place(kind, layer, position, **more):
    return {"kind": kind, "layer": layer, "position": position, **more}


def _proposal(place, rationale="because"):
    claim = {"kind": "node_effect", "components": [place], "intervention": "denoising", "direction": "supports"}
    return {"claim": claim | {"threshold": 0.1}, "rationale": rationale, "predicted": 0.2, "role": "main"}


ANSWER = json.dumps(
    {
        "hypotheses": [
            _proposal(_place("mlp", 0, "S2")),
            _proposal(_place("head", 1, "END", head=99)),  # untestable
            _proposal(_place("mlp", 0, "S2"), "the same thing in other words"),  # a duplicate
            {"claim": {"kind": "vibes", "components": ["a0.h0"]}, "rationale": "", "predicted": 0, "role": "main"},
            _proposal(_place("head", 0, "S2", head=1)),
        ]
    }
)


def write_full_log(db, behaviour, model):
    """Make it at `db`: run 1 by attribution with a crash, run 2 by an LLM, run 3 given up; reviews and a re-run.

    What is drawn at random is drawn from a seed here: the log is that of a random study, and the same every time.
    """
    drawn, real = random.Random(4), testing.measure_draws

    def failing(draws, members, model):
        nan = FloatingPointError("the run gave nan")
        fails = [member.claim.components == crashing for member in members]
        return [
            replace(draw, own=tuple(nan if fail else own for fail, own in zip(fails, draw.own, strict=True)))
            for draw in real(draws, members, model)
        ]

    crashing = ("m0@S2",)  # what the language model puts forward first
    common = {"model": model, "attribution_pairs": 4}
    with (
        mock.patch.object(secrets, "token_hex", lambda n=32: drawn.randbytes(n).hex()),
        mock.patch.object(testing, "measure_draws", failing),
    ):
        investigate(behaviour, RunConfig(proposer="attribution", hypotheses=8, **common), db=db)
        llm = ScriptedLLM([LLMFailure("busy"), ANSWER, "Prose about it."])
        investigate(behaviour, RunConfig(proposer="llm", llm_style="prompt", hypotheses=6, **common), db=db, llm=llm)
        with suppress(UserError):  # the behaviour is not there: that is part of the record
            investigate(behaviour, RunConfig(**common | {"model": f"null:{model}"}), db=db)
    store = open_store(db)
    confirmed = [entry for entry in store.hypotheses() if entry.state == "confirmed"]
    failed = [entry for entry in store.hypotheses() if entry.state == "inconclusive"]
    add_review(store, confirmed[0].id, author="Ada", decision="score", score=4, blind=True)
    add_review(store, confirmed[0].id, author="Ada", decision="accept", reason="holds on every template")
    add_review(store, confirmed[1].id, author="Grace", decision="retract", reason="the corpus was wrong")
    add_review(store, failed[0].id, author="Grace", decision="dispute", reason="too few prompts")
    extend([str(failed[-1].id)], 32, db=db)
    for seed in (1, 2):
        append_rerun(store, confirmed[0].id, rerun(file_of(store, confirmed[0]), model, seed=seed))
