"""What is true of the models that are set by hand (`hand.py` says how they work)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from lakatos.tools.model.planted.truth import Truth
from lakatos.tools.model.planted.words import RECALL
from lakatos.tools.model.wording import TEXT

LAYERS, HEADS = 3, 3
PREVIOUS, DUPLICATE = "planted_previous", "planted_duplicate"
_LOOKS = (("a0.h0", "VALUE", "KEY"), ("a0.h0", "OTHER_VALUE", "OTHER_KEY"), ("a1.h0", "END", "VALUE"))
_RELAYED = (("m0", "a1.h0.q"), ("m0", "a1.g0.v"), ("m0", "logits"))  # the same in both prompts where it matters


def _truth(behaviour: str, *active: str, **known: tuple[Any, ...]) -> Truth:
    places = [*(f"a{layer}.h{head}" for layer in range(LAYERS) for head in range(HEADS))]
    places += [f"m{layer}" for layer in range(LAYERS)]
    inert = tuple(place for place in places if place not in active)
    return Truth(behaviour, (TEXT,), non_specific=("m0",), inert=inert, **known)


MECHANISMS: Final[Mapping[str, Truth]] = {
    "induction": _truth(
        RECALL, "a0.h0", "m0", "a1.h0",
        necessary=("a0.h0", "a1.h0"),
        edges=(("a0.h0", "a1.g0.k"), ("a1.h0", "logits")),
        silent=_RELAYED,
        circuits=(("a0.h0", "a1.h0", "m0"),),
        roles=_LOOKS,
    ),
    "backup": _truth(
        RECALL, "a0.h0", "m0", "a1.h0", "a2.h0",
        necessary=("a0.h0",),
        backed_up=(("a1.h0", "a2.h0"),),
        backups=("a2.h0",),
        edges=(("a0.h0", "a1.g0.k"), ("a1.h0", "logits")),
        silent=(
            *_RELAYED, ("a0.h0", "a2.g0.k"), ("a1.h0", "a2.h0.q"), ("a2.h0", "logits"), ("m0", "a2.h0.q"),
            ("m0", "a2.g0.k"), ("m0", "a2.g0.v"),
        ),
        circuits=(("a0.h0", "a1.h0", "m0"), ("a0.h0", "a2.h0", "m0")),
        roles=_LOOKS,
    ),
    "two_backups": _truth(
        RECALL, "a0.h0", "m0", "a1.h0", "a2.h0", "a2.h1",
        necessary=("a0.h0",),
        backed_up=(("a1.h0", "a2.h0"), ("a1.h0", "a2.h1")),
        backups=("a2.h0", "a2.h1"),
        silent=(
            *_RELAYED, ("a0.h0", "a1.g0.k"), ("a1.h0", "logits"),
            *(edge for h in (0, 1) for edge in (
                ("a0.h0", f"a2.g{h}.k"), ("a1.h0", f"a2.h{h}.q"), (f"a2.h{h}", "logits"), ("m0", f"a2.h{h}.q"),
                ("m0", f"a2.g{h}.k"), ("m0", f"a2.g{h}.v"),
            )),
        ),
        circuits=tuple(("a0.h0", head, "m0") for head in ("a1.h0", "a2.h0", "a2.h1")),
        roles=_LOOKS,
    ),
    "negative": _truth(
        RECALL, "a0.h0", "m0", "a1.h0", "a2.h0",
        necessary=("a0.h0", "a1.h0"),
        negative=("a2.h0",),
        edges=(("a0.h0", "a1.g0.k"), ("a0.h0", "a2.g0.k"), ("a1.h0", "logits"), ("a2.h0", "logits")),
        silent=(*_RELAYED, ("m0", "a2.h0.q"), ("m0", "a2.g0.v")),
        circuits=(("a0.h0", "a1.h0", "m0"),),
        roles=(*_LOOKS, ("a2.h0", "END", "VALUE")),
    ),
    "two_paths": _truth(
        RECALL, "a0.h0", "m0", "a1.h0", "a2.h0", "m2",
        necessary=("a0.h0", "m2"),
        redundant=("a1.h0", "a2.h0"),
        edges=(
            ("a0.h0", "a1.g0.k"), ("a0.h0", "a2.g0.k"), ("a1.h0", "m2"), ("a2.h0", "m2"), ("m2", "logits"),
        ),
        silent=(*_RELAYED, ("m0", "a2.h0.q"), ("m0", "a2.g0.v")),
        circuits=tuple(("a0.h0", head, "m0", "m2") for head in ("a1.h0", "a2.h0")),
        roles=(*_LOOKS, ("a2.h0", "END", "VALUE")),
    ),
    "previous": _truth(
        PREVIOUS, "m0", "a1.h1",
        necessary=("a1.h1",),
        edges=(("m0", "a1.g1.v"), ("a1.h1", "logits")),
        silent=(("m0", "a1.h1.q"), ("m0", "logits")),
        circuits=(("a1.h1", "m0"),),
        roles=(("a1.h1", "END", "BEFORE"),),
    ),
    "duplicate": _truth(
        DUPLICATE, "m0", "a1.h1", "a2.h1",
        necessary=("a1.h1", "a2.h1"),
        edges=(("a1.h1", "a2.g1.v"), ("a2.h1", "logits")),
        silent=(("a1.h1", "a2.g1.k"), ("m0", "a1.g1.v"), ("m0", "a2.h1.q"), ("m0", "logits")),
        circuits=(("a1.h1", "a2.h1", "m0"),),
        roles=(("a1.h1", "AGAIN", "FIRST"), ("a2.h1", "END", "AGAIN")),
    ),
    "none": _truth(RECALL, "m0"),
}  # fmt: skip
