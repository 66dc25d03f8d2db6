"""A language model, asked for a list of hypotheses in a form that can be read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from lakatos.agent.llm import Message
from lakatos.agent.proposers.briefing import proposal_prompt
from lakatos.agent.proposers.protocol import Proposed
from lakatos.agent.proposers.schema import looks_back, proposal_schema
from lakatos.agent.view import Proposal, View
from lakatos.agent.words import shortened
from lakatos.prompts import Prompt, load_prompt
from lakatos.tools.claim import read_proposals
from lakatos.tools.errors import ProposalError

ATTEMPTS: Final = 3  # at most: what would fail again is not asked again
_QUOTED: Final = 400  # characters of an answer that could not be read
_DEEPEST: Final = 32  # levels of a proposal; a claim with a parent has five


def language_model(view: View) -> Proposed:
    """Ask for the next hypotheses; an answer that is not of the asked form goes back, in short, with the reason.

    Returns:
        Proposals, at least one, and the call that they came from.

    Raises:
        CheckFailed: no attempt gave a usable answer; the run has failed, and can be resumed.
        Stop: a limit of the run is reached, or the user interrupted.
    """
    prompt, schema = load_prompt("propose"), _schema(view)
    messages: list[Message] = [{"role": "user", "content": _text(prompt, view)}]
    why = ""
    for attempt in range(1, ATTEMPTS + 1):
        answer = view.requests.ask(view.round, "propose", attempt, prompt, messages, schema)
        if answer.text is None:
            why = answer.error
            if answer.permanent:
                break
            continue
        try:
            if proposals := read_proposals(answer.text)[: view.how_many]:
                _check_depth(proposals)
                return Proposed(proposals, answer.call_id)
            why = "the list of hypotheses is empty; propose at least one"
        except ProposalError as error:
            why = str(error)
        messages = [
            *messages,
            {"role": "assistant", "content": shortened(answer.text, _QUOTED) or "(nothing)"},
            {"role": "user", "content": f"That could not be read: {why}. Ended again, with the whole JSON object."},
        ]
    view.requests.give_up(view.round, why)


def _text(prompt: Prompt, view: View) -> str:
    return proposal_prompt(
        prompt,
        view.behaviour,
        view.model,
        view.shape,
        view.explored.gap,
        view.findings,
        how_many=view.how_many,
        entries=view.entries,
        refused=view.refused,
        opinion=view.requests.opinion(view.round),
    )


def _schema(view: View) -> dict[str, Any]:
    behaviour = view.behaviour
    return proposal_schema(
        view.shape,
        behaviour.named_positions,
        list(behaviour.families),
        how_many=view.how_many,
        earlier=looks_back(behaviour),
    )


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
