"""What `lakatos bench circuits` says: rankings of components side by side, by CMD, CPR and, where it is known, AUROC.

Every method is given exploration pairs, and circuits are measured on confirmation pairs: other templates and fillers.
So are a study's claims, which were tested on other draws of confirmation pairs than these; their row has had more to go
by than a method's, and `forwards` says what it cost.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np

from lakatos.tools.baseline.circuit_scores import CPR_WARNING, PER_MILLE, Curve, auroc, circuit_curves
from lakatos.tools.baseline.found import LEAST, Found, Progress, places, ranked
from lakatos.tools.baseline.registry import BASELINES
from lakatos.tools.baseline.truth import used_components
from lakatos.tools.behaviour import Behaviour, available
from lakatos.tools.errors import UserError
from lakatos.tools.intervention import Runs
from lakatos.tools.model import LoadedModel, Say

METHODS: Final = ("attribution-patching", "attribution-ig", "activation-patching", "eap", "eap-ig")
RANDOM_ORDERS: Final = 5
_EDGES: Final = ("eap", "eap-ig")  # which not every model allows: left out there, and said so
_EVERY: Final = 15.0  # seconds between words of progress
_BEHIND = "attribution-patching"  # in whose order comes what no claim is about


class Claimed(NamedTuple):
    """What a study has confirmed of the model and the behaviour."""

    effects: Mapping[str, float]  # head or MLP -> the largest measured |effect|, as a fraction of the gap
    others: tuple[str, ...]  # confirmed components that are neither: whole attentions, neurons, streams
    claims: tuple[int, ...]  # numbers of the hypotheses
    forwards: float  # that the study's runs about them spent, exploration and all tests together


class _Row(NamedTuple):
    name: str
    founds: tuple[Found, ...]  # several orders of which the mean is shown, or one
    seconds: float
    more: Mapping[str, Any] = {}


def circuits_document(
    model: LoadedModel,
    behaviour: Behaviour,
    *,
    pairs: int,
    seed: int,
    claimed: Claimed | None = None,
    say: Say = lambda _: None,
) -> dict[str, Any]:
    """Rank the components of a model by several methods and score the rankings; JSON-ready.

    Args:
        pairs: exploration pairs that each method is given, and confirmation pairs that circuits are measured on.
        seed: of both draws, and of random orders.
        claimed: a study's claims, for a row of their own.
        say: is told the progress.

    Raises:
        UserError: too few pairs, claims about components that are not there, or no behaviour in this model
            (see `circuit_curves`).
    """
    if behaviour.kind != "pairs":
        raise UserError(f"{behaviour.name} is plain text, without answers: choose a behaviour with prompt pairs.")
    there = available(behaviour, "confirmation", most=pairs)
    if min(there, pairs) < LEAST:
        raise UserError(f"Circuits are measured on {LEAST} confirmation pairs at least; there are {min(there, pairs)}.")
    began = time.perf_counter()
    held_out = Runs(model.bridge, behaviour.sample(min(there, pairs), seed=seed, split="confirmation"))
    rows, left_out = _rows(model, behaviour, pairs, seed, say)
    if claimed is not None:
        rows.append(_claims_first(claimed, next(row for row in rows if row.name == _BEHIND), places(model)))
    orders = [found.order for row in rows for found in row.founds]
    curves = circuit_curves(model, held_out, orders, _told("circuits", say))
    truth, each = used_components(model), iter(curves.each)
    return {
        "model": model.name,
        "weights": model.weight_hash,
        "behaviour": {"name": behaviour.name, "version": behaviour.version, "hash": behaviour.hash},
        "components": len(places(model)),
        "used": None if truth is None else sorted(truth),
        "seed": seed,
        "pairs": {"exploration": pairs, "confirmation": curves.prompts},
        "sizes": [size / 1000 for size in PER_MILLE],
        "full": curves.full,
        "empty": curves.empty,
        "rows": [_shown(row, [next(each) for _ in row.founds], truth) for row in rows],
        "left_out": left_out,
        "forwards": curves.forwards,
        "seconds": time.perf_counter() - began,
        "warning": CPR_WARNING,
    }


def _rows(
    model: LoadedModel, behaviour: Behaviour, pairs: int, seed: int, say: Say
) -> tuple[list[_Row], dict[str, str]]:
    """The rankings of all methods; and why some are left out, by their names."""
    rows, left_out = [_random_orders(places(model), seed)], dict[str, str]()
    for name in METHODS:
        began = time.perf_counter()
        try:
            found = BASELINES[name](model, behaviour, pairs=pairs, seed=seed, progress=_told(name, say))
        except UserError as error:
            if name not in _EDGES:
                raise
            left_out[name] = str(error)
            continue
        rows.append(_Row(name, (found,), time.perf_counter() - began))
        say(f"{name}: {rows[-1].seconds:,.1f} s")
    return rows, left_out


def _told(name: str, say: Say) -> Progress:
    """Says every `_EVERY` seconds how much is done."""
    last = [time.perf_counter()]

    def progress(done: int, of: int) -> None:
        if time.perf_counter() - last[0] >= _EVERY and done < of:
            last[0] = time.perf_counter()
            say(f"{name}: {done:,} of {of:,}")

    return progress


def _random_orders(every: tuple[str, ...], seed: int) -> _Row:
    founds = []
    for number in range(RANDOM_ORDERS):
        order = random.Random(f"{seed} {number}").sample(every, len(every))
        ranking = tuple((name, float(len(every) - place)) for place, name in enumerate(order))
        founds.append(Found((), (), ranking, 0.0, 0))
    return _Row("random", tuple(founds), 0.0)


def _claims_first(claimed: Claimed, behind: _Row, every: tuple[str, ...]) -> _Row:
    """What claims are about by its measured effect, then all else in attribution order.

    Raises:
        UserError: the model has no such component.
    """
    if unknown := claimed.effects.keys() - set(every):
        raise UserError(f"The study's claims are about {', '.join(sorted(unknown))}, which this model does not have.")
    found = behind.founds[0]
    first = [name for name, _ in ranked(claimed.effects)]
    order = [*first, *(name for name in found.order if name not in claimed.effects)]
    ranking = tuple((name, float(len(order) - place)) for place, name in enumerate(order))
    told = {"from_claims": len(first), "claims": list(claimed.claims), "not_ranked": list(claimed.others)}
    forwards = claimed.forwards + found.forwards
    return _Row("confirmed claims", (Found(tuple(first), (), ranking, forwards, found.prompts),), behind.seconds, told)


def _shown(row: _Row, curves: list[Curve], truth: frozenset[str] | None) -> dict[str, Any]:
    areas = [None if truth is None else auroc(dict(found.ranking), truth) for found in row.founds]
    known = [area for area in areas if area is not None]
    only = row.founds[0] if len(row.founds) == 1 else None
    return {
        "method": row.name,
        "cmd": float(np.mean([curve.cmd for curve in curves])),
        "cpr": float(np.mean([curve.cpr for curve in curves])),
        "auroc": float(np.mean(known)) if known else None,
        "orders": len(curves),
        "cmds": [curve.cmd for curve in curves],
        "counts": list(curves[0].counts),
        "faithfulness": np.mean([curve.faithfulness for curve in curves], axis=0).tolist(),
        "selected": list(only.components) if only else [],
        "ranking": [[name, score] for name, score in only.ranking] if only else [],
        "forwards": only.forwards if only else 0.0,
        "seconds": row.seconds,
        **row.more,
    }
