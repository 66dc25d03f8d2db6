"""What is fixed when a claim is registered, and what its exploration showed: one record, made in one place."""

from __future__ import annotations

from dataclasses import dataclass, field

from lakatos.experiments_db.log import tables as m
from lakatos.experiments_db.log.log import Log
from lakatos.tools.claim import Hypothesis, atoms
from lakatos.tools.component import Shape
from lakatos.tools.evidence import Battery, Data, Prediction, uses_up


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


def register(log: Log, asked: Registration) -> m.HypothesisRow:
    """Give the claim its slot and freeze its record, before any confirmation prompt exists.

    Raises:
        ProposalError: it is registered already, or its list of pairs has been used (see `Log.register`).
    """

    def row(slot: int) -> m.HypothesisRow:
        prediction = _prediction(log, asked, slot)
        return m.HypothesisRow(
            study_id=log.study.id,
            run_id=asked.run.id,
            proposal_id=asked.proposal_id,
            claim_hash=asked.claim_hash,
            slot=slot,
            record=prediction.record(),
            **filed(prediction),
            rationale=asked.hypothesis.rationale,
            calibration={
                "values": {name: column.tolist() for name, column in asked.explored.values.items()},
                "templates": list(asked.explored.templates),
                "unigram": asked.unigram,
            },
            forwards=asked.forwards,
            seconds=asked.seconds,
        )

    listed = asked.listed or ()
    unburned = listed if uses_up(asked.battery, len(listed) if asked.listed is not None else None) else ()
    return log.register(row, asked.claim_hash, asked.run.behaviour, unburned)


def filed(prediction: Prediction) -> dict[str, str | list[str]]:
    """The columns of `hypotheses` that a claim is found by; they follow from its record."""
    claim = prediction.claim
    return {
        "kind": claim.kind,
        "behaviour": prediction.behaviour,
        "behaviour_hash": prediction.behaviour_hash,
        "weights": prediction.weights,
        "subject": "+".join(claim.tested.components),
        "atoms": list(atoms(claim, prediction.shape.n_heads)),
    }


def _prediction(log: Log, asked: Registration, slot: int) -> Prediction:
    return Prediction.of(
        asked.hypothesis,
        asked.battery,
        behaviour=asked.run.behaviour,
        behaviour_hash=asked.run.behaviour_hash,
        model=asked.run.model,
        weights=asked.run.weights,
        shape=asked.shape,
        measures=tuple(asked.explored.values),
        controls=asked.controls,
        cap=asked.cap,
        templates=asked.templates,
        listed=None if asked.listed is None else len(asked.listed),
        family=log.study.name,
        alpha=log.study.alpha,
        slot=slot,
        planned=log.study.planned,
    )
