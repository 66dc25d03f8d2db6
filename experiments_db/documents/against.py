"""Claims that were measured on the same prompts, set against one another prompt by prompt."""

from __future__ import annotations

from typing import Any

import numpy as np

from lakatos.experiments_db.documents.provenance import kin
from lakatos.experiments_db.log import Entry, Tested, to_data
from lakatos.experiments_db.store import Store
from lakatos.tools.evidence import Data, parts_of
from lakatos.tools.statistics import confidence_interval

Effects = dict[str, tuple[str, float]]  # uid -> template and main effect


def against(store: Store, entry: Entry) -> list[dict[str, Any]]:
    """The rivals of a claim, or what it is a rival of, on the prompts that both were tested on.

    The difference is this claim's main effect minus the other's, per prompt, in the unit of both; its mean stands with
    a 95 % interval, the e-process inverted. It describes; no verdict rests on it, and it is not adjusted for selection.
    Claims in another unit cannot be compared, and are left out.
    """
    own = _main(entry, store.prompts(entry.id))
    found = []
    rivals = kin(store, entry).rivals if own else ()
    for other in (store.hypothesis(str(number)) for number in rivals):
        theirs = _main(other, store.prompts(other.id))
        both = [uid for uid in own if uid in theirs]
        if both and other.battery.lines[0].unit == entry.battery.lines[0].unit:
            found.append(_difference(entry, other, own, theirs, both))
    return found


def _difference(entry: Entry, other: Entry, own: Effects, theirs: Effects, both: list[str]) -> dict[str, Any]:
    x = np.array([own[uid][1] - theirs[uid][1] for uid in both])
    bets = Data({"x": x}, tuple(own[uid][0] for uid in both)).by(entry.battery.unit).values["x"]
    low, high = confidence_interval(bets, entry.battery.lines[0].scale + other.battery.lines[0].scale)
    return {
        "id": other.id,
        "text": other.text,
        "role": other.prediction.role,
        "n": len(both),
        "mean": float(bets.mean()),
        "low": low,
        "high": high,
        "unit": entry.battery.lines[0].unit,
        "larger": float((x > 0).mean()),
    }


def _main(entry: Entry, prompts: list[Tested]) -> Effects:
    """The main effect of each prompt of a test."""
    if not prompts:
        return {}
    part = parts_of(entry.claim, entry.battery, to_data(prompts).values)[0]
    return {p.uid: (p.template, float(x)) for p, x in zip(prompts, part.effect, strict=True)}
