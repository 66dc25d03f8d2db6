"""What is fixed when a claim is registered, and what its exploration showed: one record, made in one place."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from lakatos.experiments_db import models as m
from lakatos.experiments_db.store import Store, seed_commitment
from lakatos.tools.claim import Hypothesis, atoms, claim_fields
from lakatos.tools.component import Shape
from lakatos.tools.evidence import Battery, Data
from lakatos.tools.multiplicity import slot_weights, success_threshold


@dataclass(frozen=True)
class Registration:
    """A calibrated claim that asks for a slot."""

    run: m.Run
    proposal_id: int
    hypothesis: Hypothesis
    claim_hash: str
    battery: Battery
    explored: Data  # the exploration numbers that the battery's constants come from
    shape: Shape
    cap: int  # the most prompts that a test may use
    templates: int  # how many the confirmation prompts come from
    controls: dict[str, str] = field(default_factory=dict)  # name -> hash of the control behaviours
    unigram: dict[str, float] = field(default_factory=dict)  # name -> loss of each control's text, in nats
    listed: tuple[str, ...] | None = None  # the clean confirmation prompts, where they are a given list
    forwards: float = 0.0
    seconds: float = 0.0

    @property
    def uses_up(self) -> bool:
        """Whether its test may use more than half of a given list of pairs."""
        return self.listed is not None and 2 * self.battery.n_max > len(self.listed)


def register(store: Store, asked: Registration) -> m.HypothesisRow:
    """Give the claim its slot and freeze its record, before any confirmation prompt exists.

    Raises:
        ProposalError: it is registered already, or its list of pairs has been used (see `Store.register`).
    """
    claim, study = asked.hypothesis.claim, store.study

    def record(slot: int, nonce: str) -> dict[str, Any]:
        weight = float(slot_weights(slot)[-1])
        return {
            "claim": claim_fields(claim),
            "behaviour": asked.run.behaviour,
            "behaviour_hash": asked.run.behaviour_hash,
            "model": asked.run.model,
            "weights": asked.run.weights,
            "shape": asdict(asked.shape),
            "role": asked.hypothesis.role,
            "predicted": asked.hypothesis.predicted,
            "battery": asked.battery.model_dump(mode="json"),
            "measures": sorted(asked.explored.values),
            "controls": asked.controls,
            "cap": asked.cap,
            "templates": asked.templates,
            "corpus": None if asked.listed is None else {"pairs": len(asked.listed), "whole": asked.uses_up},
            "nonce": nonce,
            "family": study.name,
            "alpha": study.alpha,
            "slot": slot,
            "weight": weight,
            "threshold": success_threshold(weight, study.alpha),
            "seed_commitment": seed_commitment(store.seed(f"{asked.claim_hash}|{nonce}", "pairs")),
        }

    row = m.HypothesisRow(
        study_id=study.id,
        run_id=asked.run.id,
        proposal_id=asked.proposal_id,
        claim_hash=asked.claim_hash,
        kind=claim.kind,
        behaviour=asked.run.behaviour,
        behaviour_hash=asked.run.behaviour_hash,
        weights=asked.run.weights,
        subject="+".join(claim.tested.components),
        atoms=list(atoms(claim, asked.shape.n_heads)),
        rationale=asked.hypothesis.rationale,
        calibration={
            "values": {name: column.tolist() for name, column in asked.explored.values.items()},
            "templates": list(asked.explored.templates),
            "unigram": asked.unigram,
        },
        forwards=asked.forwards,
        seconds=asked.seconds,
    )
    return store.register(row, record, unburned=(asked.listed or ()) if asked.uses_up else ())
