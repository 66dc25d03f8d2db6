"""Asking a language model: how often, within which budget, and what becomes of an answer that is no answer.

A request is an event before it is sent (`asking`, with all that is said) and a row of `llm_calls` when it has ended, so
that after a kill the log still says what was asked. What was answered is never asked a second time by a run that goes
on; what no attempt could answer ends the run, and is asked anew when somebody resumes it. Ctrl-C abandons a request:
that is a row too, with what it has cost by estimate.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple, NoReturn

from lakatos.agent.llm import Abandoned, LLMFailure, Message, Reply, estimated_tokens
from lakatos.agent.proposers import Proposal, looks_back, proposal_prompt, proposal_schema, shortened, verdict
from lakatos.agent.run.context import Context
from lakatos.prompts import Prompt, load_prompt
from lakatos.tools.claim import read_proposals
from lakatos.tools.component import Shape
from lakatos.tools.errors import CheckFailed, ProposalError, Stop
from lakatos.tools.records import content_hash

ATTEMPTS: Final = 3  # at most: what would fail again is not asked again
Purpose = Literal["propose", "interpret"]
_FOR: Final = {"propose": "for hypotheses", "interpret": "what the verdicts mean"}
_QUOTED: Final = 400  # characters of an answer that could not be read
_DEEPEST: Final = 32  # levels of a proposal; a claim with a parent has five
_ABANDONED: Final = "abandoned by Ctrl-C"  # the error of a request that nobody waited for


class _End(NamedTuple):
    """What came of a request."""

    answer: str | None
    call_id: int
    error: str  # why there is no answer
    permanent: bool = False  # asking again would fail again


def ask_for_proposals(run: Context, round_: int) -> tuple[list[Proposal], int]:
    """Ask for the next hypotheses; an answer that is not of the asked form goes back, in short, with the reason.

    Returns:
        Proposals, at least one, and the id of the call that they came from.

    Raises:
        CheckFailed: no attempt gave a usable answer; the run has failed, and can be resumed.
        Stop: a limit of the run is reached, or the user interrupted.
    """
    prompt, behaviour, shape = load_prompt("propose"), run.behaviour, Shape.of(run.model.cfg)
    how_many = run.config.hypotheses
    text = proposal_prompt(
        prompt,
        behaviour,
        run.row.model,
        shape,
        run.explored().gap,
        run.findings(),
        how_many=how_many,
        entries=run.entries(),
        refused=run.store.refused(run.run_id),
        opinion=_opinion(run, round_),
    )
    schema = proposal_schema(
        shape,
        behaviour.named_positions,
        list(behaviour.families),
        how_many=how_many,
        earlier=looks_back(behaviour),
    )
    messages: list[Message] = [{"role": "user", "content": text}]
    why = ""
    for attempt in range(1, ATTEMPTS + 1):
        end = _ask(run, round_, "propose", attempt, prompt, messages, schema)
        if end.answer is None:
            why = end.error
            if end.permanent:
                break
            continue
        try:
            if proposals := read_proposals(end.answer)[:how_many]:
                _check_depth(proposals)
                return proposals, end.call_id
            why = "the list of hypotheses is empty; propose at least one"
        except ProposalError as error:
            why = str(error)
        messages = [
            *messages,
            {"role": "assistant", "content": shortened(end.answer, _QUOTED) or "(nothing)"},
            {"role": "user", "content": f"That could not be read: {why}. Answer again, with the whole JSON object."},
        ]
    _give_up(run, round_, why)


def ask_for_prose(run: Context, round_: int) -> None:
    """Ask what the verdicts mean together; the answer is logged and shown as prose. No answer is no failure.

    Raises:
        Stop: a limit of the run is reached, or the user interrupted.
    """
    entries = [e for e in run.entries() if e.evidence is not None]
    ended = [c for c in run.store.calls(run.run_id, round_, "interpret") if c.error != _ABANDONED]
    if not entries or ended:
        return
    prompt = load_prompt("interpret")
    text = prompt.render(
        behaviour=run.behaviour.name,
        question=run.behaviour.question,
        model=run.row.model,
        gap=run.explored().gap,
        verdicts=[verdict(entry) for entry in entries],
    )
    _ask(run, round_, "interpret", 1, prompt, [{"role": "user", "content": text}], None)


def _check_depth(proposals: Sequence[Proposal]) -> None:
    """What is nested deeper than any claim can be stored, and neither copied nor shown.

    Raises:
        ProposalError
    """
    layer: list[Any] = list(proposals)
    for _ in range(_DEEPEST):
        inner = [one.values() if isinstance(one, dict) else one for one in layer if isinstance(one, dict | list)]
        layer = [value for values in inner for value in values]
        if not layer:
            return
    raise ProposalError("the hypotheses are nested too deeply")


def _ask(
    run: Context,
    round_: int,
    purpose: Purpose,
    attempt: int,
    prompt: Prompt,
    messages: Sequence[Message],
    schema: dict[str, Any] | None,
) -> _End:
    """One request, logged before it is sent, and again with what came of it.

    One that was answered already (in a run that goes on) is not repeated, unless the run has failed since.

    Raises:
        Stop: a limit of the run is reached, or the user interrupted.
    """
    before = run.store.calls(run.run_id, round_, purpose)
    given_up = _given_up(run, round_) if purpose == "propose" else 0
    known = [c for c in before[given_up:] if c.response is not None and c.request["messages"] == list(messages)]
    if known:
        return _End(known[0].response, known[0].id, "")
    _check_budget(run, messages, schema)
    _tell_spent(run)
    run.watcher.phase(f"asking {run.llm.name} {_FOR[purpose]}", attempt - 1, ATTEMPTS)
    about: dict[str, Any] = {
        "round": round_,
        "purpose": purpose,
        "attempt": len(before) + 1,
        "model": run.llm.name,
        "prompt": f"{prompt.name}@{prompt.version}",
        "prompt_hash": prompt.hash,
    }
    said = {"messages_hash": content_hash(list(messages)), "messages": list(messages)}
    run.store.event(run.run_id, "asking", about | said)
    began = time.monotonic()
    ended: Reply | LLMFailure
    llm = run.llm
    try:
        with run.waiting_for_answer():
            ended = llm.complete(messages, schema)
    except LLMFailure as failure:
        ended = failure
    except Abandoned:
        ended = LLMFailure(_ABANDONED, tokens_in=_estimated(messages, schema), estimated=True)
    answer, error = (None, str(ended)) if isinstance(ended, LLMFailure) else (ended.text, None)
    row = run.store.call(
        run.run_id,
        **about,
        request={"messages": list(messages), "schema": schema},
        response=answer,
        error=error,
        tokens_in=ended.tokens_in,  # a refusal may be paid for too
        tokens_out=ended.tokens_out,
        seconds=time.monotonic() - began,
    )
    _tell_spent(run)
    tokens = f"{ended.tokens_in + ended.tokens_out:,} tokens" + (", estimated" if ended.estimated else "")
    came = f"gave no answer ({error})" if error is not None else "answered"
    run.watcher.say(f"{run.llm.name}, asked {_FOR[purpose]}, {came}: {row.seconds:.0f} s, {tokens}")
    if isinstance(ended, LLMFailure):
        if ended.estimated:
            run.store.event(run.run_id, "unanswered", {"call": row.id, "estimated": True})
        if error == _ABANDONED:
            raise Stop("interrupted")
        return _End(None, row.id, str(ended), ended.permanent)
    how = {"form": ended.form, "finish": ended.finish, "estimated": ended.estimated, "raw": ended.raw}
    if any(how.values()):
        run.store.event(run.run_id, "answered", {"call": row.id, **how})
    return _End(ended.text, row.id, "")


def _tell_spent(run: Context) -> None:
    record = run.store.run(run.run_id)
    run.watcher.spent(record.tokens, record.money)


def _estimated(messages: Sequence[Message], schema: dict[str, Any] | None) -> int:
    """Tokens of a request: of what is said, and of the form in which an answer is wanted."""
    said = [message["content"] for message in messages] + ([] if schema is None else [json.dumps(schema)])
    return estimated_tokens(sum(len(text.encode()) for text in said))


def _check_budget(run: Context, messages: Sequence[Message], schema: dict[str, Any] | None) -> None:
    """A limit holds before a request is sent: a token is at least about three bytes of what is said.

    Raises:
        Stop
    """
    run.check_limits()
    limit = run.config.max_tokens
    spent = run.store.run(run.run_id).tokens
    needed = _estimated(messages, schema)
    if limit is not None and spent + needed > limit:
        raise Stop(
            f"the limit --max-tokens {limit:g} leaves too little for the next request, of about {needed:,} tokens "
            f"({spent:,} spent)"
        )


def _give_up(run: Context, round_: int, why: str) -> NoReturn:
    """A run whose language model says nothing usable has failed, and says so; those attempts are over."""
    attempts = len(run.store.calls(run.run_id, round_, "propose"))
    tried = attempts - _given_up(run, round_)
    reason = f"{run.llm.name} gave no usable answer in {tried} attempt{'s' * (tried != 1)}: {why}"
    run.store.event(run.run_id, "failed", {"reason": reason, "round": round_, "attempts": attempts})
    raise CheckFailed(reason)


def _given_up(run: Context, round_: int) -> int:
    """How many requests for the proposals of a round had been made when the run last failed for want of an answer."""
    failed = run.store.events(run.run_id, "failed")
    return max((int(e.payload["attempts"]) for e in failed if e.payload.get("round") == round_), default=0)


def _opinion(run: Context, round_: int) -> str:
    """What the language model said of the verdicts of the round before; nothing if it was silent."""
    answers = [c.response for c in run.store.calls(run.run_id, round_ - 1, "interpret") if c.response]
    return answers[-1] if answers else ""
