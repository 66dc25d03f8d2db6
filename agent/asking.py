"""Asking a language model: what it is shown, how often, and what becomes of an answer that is no answer."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lakatos.agent.llm import LLMFailure, Message, Reply
from lakatos.agent.proposer import Proposal
from lakatos.agent.schema import proposal_schema
from lakatos.experiments_db import models as m
from lakatos.prompts import Prompt, load_prompt
from lakatos.tools.errors import ProposalError, UserError
from lakatos.tools.matched import Shape
from lakatos.tools.proposals import read_proposals

if TYPE_CHECKING:
    from lakatos.agent.investigation import Investigation

ATTEMPTS = 3
_SHOWN = 40  # rows of each table


def ask_for_proposals(run: Investigation, round_: int) -> tuple[list[Proposal], int]:
    """Ask for the next hypotheses; an answer that is not of the asked form goes back with the reason.

    Returns:
        Proposals, and the id of the call that they came from. Where no attempt could be read, the last answer as
        one malformed proposal, so that it is counted.

    Raises:
        UserError: the model gave no answer at all, in as many attempts.
    """
    prompt = load_prompt("propose")
    found, model = run.findings(), run.model
    seen = [f"{e.text}: {e.state}" + (f" ({e.reading})" if e.reading else "") for e in run.entries()]
    seen += [f"refused ({r.kind}): {r.reason}" for r in run.store.refused(run.run_id)]
    text = prompt.render(
        behaviour=run.behaviour.name,
        question=run.behaviour.question,
        model=run.row.model,
        n_layers=model.cfg.n_layers,
        n_heads=model.cfg.n_heads,
        positions=run.behaviour.named_positions,
        families=list(run.behaviour.families),
        exemplars=found["exemplars"],
        attributions=found["attributions"][:_SHOWN],
        direct=found["direct"][:_SHOWN],
        attention=found["attention"][:_SHOWN],
        tested=seen,
        how_many=run.config.hypotheses,
    )
    families = list(run.behaviour.families)
    schema = proposal_schema(Shape.of(model.cfg), run.behaviour.named_positions, families)
    messages: list[Message] = [{"role": "user", "content": text}]
    answered: tuple[str, int] | None = None
    failure = ""
    for attempt in range(1, ATTEMPTS + 1):
        reply, call_id, failure = _ask(run, round_, "propose", attempt, prompt, messages, schema)
        if reply is None:
            continue
        answered = (reply.text, call_id)
        try:
            return read_proposals(reply.text)[: run.config.hypotheses], call_id
        except ProposalError as error:
            messages = [
                *messages,
                {"role": "assistant", "content": reply.text},
                {"role": "user", "content": f"That could not be read: {error}."},
            ]
    if answered is None:
        raise UserError(f"{run.llm.name} gave no answer in {ATTEMPTS} attempts: {failure}. The run can be resumed.")
    return [{"text": answered[0]}], answered[1]


def ask_for_prose(run: Investigation, round_: int) -> None:
    """Ask what the verdicts mean together; the answer is logged and shown as prose. No answer is no failure."""
    entries = [e for e in run.entries() if e.evidence is not None]
    if not entries or run.store.all(m.LLMCall, *_same(run, round_, "interpret")):
        return
    verdicts = [
        {
            "text": e.text,
            "state": e.state + (f" ({e.reading})" if e.reading else ""),
            "e": e.e,
            "effect": e.evidence.effect.mean if e.evidence and e.evidence.effect else None,
            "unit": e.evidence.effect.unit if e.evidence and e.evidence.effect else "",
        }
        for e in entries
    ]
    prompt = load_prompt("interpret")
    text = prompt.render(
        behaviour=run.behaviour.name, question=run.behaviour.question, model=run.row.model, verdicts=verdicts
    )
    _ask(run, round_, "interpret", 1, prompt, [{"role": "user", "content": text}], None)


def _ask(
    run: Investigation,
    round_: int,
    purpose: str,
    attempt: int,
    prompt: Prompt,
    messages: Sequence[Message],
    schema: dict[str, Any] | None,
) -> tuple[Reply | None, int, str]:
    """One request, logged with what came of it. One that the log holds already (a resumed run) is not repeated."""
    before = run.store.all(m.LLMCall, *_same(run, round_, purpose))
    known = [c for c in before if c.response is not None and c.request["messages"] == list(messages)]
    if known:
        row = known[0]
    else:
        run.check_limits()
        run.watcher.phase(f"asking {run.llm.name}", attempt - 1, ATTEMPTS)
        began = time.monotonic()
        reply, error = None, None
        try:
            reply = run.llm.complete(messages, schema)
        except LLMFailure as failure:
            error = str(failure)
        row = run.store.add(
            m.LLMCall(
                run_id=run.run_id,
                round=round_,
                purpose=purpose,
                attempt=len(before) + 1,
                model=run.llm.name,
                prompt=f"{prompt.name}@{prompt.version}",
                prompt_hash=prompt.hash,
                request={"messages": list(messages), "schema": schema},
                response=reply.text if reply else None,
                error=error,
                tokens_in=reply.tokens_in if reply else 0,
                tokens_out=reply.tokens_out if reply else 0,
                seconds=time.monotonic() - began,
            )
        )
    reply = Reply(row.response, row.tokens_in, row.tokens_out) if row.response is not None else None
    return reply, row.id, row.error or ""


def _same(run: Investigation, round_: int, purpose: str) -> tuple[Any, ...]:
    return m.LLMCall.run_id == run.run_id, m.LLMCall.round == round_, m.LLMCall.purpose == purpose
