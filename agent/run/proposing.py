"""A round's proposals: the proposer is asked, and what it says is in the log word for word."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from lakatos.agent.config import RunConfig
from lakatos.agent.proposers import Proposed, chosen
from lakatos.agent.run.approving import approved
from lakatos.agent.run.asking import Asking
from lakatos.agent.run.context import Context
from lakatos.agent.run.searching import Searching
from lakatos.agent.view import Asked, Called, Explored, Requests, Searched, Spent
from lakatos.experiments_db.log import SEARCHED, TOOL, Entry, Refused
from lakatos.tools.behaviour import Behaviour
from lakatos.tools.claim import AnyClaim
from lakatos.tools.component import Shape
from lakatos.tools.errors import Stop
from lakatos.tools.multiplicity import slot_weights, success_threshold

_MOMENT = 0.1  # seconds between two looks whether somebody has called
_PATIENCE = 3600.0  # seconds without a call after which a run stops; it can be resumed


def propose(run: Context, round_: int) -> tuple[int, bool]:
    """Ask the proposer; every proposal becomes a row, word for word.

    Returns:
        How many were put forward; and, where none were, whether the proposer goes on and is to be asked again.

    What a proposer searched for is in the log before its proposals are, and is not searched for again.
    """
    already = run.store.proposals(run.run_id, round_)
    if already:
        return len(already), False
    stages = run.store.stages(run.run_id, round_)
    if stages:
        found = Proposed([proposal for stage in stages for proposal in stage["proposals"]])
    else:
        found = _asked(run, round_)
    if found.proposals and (kept := approved(run, round_, found.proposals)):
        run.store.propose(run.run_id, round_, kept, found.call_id)
    return len(found.proposals), found.more


def _asked(run: Context, round_: int) -> Proposed:
    """What the proposer puts forward; what it searched for is appended, with what that cost."""
    view = RunView(run, round_)
    try:
        found = chosen(run.config)(view)
    except Stop:
        if view.searching.forwards:
            run.store.event(run.run_id, "searching", {"round": round_}, *view.searching.taken())
        raise
    if found.searched:
        payload = {"round": round_, "stages": [own._asdict() for own in found.searched]}
        run.store.event(run.run_id, SEARCHED, payload, *view.searching.taken())
        for own in found.searched:
            left = f", {len(own.left)} more for want of budget not" if own.left else ""
            run.watcher.say(f"searched ({own.stage}): {len(own.proposals)} proposed{left}")
    return found


class RunView:
    """A run as its proposer sees it (see `proposers.View`)."""

    def __init__(self, run: Context, round_: int) -> None:
        self._run = run
        self.round = round_
        self.how_many: int = run.config.hypotheses
        self.threshold: float = run.config.threshold
        self.claims: str | None = run.config.claims
        self._idle = 0.0  # seconds that nobody has called
        self.config: RunConfig = run.config
        self.seed: str = run.row.seed
        self.behaviour: Behaviour = run.behaviour
        self.model: str = run.row.model
        self.requests: Requests = Asking(run)

    @cached_property
    def searching(self) -> Searching:
        """The run's exploration prompts, to measure on."""
        return Searching(self._run)

    @property
    def spent(self) -> Spent:
        """What the run has spent so far."""
        record, config = self._run.store.run(self._run.run_id), self.config
        limits = config.max_forwards, config.max_tokens, config.max_seconds
        return Spent(record.forwards, record.tokens, record.seconds, *limits)

    @property
    def next_slot(self) -> tuple[int, float]:
        """The study's next slot, and the e-value that confirms a claim there."""
        study = self._run.store.study
        slot = 1 + len(self._run.store.slots())
        return slot, success_threshold(float(slot_weights(slot, study.planned)[-1]), study.alpha)

    @property
    def calls(self) -> list[Called]:
        """Every call of a tool in this run, in order."""
        return [Called(**call) for call in self._run.store.tool_calls(self._run.run_id)]

    @property
    def waiting(self) -> list[Asked]:
        """Calls that others left in the log and that have no answer yet, in order."""
        left = self._run.store.calls_left(self._run.run_id)
        return [Asked(e.id, e.payload["by"], e.payload["name"], e.payload["arguments"]) for e in left]

    def pause(self) -> None:
        """Wait a moment for such calls; the run spends nothing meanwhile.

        Raises:
            Stop: a limit of the run is reached, the user interrupted, or nobody has called for too long.
            Conflict: another process has gone on with the run.
        """
        self._run.check_alone()
        self._run.check_limits()
        self._run.interruptions.idle(_MOMENT)
        self._idle += _MOMENT
        self.searching.taken()
        if self._idle > _PATIENCE:
            raise Stop(f"nobody has called a tool for {_PATIENCE / 60:.0f} minutes")

    def keep(self, called: Called) -> None:
        """Append a call of a tool, with what it cost; tell of it in a line.

        Raises:
            Conflict: another process has gone on with the run, and answers what others left for it.
        """
        if called.asked is not None:
            self._run.check_alone()
        self._run.store.event(self._run.run_id, TOOL, called._asdict(), *self.searching.taken())
        refused = " (refused)" if called.refused else ""
        self._run.watcher.say(f"{called.number:>3}  {called.by or 'asked'}: {called.name}{refused}")

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
