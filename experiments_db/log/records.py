"""What a reader of the log gets: plain records, with the state that follows from the rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from lakatos.experiments_db.verdict import Interval, Judgement, State
from lakatos.tools.claim import AnyClaim, describe
from lakatos.tools.evidence import Battery, Evidence, Prediction, Reach

Status = Literal["running", "stopped", "failed", "finished"]


@dataclass(frozen=True)
class Entry:
    """One registered hypothesis with what is known of it."""

    id: int
    run_id: int
    slot: int
    claim_hash: str
    registered_at: str
    prediction: Prediction  # as registered
    rationale: str
    proposer: str
    batches: int  # measured so far
    forwards: float
    evidence: Evidence | None
    judgement: Judgement
    extensions: tuple[tuple[int, int], ...] = ()  # prompts at which its test was extended, and by how many
    standing: str | None = None  # what people say: accepted, disputed, needs replication, retracted
    selected: Interval | None = None  # of a confirmed claim's main effect, adjusted for having been selected

    @property
    def claim(self) -> AnyClaim:
        """What is claimed."""
        return self.prediction.claim

    @property
    def battery(self) -> Battery:
        """The constants of its test."""
        return self.prediction.battery

    @property
    def behaviour(self) -> str:
        """The behaviour's name."""
        return self.prediction.behaviour

    @property
    def text(self) -> str:
        """The claim in one line."""
        return describe(self.claim, self.behaviour)

    @property
    def reach(self) -> Reach:
        """How far its test may go."""
        return Reach.extended(*self.extensions[-1]) if self.extensions else Reach.of(self.battery)

    @property
    def state(self) -> State:
        """Where it stands."""
        return self.judgement.state

    @property
    def e(self) -> float:
        """The frozen e-value; 0 until the test has finished, and for a test that crashed."""
        return self.evidence.e if self.evidence and not self.crashed else 0.0

    @property
    def p(self) -> float:
        """The sign-flip p-value; 1 until the test has finished."""
        return self.evidence.p if self.evidence else 1.0

    @property
    def crashed(self) -> bool:
        """Whether its test failed: the slot stays spent."""
        return self.evidence is not None and self.evidence.stop == "crashed"

    @property
    def reading(self) -> str | None:
        """Which of a battery's readings holds, if one does; for a confirmed claim, its own."""
        if self.state == "confirmed":
            return self.claim.tested.established
        return self.evidence.reading(self.prediction.threshold) if self.evidence else None


@dataclass(frozen=True)
class Refused:
    """A proposal that was not registered."""

    proposal: dict[str, Any]
    kind: str
    reason: str
    duplicate_of: int | None


@dataclass(frozen=True)
class RunRecord:
    """One investigation, its spend, and where it stands."""

    id: int
    at: str
    study: str
    behaviour: str
    model: str
    proposer: str
    seed: str
    config: dict[str, Any]
    environment: dict[str, Any]
    status: Status
    forwards: float
    seconds: float
    tokens: int
    llm_calls: int
    money: float | None  # in the currency of the run's --llm-price-in and -out; None: it was told no price


@dataclass(frozen=True)
class Counts:
    """Denominators first: everything that was tried."""

    proposed: int
    refused: int
    registered: int
    tested: int
    confirmed: int
    groups: int  # of overlapping claims, among the confirmed
    refuted: int
    inconclusive: int
    crashed: int
