"""All models whose mechanism is known, by name: what is true of them, and how they are built."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import NamedTuple

from lakatos.tools.errors import UserError
from lakatos.tools.model.loaded import PLANTED_PREFIX, LoadedModel
from lakatos.tools.model.planted.mechanisms import MECHANISMS
from lakatos.tools.model.planted.truth import Truth
from lakatos.tools.model.planted.twins import TWINS, twin


class Planted(NamedTuple):
    """A model whose mechanism is known."""

    origin: str  # how the mechanism got there
    truth: Callable[[], Truth]
    load: Callable[..., LoadedModel]  # of a seed, and device=


@cache
def planted_models() -> Mapping[str, Planted]:
    """All of them, by name, without `planted:` before it."""
    return {
        name: Planted("by hand", partial(MECHANISMS.__getitem__, name), partial(_by_hand, name)) for name in MECHANISMS
    }


def truth_of(name: str) -> Truth | None:
    """What is true of a model, by the name that it has in the log; None where that is not known.

    Of a null twin: the same question, and no mechanism.
    """
    if not name.startswith(PLANTED_PREFIX):
        return None
    stem, _, kind = name.removeprefix(PLANTED_PREFIX).partition("#")[0].partition("~")
    known = planted_models().get(stem)
    if known is None:
        return None
    truth = known.truth()
    every = (*truth.readings, *(truth.non_specific if truth.null else ()))
    return Truth(truth.behaviour, truth.controls, inert=tuple(sorted(every))) if kind else truth


def load_planted(name: str, seed: int = 0, *, device: str = "cpu") -> LoadedModel:
    """Build a model whose mechanism is known, in float32 and evaluation mode.

    Args:
        name: a key of `planted_models()`, with or without `planted:` before it; with `~redrawn`, `~permuted` or
            `~shuffled` behind it a null twin.
        seed: of the noise, of decoys, and of what a twin draws.
        device: a torch device.

    Raises:
        UserError: there is no such model; names those that there are.
    """
    stem, mark, kind = name.removeprefix(PLANTED_PREFIX).partition("~")
    models = planted_models()
    if stem not in models or (mark and kind not in TWINS):
        near = difflib.get_close_matches(stem, models, n=1)
        known = ", ".join(PLANTED_PREFIX + each for each in models)
        like = PLANTED_PREFIX + (near[0] if near else "induction")
        meant = f"; did you mean {like}?" if near else "."
        raise UserError(
            f"There is no planted model {name!r}{meant} There are {known}; and null twins of each, such as "
            f"{like}~{TWINS[0]} (or {', '.join(TWINS[1:])})."
        )
    model = models[stem].load(seed, device=device)
    return twin(model, kind, seed) if kind else model


def _by_hand(name: str, seed: int, *, device: str) -> LoadedModel:
    from lakatos.tools.model.planted.hand import load_by_hand

    return load_by_hand(name, seed, device=device)
