"""A run as proposers and tools see it: settings, exploration, verdicts. No seed of confirmation prompts is among it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, NoReturn, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lakatos.agent.config import RunConfig
    from lakatos.agent.llm import Message, ToolCall
    from lakatos.experiments_db.log import Entry, Refused
    from lakatos.prompts import Prompt
    from lakatos.tools.behaviour import Behaviour
    from lakatos.tools.claim import AnyClaim
    from lakatos.tools.component import Component, Shape
    from lakatos.tools.exploration import Answered, HeadScores, LensRow
    from lakatos.tools.intervention import Base, Intervention

Proposal = dict[str, Any]  # of the form of `lakatos.tools.claim.Hypothesis`, not yet judged
Purpose = Literal["propose", "question", "interpret", "investigate", "criticise"]


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
    calls: tuple[ToolCall, ...] = ()  # of tools


class Turn(NamedTuple):
    """A request of a conversation that was answered, as it stands in the log."""

    call_id: int
    after: int | None  # the request that it continues; None: a conversation begins
    messages: tuple[Message, ...]  # what was said to the model since then
    text: str  # what it answered
    calls: tuple[ToolCall, ...]  # ... and called


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

    def converse(
        self,
        round_: int,
        purpose: Purpose,
        by: str,
        prompt: Prompt,
        after: int | None,
        messages: Sequence[Message],
        tools: Sequence[dict[str, Any]],
    ) -> Ended:
        """One request of a conversation with tools.

        Args:
            by: which investigator converses.
            after: the request that this one continues; None begins a conversation.
            messages: what is new since then.
            tools: those that are offered, in OpenAI's form.

        Raises:
            Stop: a limit of the run is reached, or the user interrupted.
        """

    def turns(self, by: str) -> list[Turn]:
        """An investigator's answered requests, in order."""

    def give_up(self, round_: int, why: str) -> NoReturn:
        """End the run: no attempt gave a usable answer. Raises CheckFailed."""

    def opinion(self, round_: int) -> str:
        """What the language model said of the verdicts of the round before; nothing if it was silent."""


class Searched(NamedTuple):
    """A stage of a proposer that searches: what it put forward, and what it found and had no budget for."""

    stage: str
    proposals: tuple[Proposal, ...]
    left: tuple[Proposal, ...]


class Probed(Protocol):
    """A claim's whole battery on exploration prompts."""

    @property
    def effect(self) -> float:
        """Mean of the main line, in its unit."""

    @property
    def promise(self) -> float:
        """(mean - delta) / sd of the line where that is smallest: negative, the claim would fail."""

    @property
    def forwards(self) -> float:
        """Forward passes of one prompt that it took."""


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

    def probe(self, claims: Sequence[AnyClaim]) -> Sequence[Probed | None]:
        """Each claim's whole battery; None: the model or the behaviour has not what it is about."""

    @property
    def edges(self) -> dict[str, dict[str, float]]:
        """Edge attribution: sender -> receiver -> mean score, as a fraction of the gap; {} where it cannot be had."""

    def stepping_in(self, missing: Sequence[Component]) -> list[dict[Component, float]]:
        """For each missing component: later ones -> how much more they write towards the answer, in logits."""

    def answers(self, n: int, template: str | None, containing: Sequence[str], skip: int) -> list[Answered]:
        """What the model answers to exploration prompts.

        Args:
            n: the most pairs; there may be fewer.
            template: only pairs of this one.
            containing: only pairs whose clean prompt has all of these words.
            skip: pairs of the stream that are passed over.
        """

    def attention(self, heads: Sequence[Component]) -> list[dict[tuple[str, str], float]]:
        """For each head: (from, to) -> mean share of its attention; see `exploration.attention_between`."""

    def lens(self, position: str) -> list[LensRow]:
        """What the residual stream would answer at a named position, layer by layer."""

    @property
    def head_scores(self) -> list[HeadScores]:
        """Every head's scores on repeated random tokens, and of its OV circuit."""


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
