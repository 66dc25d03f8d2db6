"""Verdicts: a correction over a whole family, recomputed from frozen e-values and p-values.

The official verdict is online e-BH over the study with the slot weights fixed in advance. Every other method is a view
of the same rows and marked as one. A test that has not finished, or crashed, counts with e = 0 and p = 1: its slot is
spent whatever comes of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lakatos.experiments_db.records import Entry
from lakatos.tools.hypothesis import NodeEffect, claim_fields
from lakatos.tools.multiplicity import apply, slot_weights

OFFICIAL = "online-ebh"


def confirmed(entries: Sequence[Entry], alpha: float, method: str = OFFICIAL) -> list[bool]:
    """Which hypotheses of a family are confirmed, in the order of `entries`.

    Slot weights belong to slots, so a family that is part of the study keeps the weights of its own slots.

    Raises:
        ValueError: an unknown method.
    """
    if not entries:
        return []
    weights = slot_weights(max(entry.slot for entry in entries))
    order = np.argsort([entry.slot for entry in entries])
    ranked = [entries[i] for i in order]
    flags = apply(
        method,
        e=np.array([entry.e for entry in ranked]),
        p=np.array([entry.p for entry in ranked]),
        weights=np.array([weights[entry.slot - 1] for entry in ranked]),
        alpha=alpha,
    )
    result = [False] * len(entries)
    for place, flag in zip(order, flags, strict=True):
        result[int(place)] = bool(flag)
    return result


def with_states(entries: Sequence[Entry], alpha: float) -> list[Entry]:
    """The whole study's hypotheses with their official states.

    A tested claim is refuted only by a confirmed opposite: the same claim with the other direction. Finding nothing,
    and crashing, is inconclusive.
    """
    flags = confirmed(entries, alpha)
    opposites = {_key(entry, flip=False): entry.id for entry, flag in zip(entries, flags, strict=True) if flag}
    judged = []
    for entry, flag in zip(entries, flags, strict=True):
        opposite = opposites.get(_key(entry, flip=True))
        if flag:
            judged.append(replace(entry, state="confirmed"))
        elif opposite is not None and entry.evidence is not None and not entry.crashed:
            judged.append(replace(entry, state="refuted", contradicted_by=opposite))
        elif entry.evidence is not None:
            judged.append(replace(entry, state="inconclusive"))
        else:
            judged.append(replace(entry, state="testing" if entry.batches else "registered"))
    return judged


def _key(entry: Entry, *, flip: bool) -> tuple[object, ...]:
    """What two claims share that contradict each other; a claim without an opposite has a key of its own."""
    claim = entry.claim
    if not isinstance(claim, NodeEffect):
        return (entry.id, flip)
    fields = {k: v for k, v in claim_fields(claim).items() if k not in ("direction", "matched_random", "threshold")}
    direction = {"supports": "opposes", "opposes": "supports"}[claim.direction] if flip else claim.direction
    return (entry.record["weights"], entry.record["behaviour_hash"], direction, *map(str, sorted(fields.items())))
