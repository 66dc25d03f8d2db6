"""A round's proposals: the proposer is asked, and what it says is in the log word for word."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from lakatos.agent.proposers import PROPOSERS, Explored, Requests
from lakatos.agent.run.asking import Asking
from lakatos.agent.run.context import Context
from lakatos.experiments_db.log import Entry, Refused
from lakatos.tools.behaviour import Behaviour
from lakatos.tools.claim import AnyClaim
from lakatos.tools.component import Shape


def propose(run: Context, round_: int) -> int:
    """Ask the proposer; every proposal becomes a row, word for word. Returns how many there are."""
    already = run.store.proposals(run.run_id, round_)
    if already:
        return len(already)
    proposals, call_id = PROPOSERS[run.config.proposer](RunView(run, round_))
    if proposals:
        run.store.propose(run.run_id, round_, proposals, call_id)
    return len(proposals)


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
        row = self._run.row
        return [
            (e.text, e.claim)
            for e in self._run.store.hypotheses()
            if e.state == "confirmed"
            and e.claim.family is None
            and (e.prediction.weights, e.prediction.behaviour_hash) == (row.weights, row.behaviour_hash)
        ]
