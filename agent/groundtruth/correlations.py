"""Which techniques are wrong together: phi coefficients of their misses and of their false alarms.

Two techniques that miss the same components, or raise the same false alarms, are one line of evidence. The phi
coefficient is Pearson's correlation of two yes-or-no variables: 1 where two techniques are always wrong together, 0
where the errors of one say nothing of the other's. Intervals come from a bootstrap over models, whose components are
not independent of one another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any, Final

import numpy as np

from lakatos.agent.groundtruth.techniques import Asked

_DRAWS: Final = 1000
_SORTS: Final = ("misses", "false_alarms")
Errors = dict[tuple[str, str], bool]  # (model, component) -> whether the technique is wrong


def correlated(asked: Sequence[Asked], *, seed: int = 0) -> dict[str, Any]:
    """Error rates of every technique, and the phi coefficient of every two; JSON-ready.

    Args:
        asked: every model once.
        seed: of the bootstrap.

    Returns:
        models, techniques; rates: technique -> misses and false_alarms, each with mean, low, high; pairs: first,
        second, and misses and false_alarms, each with phi, low, high, or None where one of the two never errs or always
        does.
    """
    models = sorted(own.model for own in asked)
    names = list(dict.fromkeys(said.technique for own in asked for said in own.said))
    errors = {sort: {name: _errors(asked, name, sort) for name in names} for sort in _SORTS}
    draws = np.random.default_rng(seed).integers(0, len(models), (_DRAWS, len(models)))

    def interval(by_model: dict[str, list[Any]], of: Callable[[list[Any]], float | None]) -> tuple[float, float] | None:
        drawn = [of([x for k in draw for x in by_model.get(models[k], [])]) for draw in draws]
        known = [value for value in drawn if value is not None]
        return (float(np.quantile(known, 0.025)), float(np.quantile(known, 0.975))) if known else None

    def rate(sort: str, name: str) -> dict[str, float] | None:
        by_model = _by_model({key: (wrong,) for key, wrong in errors[sort][name].items()})
        mean = _mean([x for own in by_model.values() for x in own])
        bounds = interval(by_model, _mean)
        return None if mean is None or bounds is None else {"mean": mean, "low": bounds[0], "high": bounds[1]}

    def phi_of(sort: str, one: str, other: str) -> dict[str, float] | None:
        first, second = errors[sort][one], errors[sort][other]
        by_model = _by_model({key: (first[key], second[key]) for key in first.keys() & second.keys()})
        value = _phi([x for own in by_model.values() for x in own])
        bounds = None if value is None else interval(by_model, _phi)
        return None if value is None or bounds is None else {"phi": value, "low": bounds[0], "high": bounds[1]}

    return {
        "models": models,
        "techniques": names,
        "rates": {name: {sort: rate(sort, name) for sort in _SORTS} for name in names},
        "pairs": [
            {"first": one, "second": other, **{sort: phi_of(sort, one, other) for sort in _SORTS}}
            for one, other in combinations(names, 2)
        ],
    }


def phi(one: Sequence[bool], other: Sequence[bool]) -> float | None:
    """The phi coefficient; None where one of the two is constant."""
    return _phi(list(zip(one, other, strict=True)))


def _phi(pairs: list[tuple[bool, bool]]) -> float | None:
    both = sum(a and b for a, b in pairs)
    first, second, n = sum(a for a, _ in pairs), sum(b for _, b in pairs), len(pairs)
    spread = first * (n - first) * second * (n - second)
    return float((n * both - first * second) / spread**0.5) if spread else None


def _mean(values: list[tuple[bool]]) -> float | None:
    return sum(wrong for (wrong,) in values) / len(values) if values else None


def _errors(asked: Sequence[Asked], technique: str, sort: str) -> Errors:
    found: Errors = {}
    for own in asked:
        for said in own.said:
            if said.technique == technique:
                places = said.used if sort == "misses" else said.inert
                wrong = set(places) - set(said.positive) if sort == "misses" else set(places) & set(said.positive)
                found |= {(own.model, place): place in wrong for place in places}
    return found


def _by_model(values: dict[tuple[str, str], Any]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for (model, _), value in sorted(values.items()):
        found.setdefault(model, []).append(value)
    return found
