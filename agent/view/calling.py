"""Calls of tools as they stand in the log, and what a run has spent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from lakatos.agent.view.searching import Proposal


class Called(NamedTuple):
    """A call of a tool, and what it was answered, as it stands in the log."""

    number: int  # 1, 2, ... in a run
    round: int
    by: str  # which investigator called it
    name: str
    arguments: Any  # as they came; a text where they were no JSON
    answer: str
    refused: bool = False
    request: int | None = None  # the request to a language model whose answer made the call
    place: int = 0  # among the calls of that answer
    proposals: tuple[Proposal, ...] = ()  # what it put forward
    over: bool = False  # the investigator has finished
    asked: int | None = None  # the event of the log that left the call


class Asked(NamedTuple):
    """A call of a tool that somebody else's process left in the log."""

    id: int
    by: str  # the client
    name: str
    arguments: Any


class Spent(NamedTuple):
    """What a run has spent, and its limits; None: there is none."""

    forwards: float
    tokens: int
    seconds: float
    max_forwards: float | None
    max_tokens: int | None
    max_seconds: float | None
