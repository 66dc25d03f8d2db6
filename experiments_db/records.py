"""What a reader of the log gets: plain records, with the state that follows from the rows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from lakatos.tools.claim import CLAIM, AnyClaim, describe
from lakatos.tools.evidence import Battery, Evidence

State = Literal["registered", "testing", "confirmed", "refuted", "inconclusive"]
STATES: tuple[State, ...] = ("registered", "testing", "confirmed", "refuted", "inconclusive")
_WORDS = ("behaviour", "model", "weights", "role", "nonce")


@dataclass(frozen=True, slots=True)  # there may be very many
class Slot:
    """One registered hypothesis as corrections see it: no more than what decides."""

    id: int
    run_id: int
    slot: int
    kind: str
    behaviour: str
    behaviour_hash: str
    weights: str
    subject: str
    atoms: tuple[str, ...]
    batches: int  # measured so far
    stop: str | None  # why its test stopped; None until it has
    frozen_e: float | None = None
    frozen_p: float | None = None

    @property
    def e(self) -> float:
        """The frozen e-value; 0 until the test has finished, and for a test that crashed."""
        return self.frozen_e if self.frozen_e is not None and self.stop != "crashed" else 0.0

    @property
    def p(self) -> float:
        """The sign-flip p-value; 1 until the test has finished, and for a test that crashed."""
        return self.frozen_p if self.frozen_p is not None and self.stop != "crashed" else 1.0

    @property
    def about(self) -> tuple[str, str, str]:
        """What claims share that can contradict or replicate each other."""
        return self.weights, self.behaviour_hash, self.subject


@dataclass(frozen=True, slots=True)  # there may be very many
class Judgement:
    """What the whole study says of a hypothesis."""

    state: State
    group: int  # the slot of the first of the claims that it overlaps with
    contradicted_by: int | None = None  # the confirmed hypothesis that says the opposite
    replicated_by: int | None = None  # the confirmed generalisation of this claim to another prompt family


@dataclass(frozen=True)
class Interval:
    """A confidence interval, and at what level."""

    low: float
    high: float
    level: float


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
    judgement: Judgement
    standing: str | None = None  # what people say: accepted, disputed, needs replication, retracted
    selected: Interval | None = None  # of a confirmed claim's main effect, adjusted for having been selected

    @cached_property
    def claim(self) -> AnyClaim:
        """The typed claim."""
        return CLAIM.validate_python(self.record["claim"])

    @cached_property
    def battery(self) -> Battery:
        """The constants of its test."""
        return Battery.model_validate(self.record["battery"])

    def check(self) -> None:
        """Read what every page reads. Raises ValueError, LookupError or TypeError: the record is not one of lakatos."""
        record = self.record
        words = all(isinstance(record[name], str) for name in _WORDS)
        numbers = float(record["threshold"]) > 0 and int(record["templates"]) >= 0
        if not (self.claim and self.battery.lines and words and numbers):
            raise ValueError("a part of its record is of another kind")

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
        return self.evidence.reading(float(self.record["threshold"])) if self.evidence else None


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
    status: Literal["running", "stopped", "failed", "finished"]
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


@dataclass(frozen=True)
class Freshness:
    """How far the index has read the log."""

    read: int  # id of the last ledger entry that it knows; 0: none yet
    now: int  # id of the newest
    at: str | None  # when it was last brought up to date; None: never
    refreshing: bool  # whether this process is doing so
    done: int = 0  # rows that it has written, of those that it must
    of: int = 0

    @property
    def current(self) -> bool:
        """Whether it knows all of the log."""
        return self.at is not None and self.read == self.now


@dataclass(frozen=True)
class Page:
    """Some of the hypotheses that a query asks for."""

    rows: list[dict[str, Any]]  # `documents.entry_line` of each
    total: int  # how many it asks for
    page: int
    per_page: int

    @property
    def pages(self) -> int:
        """How many there are, at least one."""
        return max(1, -(-self.total // self.per_page))


@dataclass(frozen=True)
class Cell:
    """A place in the model, whatever the position, and what was found of it."""

    layer: int
    kind: str  # of `Component`
    index: int | None
    counts: dict[str, int]  # hypotheses by state
    fraction: float | None  # effect of the hypothesis with the largest one, as a fraction of the gap
