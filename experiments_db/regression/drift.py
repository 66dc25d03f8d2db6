"""One claim over time: its confirmation and every re-run, with models, weights and versions. Numbers only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lakatos.experiments_db.log import Entry, Rerun, reading
from lakatos.experiments_db.regression.ledger import file_of
from lakatos.experiments_db.store import Store
from lakatos.tools.evidence import decide, effects_of


def drift_document(store: Store, entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """Each confirmed claim with its history, oldest first; the confirmation is the first row.

    Effects are means over prompts of the main line, clipped as in re-runs (so the first row may differ a little from
    what the confirmation reported), in raw units; `fraction` of the clean-corrupted gap that was registered, where the
    kind of claim has one. Intervals are at 95 % and not adjusted for selection.
    """
    reruns = store.reruns([entry.id for entry in entries])
    return [_history(store, entry, [r for r in reruns if r.hypothesis_id == entry.id]) for entry in entries]


def _history(store: Store, entry: Entry, reruns: Sequence[Rerun]) -> dict[str, Any]:
    with reading(f"hypotheses row {entry.id}, its evidence or one of its re-runs"):
        return _told(store, entry, reruns)


def _told(store: Store, entry: Entry, reruns: Sequence[Rerun]) -> dict[str, Any]:
    file = file_of(store, entry)
    main = file.tolerance[0]
    gap = entry.battery.gap if entry.claim.tested.of_gap else None
    began = _versions(store.run_row(entry.run_id).environment)
    assert entry.evidence is not None  # `file_of` takes no other
    effects = effects_of(entry.claim, entry.battery, store.data(entry.id))
    line = decide(file.tolerance, effects).lines[0]  # as a re-run of these prompts would be summed up
    confirmation = {
        "at": store.frozen_at(entry.id),
        "model": file.model.name,
        "weights": file.model.weights,
        "same_weights": True,
        "differs": {},
        "n": entry.evidence.n,
        "outcome": "confirmed",
        "seed": None,
        **_effect(line.mean, line.low, line.high, gap),
    }
    return {
        "id": entry.id,
        "claim_hash": entry.claim_hash,
        "text": entry.text,
        "title": file.title,
        "unit": main.unit,
        "gap": gap,
        "versions": began,
        "kept": main.kept,
        "lost": main.lost,
        "rows": [confirmation, *(_rerun(r, entry, began, gap) for r in reruns)],
    }


def _rerun(rerun: Rerun, entry: Entry, began: Mapping[str, str], gap: float | None) -> dict[str, Any]:
    line = rerun.record["lines"][0]
    now = _versions(rerun.environment)
    return {
        "at": rerun.at,
        "model": rerun.model,
        "weights": rerun.weights,
        "same_weights": rerun.weights == entry.prediction.weights,
        "differs": {name: now.get(name) for name in sorted({*began, *now}) if now.get(name) != began.get(name)},
        "n": rerun.n,
        "outcome": rerun.outcome,
        "seed": rerun.seed,
        **_effect(line["mean"], line["low"], line["high"], gap),
    }


def _effect(mean: float, low: float, high: float, gap: float | None) -> dict[str, Any]:
    shares = {"fraction": None, "fraction_low": None, "fraction_high": None}
    if gap:
        shares = {"fraction": mean / gap, "fraction_low": low / gap, "fraction_high": high / gap}  # type: ignore[dict-item]
    return {"effect": mean, "low": low, "high": high, **shares}


def _versions(environment: Mapping[str, Any]) -> dict[str, str]:
    """What could move a number: packages and Python, the device and the machine's kind."""
    found = {name: str(version) for name, version in environment.get("packages", {}).items()}
    return found | {name: str(environment[name]) for name in ("python", "device", "processor") if name in environment}
