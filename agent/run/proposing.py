"""A round's proposals: the proposer is asked, and what it says is in the log word for word."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from lakatos.agent.proposers import PROPOSERS, STYLES, Explored, Proposal, Requests, Searched
from lakatos.agent.run.asking import Asking
from lakatos.agent.run.context import Context
from lakatos.agent.run.searching import Searching
from lakatos.experiments_db.log import SEARCHED, Entry, Refused
from lakatos.tools.behaviour import Behaviour
from lakatos.tools.claim import AnyClaim
from lakatos.tools.component import Shape
from lakatos.tools.errors import Stop


def propose(run: Context, round_: int) -> int:
    """Ask the proposer; every proposal becomes a row, word for word. Returns how many there are.

    What a proposer searched for is in the log before its proposals are, and is not searched for again.
    """
    already = run.store.proposals(run.run_id, round_)
    if already:
        return len(already)
    stages, call_id = run.store.stages(run.run_id, round_), None
    if stages:
        proposals = [proposal for stage in stages for proposal in stage["proposals"]]
    else:
        proposals, call_id = _asked(run, round_)
    if proposals:
        run.store.propose(run.run_id, round_, proposals, call_id)
    return len(proposals)


def _asked(run: Context, round_: int) -> tuple[list[Proposal], int | None]:
    """What the proposer puts forward; what it searched for is appended, with what that cost."""
    view = RunView(run, round_)
    try:
        config = run.config
        found = (STYLES[config.llm_style] if config.proposer == "llm" else PROPOSERS[config.proposer])(view)
    except Stop:
        if view.searching.forwards:
            run.store.event(run.run_id, "searching", {"round": round_}, view.searching.forwards, view.searching.seconds)
        raise
    if found.searched:
        payload = {"round": round_, "stages": [own._asdict() for own in found.searched]}
        run.store.event(run.run_id, SEARCHED, payload, view.searching.forwards, view.searching.seconds)
        for own in found.searched:
            left = f", {len(own.left)} more for want of budget not" if own.left else ""
            run.watcher.say(f"searched ({own.stage}): {len(own.proposals)} proposed{left}")
    return found.proposals, found.call_id


class RunView:
    """A run as its proposer sees it (see `proposers.View`)."""

    def __init__(self, run: Context, round_: int) -> None:
        self._run = run
        self.round = round_
        self.how_many: int = run.config.hypotheses
        self.threshold: float = run.config.threshold
        self.claims: str | None = run.config.claims
        self.seed: str = run.row.seed
        self.behaviour: Behaviour = run.behaviour
        self.model: str = run.row.model
        self.requests: Requests = Asking(run)

    @cached_property
    def searching(self) -> Searching:
        """The run's exploration prompts, to measure on."""
        return Searching(self._run)

    @property
    def proposed(self) -> int:
        """How many the rounds before have put forward."""
        return len(self._run.store.proposals(self._run.run_id))

    @property
    def searched(self) -> list[Searched]:
        """The stages that this run has been through."""
        return [Searched(**stage) for stage in self._run.store.stages(self._run.run_id)]

    @cached_property
    def known(self) -> list[Entry]:
        """What the study has registered of this behaviour and model, with its verdicts."""
        row = self._run.row
        return [
            e
            for e in self._run.store.hypotheses()
            if (e.prediction.weights, e.prediction.behaviour_hash) == (row.weights, row.behaviour_hash)
        ]

    @cached_property
    def shape(self) -> Shape:
        """Which components the model has."""
        return Shape.of(self._run.model.cfg)

    @property
    def explored(self) -> Explored:
        """What exploration found."""
        gap = float(self._run.payload("checked")["gap"])
        rows, shape = self.findings["attributions"], self.shape
        return Explored(gap, rows, self.behaviour.named_positions, shape.n_layers, shape.n_heads)

    @cached_property
    def findings(self) -> dict[str, Any]:
        """The exploration event as it stands in the log."""
        return self._run.payload("explored")

    @property
    def entries(self) -> list[Entry]:
        """The run's hypotheses with their verdicts."""
        return self._run.entries()

    @property
    def refused(self) -> list[Refused]:
        """What the run's proposers put forward in vain."""
        return self._run.store.refused(self._run.run_id)

    @property
    def confirmed(self) -> list[tuple[str, AnyClaim]]:
        """What the study has confirmed of this behaviour and model, but for what is a replication itself."""
        return [(e.text, e.claim) for e in self.known if e.state == "confirmed" and e.claim.family is None]
