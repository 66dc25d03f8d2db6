"""Overlapping claims: what counts as one finding."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import chain

from lakatos.experiments_db.verdict.slots import Slot

OVERLAP = 0.5  # Jaccard index of component sets from which on claims share a group


def groups(slots: Sequence[Slot]) -> dict[int, int]:
    """Overlapping claims of one model and behaviour: id -> slot of the first claim of its group.

    A claim joins the group of the first one registered before it with which its set of heads, MLPs and streams has a
    Jaccard index of at least one half; so a hundred wordings of one finding count as one. Later claims change nothing
    about earlier ones.
    """
    found: dict[int, int] = {}
    first: dict[tuple[str, str, frozenset[str]], int] = {}  # of the claims about exactly these
    holders: dict[tuple[str, str], dict[int, dict[str, list[int]]]] = defaultdict(dict)  # by size, then by atom
    for slot in sorted(slots, key=lambda s: s.slot):
        number, own = slot.slot, frozenset(slot.atoms)
        twin = first.setdefault((slot.weights, slot.behaviour_hash, own), number)
        if twin != number:
            found[number] = found[twin]
            continue
        here, n, like = holders[slot.weights, slot.behaviour_hash], len(own), number
        for size, held in here.items():
            needed = OVERLAP * (n + size) / (1 + OVERLAP)  # atoms in common, for that Jaccard index
            if needed > (n - 1 if n == size else min(n, size)):
                continue  # none but the same atoms would do, or not even these
            for other, shared in Counter(chain.from_iterable(held.get(atom, ()) for atom in own)).items():
                if shared >= needed:
                    like = min(like, other)
        found[number] = found.get(like, number)
        for atom in own:
            here.setdefault(n, {}).setdefault(atom, []).append(number)
    return {slot.id: found[slot.slot] for slot in slots}


def counted(slots: Sequence[Slot]) -> list[int]:
    """What counts once when the bar is lowered: a claim and the first before it that shares any head, MLP or stream.

    Stricter than `groups`, which idle components beside a strong one would take apart. In slot order.
    """
    first: dict[tuple[str, str, str], int] = {}
    labels = []
    for slot in slots:
        keys = [(slot.weights, slot.behaviour_hash, atom) for atom in slot.atoms]
        label = min((first[key] for key in keys if key in first), default=slot.slot)
        for key in keys:
            first.setdefault(key, label)
        labels.append(label)
    return labels
