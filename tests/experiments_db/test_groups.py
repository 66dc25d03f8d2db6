"""Groups of overlapping claims: the index against a comparison of every claim with every other."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lakatos.experiments_db.verdict import OVERLAP, Slot, groups

ATOMS = [f"a0.h{k}" for k in range(8)]


def slot(number, atoms, behaviour="b", weights="w"):
    return Slot(
        id=100 + number,
        run_id=1,
        slot=number,
        kind="node_effect",
        behaviour=behaviour,
        behaviour_hash=behaviour,
        weights=weights,
        subject="+".join(atoms),
        atoms=tuple(atoms),
        batches=1,
        stop=None,
    )


def reference(slots):
    """Every claim with every earlier one, in the order of registration."""
    found = {}
    for k, one in enumerate(slots):
        found[one.id] = one.slot
        for other in slots[:k]:
            a, b = set(one.atoms), set(other.atoms)
            same = (one.weights, one.behaviour_hash) == (other.weights, other.behaviour_hash)
            if same and len(a & b) >= OVERLAP * len(a | b):
                found[one.id] = found[other.id]
                break
    return found


@given(
    st.lists(
        st.tuples(st.sets(st.sampled_from(ATOMS), min_size=1, max_size=6), st.sampled_from("bc")),
        min_size=1,
        max_size=12,
    ),
    st.randoms(use_true_random=False),
)
def test_groups_are_those_of_the_reference(claims, rng):
    slots = [slot(k, sorted(atoms), behaviour) for k, (atoms, behaviour) in enumerate(claims, 1)]
    expected = reference(slots)
    rng.shuffle(slots)
    assert groups(slots) == expected
