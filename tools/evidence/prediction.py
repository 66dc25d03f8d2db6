"""The pre-registered record: what is fixed for a claim before any confirmation prompt exists."""

from __future__ import annotations

import hashlib
from typing import Any, Final

from pydantic import Field

from lakatos.tools.claim import Claim, Hypothesis, Role, claim_fields
from lakatos.tools.component import Shape
from lakatos.tools.evidence.constants import Battery
from lakatos.tools.multiplicity import slot_weights, success_threshold
from lakatos.tools.records import Frozen

_OLDER: Final = ("nonce", "seed_commitment")


class Corpus(Frozen):
    """A given list of confirmation pairs."""

    pairs: int
    whole: bool  # the test may use more than half of them: afterwards the list is used up


class Prediction(Frozen):
    """A claim with everything that its verdict will rest on.

    `Prediction.of` derives it, for registering and for verifying alike; `record` is its stored form.
    """

    claim: Claim
    behaviour: str
    behaviour_hash: str
    model: str
    weights: str  # hash
    shape: Shape
    role: Role
    predicted: float | None  # fraction of the gap, as its proposer expects it
    battery: Battery
    measures: tuple[str, ...]  # names of the numbers of each prompt, sorted
    controls: dict[str, str]  # name -> hash of each control behaviour
    cap: int  # the most prompts that the test may use
    templates: int  # how many the confirmation prompts come from
    corpus: Corpus | None
    family: str  # the study over which error is controlled
    alpha: float = Field(gt=0, lt=1)
    slot: int = Field(ge=1)
    weight: float = Field(gt=0)  # of the slot
    threshold: float = Field(gt=0)  # the e-value at which the claim is confirmed whatever the others do
    nonce: str | None = None  # hex; of logs of before streams, in which a claim had prompts of its own
    seed_commitment: str | None = None  # hash of their seed

    @classmethod
    def of(
        cls,
        hypothesis: Hypothesis,
        battery: Battery,
        *,
        behaviour: str,
        behaviour_hash: str,
        model: str,
        weights: str,
        shape: Shape,
        measures: tuple[str, ...],
        controls: dict[str, str],
        cap: int,
        templates: int,
        listed: int | None,
        family: str,
        alpha: float,
        slot: int,
        planned: int | None = None,
        nonce: str | None = None,
        seed: int | None = None,
    ) -> Prediction:
        """The record of a claim: slot weight, threshold, corpus and commitment follow from the rest.

        Args:
            listed: how many confirmation pairs the behaviour's file gives; None where templates give them.
            planned: for how many hypotheses the study was planned (see `slot_weights`).
            nonce, seed: of logs of before streams; of the seed only its hash is kept.
        """
        weight = float(slot_weights(slot, planned)[-1])
        return cls(
            claim=hypothesis.claim,
            behaviour=behaviour,
            behaviour_hash=behaviour_hash,
            model=model,
            weights=weights,
            shape=shape,
            role=hypothesis.role,
            predicted=hypothesis.predicted,
            battery=battery,
            measures=tuple(sorted(measures)),
            controls=controls,
            cap=cap,
            templates=templates,
            corpus=None if listed is None else Corpus(pairs=listed, whole=uses_up(battery, listed)),
            nonce=nonce,
            family=family,
            alpha=alpha,
            slot=slot,
            weight=weight,
            threshold=success_threshold(weight, alpha),
            seed_commitment=None if seed is None else seed_commitment(seed),
        )

    def record(self) -> dict[str, Any]:
        """The stored form, JSON-ready; the claim in its canonical form."""
        told = {**self.model_dump(mode="json"), "claim": claim_fields(self.claim)}
        return {name: value for name, value in told.items() if value is not None or name not in _OLDER}


def uses_up(battery: Battery, listed: int | None) -> bool:
    """Whether a test may use more than half of a given list of pairs."""
    return listed is not None and 2 * battery.n_max > listed


def seed_commitment(seed: int) -> str:
    """What the record says of a seed before it is used."""
    return "sha256:" + hashlib.sha256(str(seed).encode()).hexdigest()
