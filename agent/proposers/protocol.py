"""What a proposer is."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from lakatos.agent.view import Proposal, Searched, View


class Proposed(NamedTuple):
    """What a proposer puts forward in a round; nothing, and no more to come: the run is over."""

    proposals: list[Proposal]
    call_id: int | None = None  # the request to a language model that it comes from
    searched: tuple[Searched, ...] = ()  # what it looked for
    more: bool = False  # it has nothing to put forward yet, and goes on


class Proposer(Protocol):
    """Where hypotheses come from. What a proposer says is data and decides nothing."""

    def __call__(self, view: View) -> Proposed:
        """The hypotheses of a round.

        Raises:
            UserError: there can be none; says why. The run has failed, and can be resumed.
        """
