"""What a reader of the log gets: plain records, with the state that follows from the rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from lakatos.tools.evidence import Evidence
from lakatos.tools.hypothesis import CLAIM, AnyClaim, Battery, describe

State = Literal["registered", "testing", "confirmed", "refuted", "inconclusive"]


@dataclass(frozen=True)
class Entry:
    """One registered hypothesis with what is known of it."""

    id: int
    run_id: int
    slot: int
    claim_hash: str
    registered_at: str
    record: dict[str, Any]  # as registered
    rationale: str
    proposer: str
    batches: int  # measured so far
    forwards: float
    evidence: Evidence | None
    state: State = "registered"
    contradicted_by: int | None = None  # the confirmed hypothesis that refutes it

    @property
    def claim(self) -> AnyClaim:
        """The typed claim."""
        return CLAIM.validate_python(self.record["claim"])

    @property
    def battery(self) -> Battery:
        """The constants of its test."""
        return Battery.model_validate(self.record["battery"])

    @property
    def behaviour(self) -> str:
        """The behaviour's name."""
        return str(self.record["behaviour"])

    @property
    def text(self) -> str:
        """The claim in one line."""
        return describe(self.claim, self.behaviour)

    @property
    def seed_key(self) -> str:
        """What the confirmation seeds are derived from, with the database's secret: claim hash and nonce."""
        return f"{self.claim_hash}|{self.record['nonce']}"

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
    behaviour: str
    model: str
    proposer: str
    seed: str
    config: dict[str, Any]
    environment: dict[str, Any]
    status: Literal["running", "stopped", "failed", "finished"]
    forwards: float
    seconds: float
    tokens: int
    llm_calls: int


@dataclass(frozen=True)
class Counts:
    """Denominators first: everything that was tried."""

    proposed: int
    refused: int
    registered: int
    tested: int
    confirmed: int
    refuted: int
    inconclusive: int
    crashed: int
