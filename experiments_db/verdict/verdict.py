"""Verdicts: a correction over a whole family, recomputed from frozen e-values and p-values.

The official verdict is online e-BH over the study with the slot weights fixed in advance. What lowers its bar is the
number of confirmed claims of the same kind that share no component with one before them: so neither wordings of one
finding nor easy claims of another kind (that weak heads have no effect) buy anything, and the false discovery rate is
bounded over all claims and within each kind. Every other method is a view of the same rows and marked as one. A test
that has not finished, or crashed, counts with e = 0 and p = 1: its slot is spent whatever comes of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lakatos.experiments_db.verdict.groups import counted, groups
from lakatos.experiments_db.verdict.slots import Judgement, Slot, State
from lakatos.tools.claim import AnyClaim, opposes
from lakatos.tools.multiplicity import METHODS, apply, slot_weights
from lakatos.tools.multiplicity import corrected as numbers

OFFICIAL = "online-ebh"

Claims = Callable[[Iterable[int]], Mapping[int, AnyClaim]]  # from ids to claims


def confirmed(slots: Sequence[Slot], alpha: float, method: str = OFFICIAL) -> list[bool]:
    """Which hypotheses of a family are confirmed, in the order of `slots`.

    Slot weights belong to slots, so a family that is part of the study keeps the weights of its own slots.

    Raises:
        ValueError: an unknown method.
    """
    return [bool(flag) for flag in _by_parts(slots, alpha, method, apply)]


def corrected(slots: Sequence[Slot], alpha: float, method: str = OFFICIAL) -> list[float]:
    """The number that a correction gives to each hypothesis of a family, in the order of `slots`: an adjusted p, the
    level or the e-value needed (`lakatos.tools.multiplicity.CORRECTED`).

    Raises:
        ValueError: an unknown method.
    """
    return [float(number) for number in _by_parts(slots, alpha, method, numbers)]


def _by_parts(slots: Sequence[Slot], alpha: float, method: str, work: Callable[..., Any]) -> NDArray[np.float64]:
    """What `work` says of each hypothesis: officially of each kind by itself, otherwise of all together."""
    planned = slots[0].planned if slots else None  # a family is of one study
    weights = slot_weights(max((s.slot for s in slots), default=0), planned)
    kinds = [s.kind for s in slots] if method == OFFICIAL else [""] * len(slots)
    result = np.zeros(len(slots))
    for kind in set(kinds):
        some = sorted((k for k, name in enumerate(kinds) if name == kind), key=lambda k: slots[k].slot)
        result[some] = work(
            method,
            e=np.array([slots[k].e for k in some]),
            p=np.array([slots[k].p for k in some]),
            weights=weights[[slots[k].slot - 1 for k in some]],
            groups=counted([slots[k] for k in some]) if METHODS[method].weighted else None,
            alpha=alpha,
        )
    return result


def judge(
    slots: Sequence[Slot], alpha: float, claims: Claims, grouped: Mapping[int, int] | None = None
) -> dict[int, Judgement]:
    """Where each hypothesis of the study stands.

    A tested claim is refuted only by a confirmed opposite or a confirmed equivalence. Finding nothing, and crashing, is
    inconclusive.

    Args:
        claims: looks up the claims of those few whose subject a confirmed claim shares.
        grouped: what `groups` gave for these slots, if that is known: nothing that is found later changes it.
    """
    grouped = groups(slots) if grouped is None else grouped
    flags = dict(zip((s.id for s in slots), confirmed(slots, alpha), strict=True))
    by_subject: dict[tuple[str, str, str], list[Slot]] = defaultdict(list)
    for slot in slots:
        by_subject[slot.about].append(slot)
    crowded = [group for group in by_subject.values() if len(group) > 1 and any(flags[s.id] for s in group)]
    known = claims(s.id for group in crowded for s in group)
    opposite: dict[int, int] = {}
    replicated: dict[int, int] = {}
    for group in crowded:
        for strong in (s.id for s in group if flags[s.id]):
            claim = known[strong]
            for other in (s.id for s in group if s.id != strong):
                if opposes(known[other], claim):
                    opposite.setdefault(other, strong)
                if claim.generalises(known[other]) and flags[other]:
                    replicated.setdefault(other, strong)
    return {
        s.id: Judgement(
            _state(s, flags[s.id], s.id in opposite), grouped[s.id], opposite.get(s.id), replicated.get(s.id)
        )
        for s in slots
    }


def _state(slot: Slot, flag: bool, contradicted: bool) -> State:
    if flag:
        return "confirmed"
    if slot.stop is None:
        return "testing" if slot.batches else "registered"
    return "refuted" if contradicted and slot.stop != "crashed" else "inconclusive"
