"""A correction over every hypothesis of a study: what it confirms, and the number that it gives to each.

Beside the official verdicts these are views of the same rows, each with the families that it was applied to.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lakatos.experiments_db.verdict.slots import Slot
from lakatos.experiments_db.verdict.verdict import OFFICIAL, confirmed, corrected
from lakatos.tools.errors import UserError
from lakatos.tools.multiplicity import CORRECTED, METHODS

FAMILIES = ("study", "behaviour", "run", "kind")


@dataclass(frozen=True)
class Corrected:
    """What a method says of each hypothesis."""

    method: str
    alpha: float
    family: str
    official: bool
    families: dict[str, int]  # name -> hypotheses
    ids: NDArray[np.int64]  # [m]
    flags: NDArray[np.bool_]  # [m] whether it is confirmed
    numbers: NDArray[np.float64]  # [m] what `number_is` names

    @property
    def works_on(self) -> str:
        """e or p."""
        return METHODS[self.method].works_on

    @property
    def number_is(self) -> str:
        """What the number of each hypothesis is."""
        return CORRECTED[self.method]

    @property
    def total(self) -> int:
        """How many are confirmed."""
        return int(self.flags.sum())

    def confirmed(self, hypothesis_id: int) -> bool:
        """Whether this one is; not, if it was not there yet."""
        place = self._places.get(hypothesis_id)
        return place is not None and bool(self.flags[place])

    def number(self, hypothesis_id: int) -> float | None:
        """The number of this one; None if it was not there yet."""
        place = self._places.get(hypothesis_id)
        return None if place is None else float(self.numbers[place])

    @cached_property
    def _places(self) -> dict[int, int]:
        return {key: place for place, key in enumerate(self.ids.tolist())}

    def to_bytes(self) -> bytes:
        """To be kept; `from_bytes` reads it."""
        names = ("method", "alpha", "family", "official", "families")
        head = json.dumps({name: getattr(self, name) for name in names})
        return b"\n".join((head.encode(), self.ids.tobytes() + self.numbers.tobytes() + self.flags.tobytes()))

    @classmethod
    def from_bytes(cls, kept: bytes) -> Corrected:
        """What `to_bytes` kept."""
        head, _, rest = kept.partition(b"\n")
        m = len(rest) // 17
        fields: dict[str, Any] = json.loads(head)
        return cls(
            **fields,
            ids=np.frombuffer(rest, np.int64, m),
            numbers=np.frombuffer(rest, np.float64, m, 8 * m),
            flags=np.frombuffer(rest, np.bool_, m, 16 * m),
        )


def check(method: str, alpha: float, family: str) -> None:
    """Ask whether there is such a correction.

    Raises:
        UserError: no such method or family, or alpha is none.
    """
    if method not in METHODS:
        raise UserError(f"There is no correction {method!r}; there are {', '.join(METHODS)}.")
    if family not in FAMILIES:
        raise UserError(f"There is no family {family!r}; there are {', '.join(FAMILIES)}.")
    if not 0 < alpha < 1:
        raise UserError(f"alpha lies strictly between 0 and 1; {alpha:g} does not.")


def correct(slots: Sequence[Slot], official_alpha: float, method: str, alpha: float | None, family: str) -> Corrected:
    """Apply a correction to all hypotheses of a study, family by family.

    Args:
        official_alpha: the study's own; also what is used where `alpha` is None.

    Raises:
        UserError: see `check`.
    """
    used = official_alpha if alpha is None else alpha
    check(method, used, family)
    families: dict[str, list[int]] = {}
    for place, slot in enumerate(slots):
        families.setdefault(family_of(slot, family), []).append(place)
    flags, numbers = np.zeros(len(slots), np.bool_), np.zeros(len(slots))
    for places in families.values():
        members = [slots[place] for place in places]
        flags[places] = confirmed(members, used, method)
        numbers[places] = corrected(members, used, method)
    return Corrected(
        method=method,
        alpha=used,
        family=family,
        official=method == OFFICIAL and family == "study" and used == official_alpha,
        families={name: len(places) for name, places in families.items()},
        ids=np.array([slot.id for slot in slots], np.int64),
        flags=flags,
        numbers=numbers,
    )


def family_of(slot: Slot, family: str) -> str:
    """The name of the family that a hypothesis is in."""
    names = {"behaviour": slot.behaviour, "run": f"run {slot.run_id}", "kind": slot.kind}
    return names.get(family, "study")
