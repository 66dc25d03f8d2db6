"""Every method by its name, and what each gives to each hypothesis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike

from lakatos.tools.multiplicity.e_values import bars, e_bh, online_ebh
from lakatos.tools.multiplicity.inputs import Bools, Floats
from lakatos.tools.multiplicity.investing import OnlineResult, addis, lond, lord_plus_plus, saffron
from lakatos.tools.multiplicity.p_values import Adjustable, adjusted_p, bh, bonferroni, by, holm, uncorrected


class Method(NamedTuple):
    """One entry of `METHODS`."""

    works_on: Literal["e", "p"]
    weighted: bool  # needs slot weights, and takes groups
    run: Callable[..., Bools]  # (e or p, [weights,] alpha[, groups]) -> bool[m]


def _online(rule: Callable[..., OnlineResult]) -> Method:
    return Method("p", False, lambda p, alpha: rule(p, alpha).rejected)


_LEVELS: Final[dict[str, Callable[..., OnlineResult]]] = {
    "lord++": lord_plus_plus,
    "saffron": saffron,
    "addis": addis,
    "lond": lond,
}
_ADJUSTABLE: Final[dict[str, Adjustable]] = {name: name for name in get_args(Adjustable)}

METHODS: Final[dict[str, Method]] = {
    "online-ebh": Method("e", True, online_ebh),
    "e-bh": Method("e", False, e_bh),
    "bh": Method("p", False, bh),
    "by": Method("p", False, by),
    "holm": Method("p", False, holm),
    "bonferroni": Method("p", False, bonferroni),
    **{name: _online(rule) for name, rule in _LEVELS.items()},
    "none": Method("p", False, uncorrected),
}
CORRECTED: Final[dict[str, str]] = {  # what `corrected` gives to each hypothesis
    "online-ebh": "e-value needed",
    "e-bh": "e-value needed",
    "bh": "adjusted p",
    "by": "adjusted p",
    "holm": "adjusted p",
    "bonferroni": "adjusted p",
    **dict.fromkeys(_LEVELS, "level of p"),
    "none": "p",
}


def apply(
    method: str,
    *,
    e: ArrayLike | None = None,
    p: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    alpha: float = 0.05,
) -> Bools:
    """Apply a method of `METHODS` to one family, in registered order: bool[m], True where it confirms.

    Arrays that the method does not use are ignored. ValueError: an unknown method, or its array is missing.
    """
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}; one of {', '.join(METHODS)}")
    chosen = METHODS[method]
    values = e if chosen.works_on == "e" else p
    if values is None:
        raise ValueError(f"{method} works on {chosen.works_on}-values; give {chosen.works_on}=")
    if not chosen.weighted:
        return chosen.run(values, alpha)
    if weights is None:
        raise ValueError(f"{method} needs the slot weights; give weights=")
    return chosen.run(values, weights, alpha, groups)


def corrected(
    method: str,
    *,
    e: ArrayLike | None = None,
    p: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    alpha: float = 0.05,
) -> Floats:
    """The number that a method of `METHODS` gives to each of a family, [m]: which one, says `CORRECTED`.

    Arguments and errors as in `apply`.
    """
    chosen = apply(method, e=e, p=p, weights=weights, groups=groups, alpha=alpha)
    if METHODS[method].works_on == "e":
        shares = weights if METHODS[method].weighted else np.full(chosen.size, 1 / max(chosen.size, 1))
        return bars(np.asarray(e), np.asarray(shares), alpha, groups if METHODS[method].weighted else None)
    values = np.asarray(p, dtype=np.float64)
    if method in _ADJUSTABLE:
        return adjusted_p(values, _ADJUSTABLE[method])
    return _LEVELS[method](values, alpha).levels if method in _LEVELS else values
