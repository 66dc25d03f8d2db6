"""A run as a proposer sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from lakatos.agent.view.asking import Requests
from lakatos.agent.view.calling import Asked, Called, Spent
from lakatos.agent.view.searching import Explored, Searched, Searching

if TYPE_CHECKING:
    from lakatos.agent.config import RunConfig
    from lakatos.experiments_db.log import Entry, Refused
    from lakatos.tools.behaviour import Behaviour
    from lakatos.tools.claim import AnyClaim
    from lakatos.tools.component import Shape


class View(Protocol):
    """A run as a proposer sees it: settings, exploration, verdicts. No seed of confirmation prompts is among it."""

    @property
    def round(self) -> int:
        """1, 2, ..."""

    @property
    def how_many(self) -> int:
        """The most hypotheses: of a round, or, for a proposer that searches, of the run."""

    @property
    def proposed(self) -> int:
        """How many the rounds before have put forward."""

    @property
    def threshold(self) -> float:
        """Smallest effect of interest, as a fraction of the gap."""

    @property
    def seed(self) -> str:
        """Of the run's exploration."""

    @property
    def claims(self) -> str | None:
        """The file of `--claims`."""

    @property
    def behaviour(self) -> Behaviour:
        """What is asked about."""

    @property
    def model(self) -> str:
        """The model's name."""

    @property
    def shape(self) -> Shape:
        """Which components the model has."""

    @property
    def explored(self) -> Explored:
        """What exploration found."""

    @property
    def findings(self) -> dict[str, Any]:
        """All of it, as it stands in the log."""

    @property
    def entries(self) -> list[Entry]:
        """The run's hypotheses with their verdicts."""

    @property
    def refused(self) -> list[Refused]:
        """What the run's proposers put forward in vain."""

    @property
    def confirmed(self) -> list[tuple[str, AnyClaim]]:
        """What the study has confirmed of this behaviour and model, but for replications: text and claim."""

    @property
    def known(self) -> list[Entry]:
        """What the study has registered of this behaviour and model, with its verdicts."""

    @property
    def searched(self) -> list[Searched]:
        """The stages that this run has been through."""

    @property
    def searching(self) -> Searching:
        """The run's exploration prompts, to measure on."""

    @property
    def requests(self) -> Requests:
        """The run's language model."""

    @property
    def config(self) -> RunConfig:
        """The run's settings."""

    @property
    def spent(self) -> Spent:
        """What the run has spent so far."""

    @property
    def next_slot(self) -> tuple[int, float]:
        """The study's next slot, and the e-value that confirms a claim there whatever others do."""

    @property
    def calls(self) -> list[Called]:
        """Every call of a tool in this run, in order."""

    @property
    def waiting(self) -> list[Asked]:
        """Calls that others left in the log and that have no answer yet, in order."""

    def pause(self) -> None:
        """Wait a moment for such calls.

        Raises:
            Stop: a limit of the run is reached, the user interrupted, or nobody has called for too long.
        """

    def keep(self, called: Called) -> None:
        """Append a call of a tool, with what it cost."""
