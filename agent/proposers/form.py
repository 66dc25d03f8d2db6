"""A language model, asked narrow questions one at a time: for small models, which lose their way in long prompts.

Each question offers a short list, and takes nothing else for an answer. `lakatos.tools.claim.drafts` makes claims of
what was chosen.
"""

from __future__ import annotations

import json
from typing import Any, Final

from lakatos.agent.llm import Message
from lakatos.agent.proposers.briefing import findings_by_component
from lakatos.agent.proposers.language_model import ATTEMPTS
from lakatos.agent.proposers.protocol import Proposed
from lakatos.agent.view import Proposal, View
from lakatos.agent.words import shortened, verdict
from lakatos.prompts import load_prompt
from lakatos.tools.claim import claim_of
from lakatos.tools.claim.drafts import ANYWHERE, NONE, PREDICTED, WAYS, Exchange, Step, drafted, question, read_choice
from lakatos.tools.errors import ProposalError

_STRONGEST: Final = 12  # components that a question offers
_WEAKEST: Final = 8
_LINES: Final = 16  # components of which it says what exploration found
_VERDICTS: Final = 12
_QUOTED: Final = 200  # characters of an answer that could not be used
_SKIPPED: Final = 2  # drafts in succession that come to nothing, after which no more is asked


def form(view: View) -> Proposed:
    """Draft claims question by question, until there are enough or the model has no more.

    A question that no attempt answers is skipped; where the server gives no answer at all, what is drafted is put
    forward.

    Returns:
        Proposals, at least one, and the call of the last answer.

    Raises:
        CheckFailed: nothing was drafted; the run has failed, and can be resumed.
        Stop: a limit of the run is reached, or the user interrupted.
    """
    drafts = _Drafts(view)
    number = skipped = 0
    while len(drafts.proposals) < view.how_many and skipped < _SKIPPED:
        number, before = number + 1, len(drafts.proposals)
        if not _draft(drafts, number) or drafts.silent:
            break
        skipped = 0 if len(drafts.proposals) > before else skipped + 1
    if not drafts.proposals:
        view.requests.give_up(view.round, drafts.why)
    return Proposed(drafts.proposals, drafts.call_id)


def _draft(drafts: _Drafts, number: int) -> bool:
    """Ask for a claim, a rival of it, and a null. Is there more to ask for?"""
    view, begun = drafts.view, bool(drafts.proposals)
    strongest = drafts.strongest(drafts.used("main"))
    if not strongest:
        return False
    more = {"more": [True, False], "component": [*strongest, NONE]} if begun else {"component": strongest}
    chosen = drafts.ask(number, "component", "", **more)
    if chosen is None:
        return True
    name = chosen["component"]
    if name == NONE or chosen.get("more") is False:
        return False
    positions = [*view.behaviour.named_positions, ANYWHERE]
    direction = ["supports", "opposes"]
    if drafts.ask(number, "way", name, position=positions, way=WAYS, direction=direction, predicted=PREDICTED) is None:
        return True
    rivals = drafts.strongest({name, *drafts.used("main", "rival")})
    if rivals and len(drafts.proposals) < view.how_many:
        drafts.ask(number, "rival", name, component=[*rivals, NONE], predicted=PREDICTED)
    weakest = drafts.weakest(drafts.used("main", "rival", "null"))
    if weakest and len(drafts.proposals) < view.how_many and not drafts.silent:
        drafts.ask(number, "null", name, component=[*weakest, NONE])
    return True


class _Drafts:
    """What was asked in a round, and what came of it."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.exchanges: list[Exchange] = []
        self.proposals: list[Proposal] = []
        self.call_id: int | None = None  # of the last answer
        self.silent = False  # the server gives no answers
        self.why = "it has nothing to propose"  # the last trouble
        self._prompt = load_prompt("question")

    def ask(self, number: int, step: Step, about: str, **choices: Any) -> dict[str, Any] | None:
        """Ask until one of the choices is made; None: the question is skipped."""
        if self.silent:
            return None
        schema = question(number, step, **choices)
        messages: list[Message] = [{"role": "user", "content": self._text(number, step, about, choices)}]
        answered = False
        for attempt in range(1, ATTEMPTS + 1):
            ended = self.view.requests.ask(self.view.round, "question", attempt, self._prompt, messages, schema)
            if ended.text is None:
                self.why = ended.error
                if ended.permanent:
                    break
                continue
            answered, self.call_id = True, ended.call_id
            self.exchanges.append(Exchange(schema, ended.text))
            self.proposals = drafted(self.exchanges, self.view.threshold)[: self.view.how_many]
            try:
                return read_choice(schema, ended.text)
            except ProposalError as error:
                self.why = str(error)
            messages = [
                *messages,
                {"role": "assistant", "content": shortened(ended.text, _QUOTED) or "(nothing)"},
                {"role": "user", "content": f"That cannot be used: {self.why}. Answer again with the JSON object."},
            ]
        self.silent = not answered
        return None

    def used(self, *roles: str) -> set[str]:
        """The components that this round's claims of these roles name, without their positions."""
        claims = [proposal["claim"] for proposal in self.proposals if proposal["role"] in roles]
        return {claim["components"][0].partition("@")[0] for claim in claims}

    def strongest(self, without: set[str]) -> list[str]:
        """The components of the largest attributions, but for these."""
        rows = [row["component"].partition("@")[0] for row in self.view.explored.attributions]
        return [name for name in dict.fromkeys(rows) if name not in without][:_STRONGEST]

    def weakest(self, without: set[str]) -> list[str]:
        """The heads of the smallest attributions where the answer is read, but for these, and for nulls before."""
        tested = {name for e in self.view.entries if e.claim.kind == "no_effect" for name in e.claim.components}
        rows = [row["component"] for row in self.view.explored.attributions]
        heads = [name for name in reversed(rows) if name.endswith("@END") and ".h" in name and name not in tested]
        return [name for name in heads if name.partition("@")[0] not in without][:_WEAKEST]

    def _text(self, number: int, step: Step, about: str, choices: dict[str, Any]) -> str:
        view = self.view
        return self._prompt.render(
            behaviour=view.behaviour.name,
            question=view.behaviour.question,
            model=view.model,
            gap=view.explored.gap,
            positions=view.behaviour.named_positions,
            components=findings_by_component(view.findings)[0][:_LINES],
            tested=[verdict(entry) for entry in view.entries[-_VERDICTS:]],
            drafted=[claim_of(proposal, view.behaviour.name) for proposal in self.proposals],
            number=number,
            most=view.how_many,
            step=step,
            about=about,
            begun="more" in choices,
            choices=[f'"{name}": one of {json.dumps(list(values))}' for name, values in choices.items()],
        )
