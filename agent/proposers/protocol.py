"""What a proposer is, and what it may see of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, NoReturn, Protocol

from lakatos.agent.llm import Message
from lakatos.experiments_db.log import Entry, Refused
from lakatos.tools.behaviour import Behaviour
from lakatos.tools.claim import AnyClaim
from lakatos.tools.component import Component, Shape

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lakatos.prompts import Prompt
    from lakatos.tools.experiment import Probed
    from lakatos.tools.intervention import Base, Intervention

Proposal = dict[str, Any]  # of the form of `lakatos.tools.claim.Hypothesis`, not yet judged
Purpose = Literal["propose", "question", "interpret"]


@dataclass(frozen=True)
class Explored:
    """What exploration found, as it stands in the log."""

    gap: float  # mean clean - corrupted metric on exploration pairs
    attributions: Sequence[dict[str, Any]]  # component, score, sd; strongest first
    positions: Sequence[str]
    n_layers: int
    n_heads: int


class Ended(NamedTuple):
    """What came of a request to a language model."""

    text: str | None
    call_id: int
    error: str  # why there is no answer
    permanent: bool = False  # asking again would fail again


class Requests(Protocol):
    """Asking a language model within a run's budget; every request is in the log."""

    def ask(
        self,
        round_: int,
        purpose: Purpose,
        attempt: int,
        prompt: Prompt,
        messages: Sequence[Message],
        schema: dict[str, Any] | None,
    ) -> Ended:
        """One request. What was answered already, in a run that goes on, is not asked again.

        Raises:
            Stop: a limit of the run is reached, or the user interrupted.
        """

    def give_up(self, round_: int, why: str) -> NoReturn:
        """End the run: no attempt gave a usable answer. Raises CheckFailed."""

    def opinion(self, round_: int) -> str:
        """What the language model said of the verdicts of the round before; nothing if it was silent."""


class Searched(NamedTuple):
    """A stage of a proposer that searches: what it put forward, and what it found and had no budget for."""

    stage: str
    proposals: tuple[Proposal, ...]
    left: tuple[Proposal, ...]


class Searching(Protocol):
    """Measuring on exploration prompts, within a run's limits. Nothing that it shows is evidence.

    Each method raises Stop where a limit of the run is reached, or the user interrupted.
    """

    def effects(self, interventions: Sequence[Intervention], base: Base) -> NDArray[np.float64]:
        """How far each intervention moves the metric, as a fraction of the gap: [n_interventions, n_pairs].

        Restored on the corrupted run, lost on the clean one.
        """

    def kept(self, circuits: Sequence[Sequence[Component]]) -> list[float]:
        """The share of the model's metric that each circuit keeps, everything else being resampled."""

    def probe(self, claims: Sequence[AnyClaim]) -> list[Probed | None]:
        """Each claim's whole battery; None: the model or the behaviour has not what it is about."""

    @property
    def edges(self) -> dict[str, dict[str, float]]:
        """Edge attribution: sender -> receiver -> mean score, as a fraction of the gap; {} where it cannot be had."""

    def stepping_in(self, missing: Sequence[Component]) -> list[dict[Component, float]]:
        """For each missing component: later ones -> how much more they write towards the answer, in logits."""


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


class Proposed(NamedTuple):
    """What a proposer puts forward in a round; nothing: the run is over."""

    proposals: list[Proposal]
    call_id: int | None = None  # the request to a language model that it comes from
    searched: tuple[Searched, ...] = ()  # what it looked for


class Proposer(Protocol):
    """Where hypotheses come from. What a proposer says is data and decides nothing."""

    def __call__(self, view: View) -> Proposed:
        """The hypotheses of a round.

        Raises:
            UserError: there can be none; says why. The run has failed, and can be resumed.
        """
