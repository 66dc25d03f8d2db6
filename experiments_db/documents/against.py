"""Claims that were measured on the same prompts, set against one another prompt by prompt."""

from __future__ import annotations

from typing import Any

import numpy as np

from lakatos.experiments_db.documents.provenance import rivals
from lakatos.experiments_db.log import Entry, Tested, to_data
from lakatos.experiments_db.store import Store
from lakatos.tools.claim import describe
from lakatos.tools.evidence import Data, Prediction, parts_of
from lakatos.tools.evidence.constants import Line
from lakatos.tools.statistics import confidence_interval

Effects = dict[str, tuple[str, float]]  # uid -> template and main effect


def against(store: Store, entry: Entry) -> list[dict[str, Any]]:
    """The rivals of a claim, or what it is a rival of, on the prompts that both were tested on.

    The difference is this claim's main effect minus the other's, per prompt, in the unit of both; its mean stands with
    a 95 % interval, the e-process inverted. It describes; no verdict rests on it, and it is not adjusted for selection.
    Claims in another unit cannot be compared, and are left out.
    """
    own, found = _main(entry.prediction, store.prompts(entry.id)), list[dict[str, Any]]()
    for number, other in rivals(store, entry).items() if own else ():
        theirs = _main(other, store.prompts(number))
        both = [uid for uid in own if uid in theirs]
        if both and _line(other).unit == _line(entry.prediction).unit:
            claim = {"id": number, "text": describe(other.claim, other.behaviour), "role": other.role}
            found.append(claim | _difference(entry.prediction, other, own, theirs, both))
    return found


def _difference(mine: Prediction, other: Prediction, own: Effects, theirs: Effects, both: list[str]) -> dict[str, Any]:
    x = np.array([own[uid][1] - theirs[uid][1] for uid in both])
    bets = Data({"x": x}, tuple(own[uid][0] for uid in both)).by(mine.battery.unit).values["x"]
    low, high = confidence_interval(bets, _line(mine).scale + _line(other).scale)
    return {
        "n": len(both),
        "mean": float(bets.mean()),
        "low": low,
        "high": high,
        "unit": _line(mine).unit,
        "larger": float((x > 0).mean()),
    }


def _line(prediction: Prediction) -> Line:
    """The line of the main effect."""
    return prediction.battery.lines[0]


def _main(prediction: Prediction, prompts: list[Tested]) -> Effects:
    """The main effect of each prompt of a test."""
    if not prompts:
        return {}
    part = parts_of(prediction.claim, prediction.battery, to_data(prompts).values)[0]
    return {p.uid: (p.template, float(x)) for p, x in zip(prompts, part.effect, strict=True)}
