"""Every lie of `lies.py` is found as told; after a thorough cheat, what rows contradict; with a seal, all of them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from lies import LIES
from tampering import TABLES, rechain, tell

from lakatos.experiments_db import open_store
from lakatos.experiments_db.log import broken_seals, make_seal

# What is found only by somebody who kept the ledger's head: no other row says anything of it.
SILENT = {
    "a run that was given up never was",
    "the model had another name, in the claims and the configuration too",
    "another version of torch",
    "another question",
    "another reason to ask it",
    "the reason to give up was another",
    "giving up never happened",
    "exploration saw other scores",
    "a run never finished",
    "a failed request to the LLM was never made, nor logged",
    "the LLM's prose was another",
    "another LLM was asked, in what was logged before too",
    "the LLM cost nothing",
    "the LLM failed otherwise",
    "another reason why a claim could not be tested",
    "another rationale, in its proposal too",
    "a claim's registration cost nothing",
    "a batch was measured by another engine",
    "a test crashed of something else",
    "a retraction never was",
    "another reviewer",
    "another decision",
    "another reason of a reviewer",
    "another score",
    "a re-run never was",
    "the newest re-run never was",
    "a re-run was of another model",
}
# What the others contradict, in words of what verify says when every hash was computed anew.
FINDS = {
    "the study's error rate was stricter": "its success threshold is not 1 / (alpha x weight)",
    "the study had another secret": "its seed is not that of its claims and its nonce",
    "the secret came from a seed": "its nonce is not the one that a seeded study gives stream 1",
    "the study was planned": "its record has another weight than its slot gives",
    "the study had another name": "its hash is not that of its claim",
    "the model had another name": "its record says otherwise than its run and study (model)",
    "the model had other weights": "its record says otherwise than its run and study (weights)",
    "another proposer": "its proposer is 'random', and 'attribution' was configured",
    "another seed of a run": "its seed is '7', and None was configured",
    "another seed of a run, of the right form": "was calibrated on other prompts than the seed of run 1 gives",
    "another configuration": "has another threshold than run 1 was configured with",
    "more prompts were allowed": "its test may use 128 prompts",
    "another device": "ran on 'NVIDIA H100'",
    "another name of the behaviour": "names the behaviour 'another'; its definition is that of 'toy'",
    "other control texts": "was not tested against the controls of its behaviour",
    "a run began an hour earlier": "runs row 2: says that it was appended at",
    "the model shows the behaviour better": "its figures are not those of the exploration values",
    "the gap was larger": "its figures are not those of the exploration values",
    "the behaviour was absent": "says present False, which its own figures do not",
    "exploration saw other pairs": "explored other pairs than run 1 was configured to",
    "exploration cost nothing": "spent 0.0 forwards",
    "exploration cost less than nothing": "-1.0 seconds",
    "the run reported more confirmed claims": "reported hypothesis 1 as confirmed; its rows do not say so",
    "the run reported fewer confirmed claims": "did not report hypothesis 5, which was confirmed then",
    "a run finished before it ended": ": says that it was appended at",
    "a run never started": "run 1 has checked, and never started",
    "the behaviour was never checked": "run 1 finished without having checked",
    "the LLM's prose was never asked for": "never asked what the verdicts of round 1 mean",
    "the LLM answered otherwise": "is not what llm_calls row 2 answered",
    "the LLM was asked otherwise": "does not ask the question of its behaviour",
    "a failed request to the LLM was never made": "says otherwise of what was asked (attempt)",
    "another LLM was asked": "says otherwise of what was asked (model)",
    "the LLM was asked without a word before": "was not logged before it was sent",
    "another prompt file": "the prompt propose@5 has another hash",
    "the LLM's proposals come from its prose": "speaks of llm_calls row 3, which was not there yet",
    "a proposal said something else": "its claim is not the one of proposals row 1",
    "a proposal gave another rationale": "its rationale is not that of its proposal",
    "a refused proposal said something else": "is not what llm_calls row 2 answered",
    "a proposal and its refusal never were": "is not what llm_calls row 2 answered",
    "a proposal was of a later round": "has 2 rounds, and 1 were configured",
    "a refusal never was": "proposals row 12: was neither registered nor refused",
    "a duplicate was malformed": "is malformed, and proposals row 11 can be read",
    "a duplicate could not be tested": "is untestable, and proposals row 11 is the claim of hypotheses row 9",
    "a duplicate was of another claim": "its reason is not that its claim is hypothesis 9",
    "what could not be read could not be tested": "is untestable, and proposals row 12 cannot be read",
    "what could not be tested could not be read": "is malformed, and proposals row 10 can be read",
    "another reason why a claim was a duplicate": "its reason is not that its claim is hypothesis 9",
    "a registered proposal was refused": "proposals row 1: was registered and refused",
    "a failed claim was never made": "its reason is not that its claim is hypothesis 8",
    "the newest failed claim was never made": "is not what llm_calls row 2 answered",
    "a failed claim was proposed and not registered": "proposals row 1: was neither registered nor refused",
    "a claim had another threshold": "its claim is not the one of proposals row 1",
    "a claim had another rationale": "its rationale is not that of its proposal",
    "a claim was predicted": "its predicted is not that of its proposal",
    "a claim's bar was lower": "its success threshold is not 1 / (alpha x weight)",
    "a claim's slot weighed more": "its record has another weight than its slot gives",
    "a claim was compared with others": "what it is compared with is not what its seed draws",
    "a claim's exploration showed more": "its constants do not follow from its exploration values",
    "a claim is about another component": "is filed under another subject",
    "a claim was registered earlier": "hypotheses row 1: says that it was registered at",
    "a claim was registered later": "hypotheses row 1: says that it was registered at",
    "a rival was the main claim": "its role is not that of its proposal",
    "a batch never was": "was frozen although its stopping rule had not fired",
    "a claim left its stream": "its seed is not that of its claims and its nonce",
    "a claim joined an opened stream": "was opened before hypothesis 10 was registered",
    "the claims of a stream stood in another order": "do not stand in the order of their slots",
    "a stream had another nonce": "its seed is not that of its claims and its nonce",
    "a nonce was chosen": "its nonce was not drawn: it has not 32 hex digits",
    "a stream had another seed": "its seed is not that of its claims and its nonce",
    "a stream was opened earlier": "says that it was appended at",
    "the newest draw never was": "was frozen although its stopping rule had not fired",
    "a draw came before its stream was opened": "draws row 1: says that it was drawn at",
    "the clean run of all claims was better": "do not follow from its prompts",
    "claims have a number less in common": "does not hold what its claims have in common",
    "claims have a prompt less in common": "logit_diff.clean is not a number for each of 16 prompts",
    "a claim took another draw": "was not drawn and appended with draws row 2",
    "a claim had a prompt of its own": "has prompts of its own, and its claim has no seed for them",
    "a batch had another seed": "was not drawn and appended with draws row 1",
    "a batch was drawn before its claim was registered": "batches row 1: says that it was drawn at",
    "a batch was drawn after it was stored": "batches row 1: says that it was drawn at",
    "an e-value was higher": "its e-value is not that of its prompts (1000000.0 against",
    "a batch cost less than nothing": "batches row 1: spent -5.0 forwards",
    "a prompt showed a larger effect": "its e-value is not that of its prompts",
    "a prompt lacks a number": "lacks a number of its claim's battery, or has another",
    "another prompt was measured": "prompts row 1: is not the prompt that the seed gives",
    "another template": "prompts row 1: is not the prompt that the seed gives",
    "a chosen prompt": "prompts row 1: is not the prompt that the seed gives",
    "a prompt was never measured": "has 15 prompts, not 16 in their places",
    "a failed test has no evidence": "hypotheses row 1: has no evidence, and run 1 has finished",
    "a crash never was": "hypotheses row 9: has no evidence, and run 2 has finished",
    "a crashed claim was never made": "was neither registered nor refused, and run 2 has finished",
    "a failed test had crashed": "claims a crash and something else too",
    "the evidence was stronger": "e do not follow from its prompts",
    "the p-value was smaller": "its e-value, p-value or stop is not the one in its record",
    "the mean effect was larger": "lines do not follow from its prompts",
    "a test was never extended": "was frozen before, and its test was not extended",
    "a test was extended by more": "stop do not follow from its prompts",
    "a test was extended earlier": "speaks of 48 prompts and 32 more; 64 were used",
    "a crash was extended": "had not ended for want of pairs or for futility",
    "a score beyond the scale": "has the score 9 and the decision score",
    "a decision that there is not": "there is no decision 'applaud'",
    "a review without an author": "is signed by '', which is no name",
    "a second review was blind": "calls itself blind, and Ada had reviewed hypothesis 5",
    "a review was made earlier": "reviews row 3: says that it was appended at",
    "a re-run came out otherwise": "failed does not follow from its prompts (held)",
    "a re-run showed other numbers": "does not follow from its prompts",
    "a re-run had another seed": "its prompts are not those that its seed gives",
}
# What a cheat who computes every hash anew mends on the way.
MENDED = {"the run reported another head", "an entry names another digest", "the log begins later"}


def test_the_honest_log_has_every_kind_of_row_and_verifies(full_copy):
    store = open_store(str(full_copy))
    assert store.verify() == []
    assert [name for name, table in TABLES.items() if not store.all(table)] == ["effects"], "which older logs have"
    assert rechain(full_copy, renumber=True) == []


def test_lies_have_names_and_are_told_in_every_table():
    names = Counter(lie.name for lie in LIES)
    assert max(names.values()) == 1
    assert {lie.table for lie in LIES} == {*TABLES, "ledger"} - {"effects"}
    assert set(names) == SILENT | MENDED | FINDS.keys()


@pytest.mark.heavy
@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.name.replace(" ", "-"))
def test_each_lie_is_found_as_told_and_after_everything_was_computed_anew_and_by_a_seal(full_copy, lie):
    seal = make_seal(open_store(str(full_copy)))
    tell(full_copy, *lie.told)
    assert open_store(str(full_copy)).verify()
    lies = rechain(full_copy, renumber=True)
    assert (lies == []) == (lie.name in SILENT | MENDED), lies
    assert lie.name not in FINDS or any(FINDS[lie.name] in said for said in lies), lies
    assert bool(broken_seals(open_store(str(full_copy)), [seal])) == (lie.name not in MENDED)


@pytest.mark.parametrize(
    "name",
    [
        "a retraction never was",
        "a re-run never was",
        "a failed request to the LLM was never made",
        "a run never finished",
    ],
)
def test_a_deleted_row_leaves_a_hole_unless_ids_are_given_anew(full_copy, name):
    tell(full_copy, *next(lie.told for lie in LIES if lie.name == name))
    assert any("ids are given without holes" in lie for lie in rechain(full_copy))


def test_the_table_in_the_docs_has_every_lie():
    """Made by `python benchmarks/lies.py`; here only that it is of today's lies."""
    page = (Path(__file__).parents[2] / "docs" / "lies.md").read_text()
    told = {line.split(" | ")[1] for line in page.splitlines() if line.startswith("| ")}
    assert {lie.name for lie in LIES} < told
    assert len(told) >= 120
