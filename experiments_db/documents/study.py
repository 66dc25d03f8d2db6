"""Studies as documents: their plan, how their error is controlled, and what was tried in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lakatos.experiments_db.store import Store
from lakatos.experiments_db.verdict import OFFICIAL
from lakatos.tools.multiplicity import slot_weights, success_threshold


def studies_document(stores: Sequence[Store]) -> dict[str, Any]:
    """Studies, one a row."""
    return {"studies": [study_line(store) for store in stores]}


def study_line(store: Store) -> dict[str, Any]:
    """A study in one row: its plan, what was tried in it, and what the next hypothesis needs."""
    study, counts = store.study, store.counts()
    weights = slot_weights(counts.registered + 1, study.planned)
    return {
        "name": study.name,
        "at": study.at,
        "alpha": study.alpha,
        "planned": study.planned,
        "secret": study.secret_source,
        "registered": counts.registered,
        "tested": counts.tested,
        "confirmed": counts.confirmed,
        "first_threshold": success_threshold(float(weights[0]), study.alpha),
        "next_threshold": success_threshold(float(weights[-1]), study.alpha),
    }


def study_document(store: Store) -> dict[str, Any]:
    """The study: over what error is controlled, how, and the ledger's head."""
    study = store.study
    others = [other for other in store.studies() if other != study.name]
    return {
        "name": study.name,
        "alpha": study.alpha,
        "planned": study.planned,
        "method": OFFICIAL,
        "family": f"the study {study.name}" if others else "every hypothesis in this database",
        "other_studies": others,
        "secret": study.secret_source,
        "ledger_head": store.ledger_head(),
    }
