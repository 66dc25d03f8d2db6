"""Attribution patching, the strongest tenth (Nanda 2023, "Attribution patching").

A component's score is the mean over pairs of its attribution of the logit difference, all positions together, in logits
and signed: positive restores the behaviour. `ig_steps` > 1 averages gradients between the corrupted and the clean
embeddings (Hanna, Pezzelle & Belinkov 2024). It is a first-order estimate: where attention or a norm saturates, it is
wrong in size and may be in sign.

Stopping rule: the `SHARE` of all heads and MLPs with the largest |score|, rounded up. People take "the top ten" or a
share; ten would be nearly all of a model of twelve components, so it is a share. It selects as many where nothing is
to be found.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Final

from lakatos.tools.baseline.found import PAIRS, Baseline, Found, Progress, chosen, exploration_pairs, places, ranked
from lakatos.tools.behaviour import Behaviour
from lakatos.tools.exploration import NodeScores, node_attribution
from lakatos.tools.model import LoadedModel

SHARE: Final = 0.1  # of all heads and MLPs
IG_STEPS: Final = 5  # as in EAP-IG's and MIB's own experiments


def attribution_patching(
    model: LoadedModel,
    behaviour: Behaviour,
    *,
    pairs: int = PAIRS,
    budget: float = math.inf,
    seed: int = 0,
    progress: Progress = lambda _done, _of: None,
    ig_steps: int = 1,
) -> Found:
    """Select the strongest `SHARE` by attribution; see `found.Baseline`. A pair costs 2 + 3 x ig_steps forwards."""
    each = 2.0 + 3.0 * ig_steps  # both prompts; a forward and a backward pass (worth two) a step
    drawn = exploration_pairs(behaviour, pairs, seed, budget, each)
    found = node_attribution(model.bridge, drawn, ig_steps=ig_steps, progress=progress)
    every, scores = places(model), by_component(found)
    ranking = ranked({name: scores[name] for name in every})
    kept = [name for name, _ in ranking[: math.ceil(SHARE * len(every))]]
    return Found(chosen(ranking, kept), (), ranking, each * len(drawn), len(drawn))


def by_component(found: NodeScores) -> dict[str, float]:
    """Each head's and MLP's attribution, mean over pairs of the sum over positions: in metric units, signed."""
    heads, mlps = found.heads.sum(-1, dtype=float).mean(0), found.mlps.sum(-1, dtype=float).mean(0)
    scores = {f"a{layer}.h{head}": float(score) for layer, row in enumerate(heads) for head, score in enumerate(row)}
    return scores | {f"m{layer}": float(score) for layer, score in enumerate(mlps)}


attribution_ig: Baseline = partial(attribution_patching, ig_steps=IG_STEPS)
