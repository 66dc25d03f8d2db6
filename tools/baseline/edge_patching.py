"""Edge attribution patching at a fixed sparsity: EAP (Syed, Rager & Conmy 2023), EAP-IG (Hanna et al. 2024).

An edge's score is the mean over pairs of its attribution of the logit difference, in logits and signed
(`lakatos.tools.exploration.edges`): EAP takes gradients on the corrupted run, EAP-IG averages them over `IG_STEPS`
embeddings from the corrupted to the clean one.

Stopping rule: the `SHARE` of all edges with the largest |score|, rounded up, `MOST` at most, and of these the edges
that lie on a path of kept edges from the embedding to the logits (the authors prune what is without parents or without
children). Both papers draw curves over the number of edges and give no rule for one. A twentieth leaves a small model
enough edges for a path; in larger ones it would touch most heads and MLPs (SmolLM2-135M has 70,651 edges), where
circuits that are shown have a few hundred. The components are the heads and MLPs on such a path.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lakatos.tools.baseline.attribution import IG_STEPS
from lakatos.tools.baseline.found import PAIRS, Baseline, Found, Progress, chosen, exploration_pairs, places, ranked
from lakatos.tools.behaviour import Behaviour
from lakatos.tools.exploration import edge_attribution
from lakatos.tools.intervention import EMBEDDED, EdgeGraph
from lakatos.tools.model import LoadedModel

SHARE: Final = 0.05  # of all edges
MOST: Final = 400  # edges
Bools = NDArray[np.bool_]


def edge_attribution_patching(
    model: LoadedModel,
    behaviour: Behaviour,
    *,
    pairs: int = PAIRS,
    budget: float = math.inf,
    seed: int = 0,
    progress: Progress = lambda _done, _of: None,
    ig_steps: int = 1,
) -> Found:
    """Select the strongest edges; see `found.Baseline`. A pair costs 3 + 3 x ig_steps forwards.

    Raises:
        UserError: also where edges out of a sender do not add up to its own score: the blocks normalise what they add.
    """
    each = 3.0 + 3.0 * ig_steps  # both prompts, and what is pulled back to each receiver's own input
    drawn = exploration_pairs(behaviour, pairs, seed, budget, each)
    found = edge_attribution(model.bridge, drawn, ig_steps=ig_steps, progress=progress)
    scores, graph = found.scores.mean(0, dtype=float), EdgeGraph.of(model.bridge)
    there = [(int(sender), int(receiver)) for sender, receiver in np.argwhere(found.downstream)]
    there.sort(key=lambda edge: -abs(scores[edge]))
    kept = np.zeros_like(found.downstream)
    for edge in there[: how_many(len(there))]:
        kept[edge] = True
    kept = connected(graph, kept)
    ranking = ranked(strongest_edges(graph, scores, places(model)))
    edges = tuple((graph.senders[s], graph.receivers[r]) for s, r in there if kept[s, r])
    return Found(chosen(ranking, (s for s, _ in edges)), edges, ranking, each * len(drawn), len(drawn))


eap: Baseline = edge_attribution_patching
eap_ig: Baseline = partial(edge_attribution_patching, ig_steps=IG_STEPS)


def how_many(edges: int) -> int:
    """How many of so many edges are kept before pruning."""
    return min(MOST, math.ceil(SHARE * edges))


def strongest_edges(graph: EdgeGraph, scores: NDArray[np.float64], every: tuple[str, ...]) -> dict[str, float]:
    """Each component's outgoing edge with the largest |score|, signed; `scores` [sender, receiver], 0 where no edge."""
    best = np.abs(scores).argmax(1)
    row = {name: number for number, name in enumerate(graph.senders)}
    return {name: float(scores[row[name], best[row[name]]]) for name in every}


def connected(graph: EdgeGraph, kept: Bools) -> Bools:
    """The kept edges [sender, receiver] that lie on a path of kept edges from the embedding to the logits.

    A head is on it by any of its query, key and value; a key or a value leads to all heads of its group.
    """
    kept = kept.copy()
    column = {name: number for number, name in enumerate(graph.receivers)}
    reads = [[column[name] for name in graph.readers_of(sender)] for sender in graph.senders]
    while True:
        fed = np.array([bool(kept[:, own].any()) for own in reads])
        fed[graph.senders.index(EMBEDDED)] = True
        leads = np.zeros(len(graph.receivers), bool)
        leads[-1] = True
        for sender, own in enumerate(reads):
            leads[own] |= bool(kept[sender].any())
        pruned = kept & fed[:, None] & leads
        if (pruned == kept).all():
            return kept
        kept = pruned
