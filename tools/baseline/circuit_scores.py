"""How good a ranking of components is: CMD and CPR after MIB, on circuits of whole heads and MLPs; and AUROC.

For each of ten sizes, .1 to 100 % of all heads and MLPs, the circuit of the best so many is kept in the clean run, and
every other head and MLP is replaced by its activations in the corrupted run. With m the mean logit difference,

    faithfulness  f = (m(circuit) - m(empty)) / (m(full) - m(empty))
    CMD           the area of |1 - f| over the sizes: 0 is best. How far circuits are from the whole model, either way
    CPR           the area of f over the sizes: unbounded. It rewards leaving out what opposes the behaviour, so that a
                  circuit that does better than the model scores higher than one that does as the model does

Areas are trapezoids over the linear size axis from .001 to 1 (Mueller et al. 2025, "MIB: a mechanistic interpretability
benchmark"), so that half of them is circuits of half of the model and more. As in MIB's code, sizes are cut down to
whole components; in small models several are the empty circuit, whose f is 0, so that no ranking of theirs has a CMD of
0: compare rankings of one model. Unlike MIB's, circuits are of nodes and
the embedding is always the clean one. One ranking is scored for both, by |score|; MIB ranks for CPR by signed scores.

A random order has a CMD of about .75 in many models: it is the row to compare with, and no CMD means much without it.

AUROC needs the truth: the chance that a component that is used ranks above one that is not, ties counted half.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from lakatos.tools.baseline.found import Progress, places
from lakatos.tools.errors import UserError
from lakatos.tools.intervention import Intervention, Runs, run_interventions
from lakatos.tools.model import LoadedModel

PER_MILLE: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)  # of all heads and MLPs
CPR_WARNING: Final = (
    "CPR is unbounded and rewards leaving out what opposes the behaviour: higher is not closer to the model."
)
_SURE = 2.0  # standard errors by which the whole model must do better than the empty circuit


class Curve(NamedTuple):
    """The faithfulness of a ranking's circuits, by their size."""

    counts: tuple[int, ...]  # components kept, for each of `PER_MILLE`
    faithfulness: tuple[float, ...]
    cmd: float
    cpr: float


class Curves(NamedTuple):
    """The curves of several rankings on the same prompts."""

    each: tuple[Curve, ...]
    full: float  # mean logit difference of the clean run
    empty: float  # ... with every head and MLP replaced
    prompts: int
    forwards: float  # of all together


def circuit_curves(
    model: LoadedModel,
    runs: Runs,
    orders: Sequence[Sequence[str]],
    progress: Progress = lambda _done, _of: None,
) -> Curves:
    """Score rankings by the circuits of their best components. Equal circuits are run once.

    Args:
        runs: prompt pairs, best those that no ranking has seen.
        orders: every head and MLP of the model, best first.

    Raises:
        UserError: an order that is not of all heads and MLPs, or a model that does no better whole than with all
            heads and MLPs replaced, by twice the standard error of the mean over pairs.
    """
    every = frozenset(places(model))
    for order in orders:
        if len(order) != len(every) or frozenset(order) != every:
            raise UserError(f"A ranking names every head and MLP once: {len(every)}, and this one names {len(order)}.")
    counts = counts_of(len(every))
    sets = {frozenset(order[:count]): tuple(order[:count]) for order in orders for count in counts}
    sets |= {frozenset[str](): ()}
    asked = [Intervention(kept, "corrupted", keep=True) for kept in sets.values()]
    shown = run_interventions(model, runs, asked, base="clean", progress=progress)
    values = dict(zip(sets, shown.values, strict=True))
    more = shown.clean - values[frozenset()]
    error = float(more.std(ddof=1)) / len(more) ** 0.5 if len(more) > 1 else np.inf
    if not more.mean() > _SURE * error:
        raise UserError(
            f"The whole model's logit difference is {more.mean():+.3g} more than with every head and MLP replaced, "
            f"which is not above {_SURE:g} standard errors ({error:.2g}) on {len(more)} pairs: there is no behaviour "
            "to be faithful to. Choose another behaviour, or give more pairs."
        )
    curves = []
    for order in orders:
        f = [float((values[frozenset(order[:n])] - values[frozenset()]).mean() / more.mean()) for n in counts]
        curves.append(Curve(counts, tuple(f), cmd(f), cpr(f)))
    return Curves(
        tuple(curves), float(shown.clean.mean()), float(values[frozenset()].mean()), len(more), shown.forwards
    )


def counts_of(n: int) -> tuple[int, ...]:
    """How many of n components each size keeps, cut down to whole ones."""
    return tuple(n * size // 1000 for size in PER_MILLE)


def cmd(faithfulness: Sequence[float]) -> float:
    """The area of |1 - f| over the sizes `PER_MILLE`, as shares; 0 is best."""
    return _area([abs(1 - f) for f in faithfulness])


def cpr(faithfulness: Sequence[float]) -> float:
    """The area of f over the sizes `PER_MILLE`, as shares; unbounded, see `CPR_WARNING`."""
    return _area(faithfulness)


def auroc(scores: Mapping[str, float], used: Collection[str]) -> float | None:
    """The chance that |score| of a component that is used exceeds that of one that is not, ties counted half.

    Returns:
        None where all or none of the components with a score are used.
    """
    names = [*scores]
    size, yes = np.abs([scores[name] for name in names]), np.array([name in used for name in names], bool)
    if yes.all() or not yes.any():
        return None
    _, place, ties = np.unique(size, return_inverse=True, return_counts=True)
    rank = (np.cumsum(ties) - (ties - 1) / 2)[place]  # from 1, equal ones in the middle of their places
    positives, negatives = int(yes.sum()), int((~yes).sum())
    return float((rank[yes].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def _area(heights: Sequence[float]) -> float:
    if len(heights) != len(PER_MILLE):
        raise ValueError(f"a curve has {len(PER_MILLE)} points, not {len(heights)}")
    widths = np.diff(PER_MILLE) / 1000
    return float((widths * (np.asarray(heights[1:]) + np.asarray(heights[:-1])) / 2).sum())
