"""All models whose mechanism is known, by name: what is true of them, and how they are built."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Final, NamedTuple

from lakatos.tools.errors import UserError
from lakatos.tools.model.loaded import PLANTED_PREFIX, LoadedModel
from lakatos.tools.model.planted.mechanisms import MECHANISMS
from lakatos.tools.model.planted.truth import Truth
from lakatos.tools.model.planted.twins import TWINS, twin
from lakatos.tools.model.wording import TEXT

_RASP: Final = "rasp-"
_SHOWN: Final = 0.1  # of the gap: what restoring a part must bring back for patching to show its connections
_RANDOM: Final = re.compile(r"rasp-random\d{1,6}")


class Planted(NamedTuple):
    """A model whose mechanism is known."""

    origin: str  # how the mechanism got there
    truth: Callable[[int], Truth]  # of the instance with this seed
    load: Callable[..., LoadedModel]  # of a seed, and device=


@cache
def planted_models() -> Mapping[str, Planted]:
    """All of them, by name, without `planted:` before it; beside these there are rasp-random0, rasp-random1, ..."""
    from lakatos.tools.model.planted.trained import TRAINED
    from lakatos.tools.model.rasp import PROGRAMS

    by_hand = {
        name: Planted("set by hand", partial(_truth_by_hand, name), partial(_by_hand, name)) for name in MECHANISMS
    }
    trained = {name: Planted("trained", partial(_trained_truth, name), partial(_trained, name)) for name in TRAINED}
    return {**by_hand, **{f"{_RASP}{name}": _compiled(f"{_RASP}{name}") for name in PROGRAMS}, **trained}


def planted_model(name: str) -> Planted | None:
    """The model of a name without `planted:` before it; None where there is none."""
    return _compiled(name) if _RANDOM.fullmatch(name) else planted_models().get(name)


@cache
def truth_of(name: str) -> Truth | None:
    """What is true of a model, by the name that it has in the log; None where that is not known.

    Of a null twin: the same question, and no mechanism.
    """
    stem, _, number = name.removeprefix(PLANTED_PREFIX).partition("#")
    stem, _, kind = stem.partition("~")
    known = planted_model(stem) if name.startswith(PLANTED_PREFIX) else None
    if known is None or (number and not number.isdigit()):
        return None
    truth = known.truth(int(number or 0))
    return Truth(truth.behaviour, truth.controls, inert=tuple(sorted(truth.components))) if kind else truth


def load_planted(name: str, seed: int = 0, *, device: str = "cpu") -> LoadedModel:
    """Build a model whose mechanism is known, in float32 and evaluation mode.

    Args:
        name: a key of `planted_models()` or rasp-random7, with or without `planted:` before it; with `~redrawn`,
            `~permuted` or `~shuffled` behind it a null twin.
        seed: of the noise, of decoys, of where parts stand, and of what a twin draws.
        device: a torch device.

    Raises:
        UserError: there is no such model; names those that there are.
    """
    stem, mark, kind = name.removeprefix(PLANTED_PREFIX).partition("~")
    known = planted_model(stem)
    if known is None or (mark and kind not in TWINS):
        models = planted_models()
        near = difflib.get_close_matches(stem, models, n=1)
        there = ", ".join(PLANTED_PREFIX + each for each in models)
        like = PLANTED_PREFIX + (near[0] if near else "induction")
        meant = f"; did you mean {like}?" if near else "."
        raise UserError(
            f"There is no planted model {name!r}{meant} There are {there}; and null twins of each, such as "
            f"{like}~{TWINS[0]} (or {', '.join(TWINS[1:])})."
        )
    model = known.load(seed, device=device)
    return twin(model, kind, seed) if kind else model


def _by_hand(name: str, seed: int, *, device: str) -> LoadedModel:
    from lakatos.tools.model.planted.hand import load_by_hand

    return load_by_hand(name, seed, device=device)


def _truth_by_hand(name: str, _seed: int) -> Truth:
    return MECHANISMS[name]


def _trained(name: str, seed: int, *, device: str) -> LoadedModel:
    from lakatos.tools.model.planted.trained import load_trained

    return load_trained(name, seed, device=device)


def _trained_truth(name: str, _seed: int) -> Truth:
    from lakatos.tools.model.planted.trained import trained_truth

    return trained_truth(name)


def _compiled(name: str) -> Planted:
    return Planted("compiled", partial(_compiled_truth, name), partial(_load_compiled, name))


def _load_compiled(name: str, seed: int, *, device: str) -> LoadedModel:
    from lakatos.tools.model.rasp import load_rasp

    return load_rasp(name.removeprefix(_RASP), seed, device=device)


def _compiled_truth(name: str, seed: int) -> Truth:
    """A program's truth, in the terms of all others."""
    from lakatos.tools.model.rasp import load_rasp_truth
    from lakatos.tools.model.rasp.loading import rasp_behaviour_source

    program = name.removeprefix(_RASP)
    found = load_rasp_truth(program, seed)
    by_reading = {
        kind: tuple(part for part in found.used if found.reading[part] == kind) for kind in ("specific", "redundant")
    }
    shown = {part for part in found.used if found.restores[part] >= _SHOWN}
    return Truth(
        rasp_behaviour_source(program),
        (TEXT,),
        necessary=by_reading["specific"],
        redundant=by_reading["redundant"],
        inert=found.inert,
        edges=tuple(edge for edge in found.edges if edge[0] in shown),
        silent=tuple(edge for edge in found.edges if edge[0] not in shown),
        circuits=(tuple(sorted(found.used)),),
    )
