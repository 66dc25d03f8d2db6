"""The story of a run that explored with tools: what was thought, asked, answered, registered, and what came of it."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any

from lakatos.experiments_db.documents.became import became, proposals_of
from lakatos.experiments_db.documents.record import Document
from lakatos.experiments_db.log import TOOL, read_turn
from lakatos.experiments_db.store import Store


@dataclass(frozen=True)
class Step(Document):
    """A call of a tool."""

    number: int
    at: str
    by: str  # which investigator; "" where there is one
    thought: str  # what a language model said before it called
    tool: str
    arguments: str  # JSON, as they were taken; "" where there are none
    answer: str
    refused: bool
    forwards: float
    seconds: float
    became: tuple[str, ...]  # claims that it put forward, and what became of each


@dataclass(frozen=True)
class Story(Document):
    """Every step of a run."""

    run: int
    behaviour: str
    model: str
    proposer: str
    status: str
    tokens: int
    forwards: float  # of all steps
    steps: tuple[Step, ...]

    @property
    def used(self) -> dict[str, int]:
        """How often each tool was called, the most frequent first."""
        return dict(Counter(step.tool for step in self.steps).most_common())

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return super().as_dict() | {"used": self.used}


def story_of(store: Store, run_id: int) -> Story:
    """The story of a run; without steps where it did not explore with tools.

    Raises:
        UserError: there is no such run in this study.
    """
    row, record = store.own_run(run_id), store.run(run_id)
    put: dict[int, list[str]] = defaultdict(list)
    for proposal, told in proposals_of(store, row):
        put[proposal.round].append(became(told))
    thoughts = {
        call.id: read_turn(call.response)[0]
        for call in store.calls(run_id)
        if call.response is not None and "after" in call.request
    }
    steps = []
    for event in store.events(run_id, TOOL):
        told = event.payload
        steps.append(
            Step(
                number=told["number"],
                at=event.at,
                by=told["by"],
                thought=thoughts.pop(told["request"], "") if told["place"] == 0 else "",
                tool=told["name"],
                arguments=_arguments(told["arguments"]),
                answer=told["answer"],
                refused=told["refused"],
                forwards=event.forwards,
                seconds=event.seconds,
                became=tuple(put[told["round"]]) if told["proposals"] else (),
            )
        )
    return Story(
        run=run_id,
        behaviour=row.behaviour,
        model=row.model,
        proposer=row.proposer,
        status=record.status,
        tokens=record.tokens,
        forwards=sum(step.forwards for step in steps),
        steps=tuple(steps),
    )


def _arguments(told: Any) -> str:
    """Arguments as JSON, without those that were left out."""
    if isinstance(told, dict):
        told = {name: value for name, value in told.items() if value is not None}
    return json.dumps(told, ensure_ascii=False) if told else ""


def story_markdown(story: Story) -> str:
    """A story to read; all that a model or a file said stands in fences, so that none of it is markup."""
    used = ", ".join(f"{name} {n}" for name, n in story.used.items())
    lines = [
        f"## Run {story.run}: {story.behaviour} on `{inline(story.model)}`, {story.status}",
        "",
        f"{len(story.steps)} calls of tools ({used}), {story.forwards:,.0f} forward passes, {story.tokens:,} tokens.",
        "",
    ]
    for step in story.steps:
        if step.thought.strip():
            lines += [*fenced(step.thought), ""]
        who = f", {inline(step.by)}" if step.by else ""
        cost = f" ({step.forwards:,.0f} passes)" if step.forwards else ""
        lines += [f"### {step.number}. {inline(step.tool)}{who}{cost}", ""]
        lines += [*fenced(step.arguments), ""] if step.arguments else []
        lines += [*fenced(step.answer), ""]
        if step.became:
            lines += ["What became of these claims:", "", *fenced("\n".join(step.became)), ""]
    return "\n".join(lines)


def fenced(text: str) -> list[str]:
    """A text between fences that are longer than any in it."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return [fence, text, fence]


def inline(text: str) -> str:
    """A text that cannot end the code span in which it stands."""
    return " ".join(text.replace("`", "'").split())
