"""The log as plain documents: what tables, --json, reports and exports all show, so that they show the same numbers."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from lakatos.experiments_db.documents.hypothesis import ReviewLine
from lakatos.experiments_db.documents.line import entry_line
from lakatos.experiments_db.documents.run import RunDocument
from lakatos.experiments_db.documents.study import study_document
from lakatos.experiments_db.log import agreement
from lakatos.experiments_db.store import Store
from lakatos.experiments_db.verdict import STATES, correct, family_of
from lakatos.tools.component import Component
from lakatos.tools.errors import UserError


def log_document(store: Store, run_id: int | None = None, state: str | None = None) -> dict[str, Any]:
    """Denominators, hypotheses and refusals of a run, or of everything.

    Raises:
        UserError: no such state.
    """
    if state is not None and state not in STATES:
        raise UserError(f"There is no state {state!r}; there are {', '.join(STATES)}.")
    entries = [e for e in store.hypotheses(run_id) if state in (None, e.state)]
    return {
        "study": study_document(store).as_dict(),
        "run": run_id,
        "counts": asdict(store.counts(run_id)),
        "hypotheses": [entry_line(e) for e in entries],
        "refused": [asdict(r) for r in store.refused(run_id)],
    }


def reviews_document(store: Store) -> dict[str, Any]:
    """Every review of the study, oldest first, and how far reviewers agree."""
    rows = store.reviews()
    return {"reviews": [ReviewLine.of(r).as_dict() for r in rows], "agreement": [asdict(a) for a in agreement(rows)]}


def correction_document(store: Store, method: str, alpha: float | None, family: str) -> dict[str, Any]:
    """A correction over the same rows: per hypothesis, what it says, beside the official verdict.

    Raises:
        UserError: no such method or family, or alpha is none.
    """
    slots = store.slots()
    found = correct(slots, store.study.alpha, method, alpha, family)
    judged = store.judgements(slots)
    return {
        "method": method,
        "works_on": found.works_on,
        "corrected": found.number_is,
        "alpha": found.alpha,
        "family": family,
        "families": found.families,
        "official": found.official,
        "confirmed": found.total,
        "officially_confirmed": sum(j.state == "confirmed" for j in judged.values()),
        "hypotheses": [
            {
                "id": slot.id,
                "slot": slot.slot,
                "run": slot.run_id,
                "kind": slot.kind,
                "behaviour": slot.behaviour,
                "group": judged[slot.id].group,
                "components": slot.subject.split("+"),
                "e": slot.frozen_e,
                "p": slot.frozen_p,
                "state": judged[slot.id].state,
                "family": family_of(slot, family),
                "confirmed": found.confirmed(slot.id),
                "corrected": found.number(slot.id),
            }
            for slot in slots
        ],
    }


def heat_map(document: RunDocument) -> list[dict[str, Any]]:
    """For each component that a run's hypotheses name: layer, column (head or MLP), state and effect as a fraction."""
    cells = []
    for hypothesis in document.hypotheses:
        for text in hypothesis.components:
            component = Component.parse(text)
            cells.append(
                {
                    "id": hypothesis.id,
                    "component": text,
                    "kind": component.kind,
                    "layer": component.layer,
                    "index": component.index,
                    "state": hypothesis.state,
                    "fraction": hypothesis.fraction,
                }
            )
    return cells
