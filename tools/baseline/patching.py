"""Activation patching of every head and MLP, and what people conclude from it.

Each is denoised by itself, at all positions together: its activations in the corrupted run are replaced by those of the
clean run (Meng et al. 2022; Zhang & Nanda 2024). Its effect on a pair is the logit difference then less that of the
corrupted run, in logits; positive restores the behaviour. One measurement, four rules:

    activation-patching   the mean restores, or takes away, at least `FRACTION` of the mean clean-corrupted gap
    p-none                a two-sided t-test of "the mean effect is 0" over pairs has p <= `ALPHA`
    p-bh                  ... after Benjamini & Hochberg 1995 over all heads and MLPs
    p-bonferroni          ... after Bonferroni over all of them

The score is the mean effect, for the first, and the t statistic for the others. A t-test knows no smallest effect of
interest: with enough pairs it finds every component that does anything at all. Denoising is blind to what is necessary
and the same in both prompts. No rule asks whether the model shows the behaviour.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lakatos.tools.baseline.found import PAIRS, Baseline, Found, Progress, chosen, exploration_pairs, places, ranked
from lakatos.tools.baseline.t_test import t_statistic, two_sided_p
from lakatos.tools.behaviour import Behaviour
from lakatos.tools.errors import UserError
from lakatos.tools.intervention import Intervention, run_interventions
from lakatos.tools.model import LoadedModel
from lakatos.tools.multiplicity import bh, bonferroni, uncorrected

FRACTION: Final = 0.1  # of the gap
ALPHA: Final = 0.05
CORRECTIONS: Final[Mapping[str, Callable[..., NDArray[np.bool_]]]] = {
    "p-none": uncorrected,
    "p-bh": bh,
    "p-bonferroni": bonferroni,
}


class Patched(NamedTuple):
    """Every head and MLP denoised by itself."""

    places: tuple[str, ...]
    effects: NDArray[np.float64]  # [component, pair] logits
    gap: float  # mean of clean less corrupted, in logits
    forwards: float

    @property
    def prompts(self) -> int:
        """Pairs."""
        return int(self.effects.shape[1])


def patch_everything(
    model: LoadedModel,
    behaviour: Behaviour,
    *,
    pairs: int = PAIRS,
    budget: float = math.inf,
    seed: int = 0,
    progress: Progress = lambda _done, _of: None,
) -> Patched:
    """Denoise every head and MLP by itself; see `found.Baseline`. A pair costs about half as many forwards as these."""
    every = places(model)
    drawn = exploration_pairs(behaviour, pairs, seed, budget, each=len(every) + 4.0)  # with its own runs, and audits
    shown = run_interventions(model, drawn, [Intervention(name, "clean") for name in every], progress=progress)
    gap = float((shown.clean - shown.corrupted).mean())
    return Patched(every, shown.values - shown.corrupted, gap, shown.forwards)


def by_effect(patched: Patched) -> Found:
    """Those whose mean effect is at least `FRACTION` of the gap, either way.

    Raises:
        UserError: the clean and the corrupted runs' mean logit differences are equal.
    """
    if patched.gap == 0:
        raise UserError("The model answers clean and corrupted prompts alike, so there is no gap to restore.")
    means = dict(zip(patched.places, patched.effects.mean(1).tolist(), strict=True))
    ranking = ranked(means)
    kept = [name for name, mean in means.items() if abs(mean) >= FRACTION * abs(patched.gap)]
    return Found(chosen(ranking, kept), (), ranking, patched.forwards, patched.prompts)


def by_p_value(patched: Patched, correction: str) -> Found:
    """Those whose effect is significant by a key of `CORRECTIONS`.

    Raises:
        UserError: there is no such correction.
    """
    if correction not in CORRECTIONS:
        raise UserError(f"There is no correction {correction!r}: there are {', '.join(CORRECTIONS)}.")
    tested = [t_statistic(effects) for effects in patched.effects]
    p = [two_sided_p(t, patched.prompts - 1) for t in tested]
    ranking = ranked(dict(zip(patched.places, tested, strict=True)))
    significant = CORRECTIONS[correction](p, ALPHA)
    kept = [name for name, yes in zip(patched.places, significant, strict=True) if yes]
    return Found(chosen(ranking, kept), (), ranking, patched.forwards, patched.prompts)


def _patching(
    rule: Callable[[Patched], Found],
    model: LoadedModel,
    behaviour: Behaviour,
    *,
    pairs: int = PAIRS,
    budget: float = math.inf,
    seed: int = 0,
    progress: Progress = lambda _done, _of: None,
) -> Found:
    return rule(patch_everything(model, behaviour, pairs=pairs, budget=budget, seed=seed, progress=progress))


activation_patching: Baseline = partial(_patching, by_effect)
significant_effects: Mapping[str, Baseline] = {
    name: partial(_patching, partial(by_p_value, correction=name)) for name in CORRECTIONS
}
