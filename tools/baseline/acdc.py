"""ACDC: greedy pruning from the logits backwards (Conmy et al. 2023, "Towards automated circuit discovery").

The circuit begins as the whole model. One edge at a time is cut, so that its receiver reads what the sender writes on
the corrupted prompt; it stays cut where KL(model || circuit) at the answer, averaged over pairs, rises by less than
`TAU` nats, and is put back otherwise. Receivers come in reverse order of the run, and so do the senders of each. What
no kept edge leaves is not asked about: all edges into it go.

`acdc` works on edges, each cut by itself and measured exactly (`EdgeRuns`), into queries, keys, values, MLPs and
logits. That is one measurement an edge, of which a model of 12 layers and 12 heads has 32,000: it is for small models.
`acdc_nodes` is the same on whole heads and MLPs, which is not what the paper does and what larger models allow.

Stopping rule: `TAU`, of the size at which the paper shows its circuit of indirect object identification. The greedy
order matters: where one component backs another up, the one that is tried first is pruned.

The score is the place in the order of pruning: 1 for what was pruned first; what was kept comes above all that was
pruned, by the KL that its own removal cost when it was tried. An edge method's component is pruned with the last of
its outgoing edges.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from lakatos.tools.baseline.found import PAIRS, Found, Progress, chosen, exploration_pairs, places, ranked
from lakatos.tools.behaviour import Behaviour
from lakatos.tools.errors import UserError
from lakatos.tools.intervention import EdgeGraph, EdgeRuns, Intervention, Runs, run_interventions
from lakatos.tools.model import LoadedModel

TAU: Final = 0.0575  # nats
_AN_EDGE = 1.0  # forward passes of a pair that are planned for: two parts of half of the blocks, and soon fewer


def acdc(
    model: LoadedModel,
    behaviour: Behaviour,
    *,
    pairs: int = PAIRS,
    budget: float = math.inf,
    seed: int = 0,
    progress: Progress = lambda _done, _of: None,
    tau: float = TAU,
) -> Found:
    """Prune edges; see `found.Baseline`. One forward an edge is planned for a pair; it costs less in the end.

    Raises:
        UserError: also where the budget is spent before the end.
    """
    graph = EdgeGraph.of(model.bridge)
    drawn = exploration_pairs(behaviour, pairs, seed, budget, each=_AN_EDGE * int(graph.downstream.sum()))
    pruning = _Edges(EdgeRuns(model, drawn), tau, budget)
    for done, receiver in enumerate(reversed(range(len(graph.receivers)))):
        pruning.into(receiver)
        progress(done + 1, len(graph.receivers))
    every = places(model)
    row = {name: number for number, name in enumerate(graph.senders)}
    ranking = ranked(_scores({name: pruning.when(row[name]) for name in every}))
    kept = sorted(pruning.cost, key=lambda edge: -pruning.cost[edge])
    edges = tuple((graph.senders[s], graph.receivers[r]) for s, r in kept)
    return Found(chosen(ranking, (s for s, _ in edges)), edges, ranking, pruning.spent, len(drawn))


def acdc_nodes(
    model: LoadedModel,
    behaviour: Behaviour,
    *,
    pairs: int = PAIRS,
    budget: float = math.inf,
    seed: int = 0,
    progress: Progress = lambda _done, _of: None,
    tau: float = TAU,
) -> Found:
    """Prune heads and MLPs; see `found.Baseline`. A pair costs about half as many forwards as there are of these."""
    every = places(model)
    drawn = exploration_pairs(behaviour, pairs, seed, budget, each=len(every) + 4.0)
    runs, gone, when = Runs(model.bridge, drawn), list[str](), dict[str, _When]()
    best, spent = 0.0, 0.0
    for done, name in enumerate(reversed(every)):
        trial = run_interventions(model, runs, [Intervention([name, *gone], "corrupted")], base="clean", metric="kl")
        divergence, spent = float(trial.values.mean()), spent + trial.forwards
        if divergence - best < tau:
            when[name] = (False, float(len(gone)))
            gone.append(name)
            best = divergence
        else:
            when[name] = (True, divergence - best)
        progress(done + 1, len(every))
    ranking = ranked(_scores({name: when[name] for name in every}))
    kept = [name for name in every if when[name][0]]
    return Found(chosen(ranking, kept), (), ranking, spent, len(drawn))


_When = tuple[bool, float]  # whether it was kept; what its removal cost in nats, or the place in the order of pruning


def _scores(when: dict[str, _When]) -> dict[str, float]:
    """1 for what was pruned first (ties share the lowest place), and so on up to what was kept at the highest cost."""
    order = sorted(when.values())
    return {name: 1.0 + order.index(own) for name, own in when.items()}


class _Edges:
    """The circuit so far, and how it came to be."""

    def __init__(self, runs: EdgeRuns, tau: float, budget: float) -> None:
        self.runs, self.graph = runs, runs.graph
        self.tau, self.budget = tau, budget
        self.kept = self.graph.downstream.copy()
        self.divergence = float(runs.measure(self.kept, "kl").mean())
        self.spent = runs.take_forwards()
        self.cost: dict[tuple[int, int], float] = {}  # of kept edges that were tried: nats
        self._last = np.full(len(self.graph.senders), -1.0)  # [sender] place in the order of the last edge pruned
        self._pruned = 0

    def into(self, receiver: int) -> None:
        """Try every edge into a receiver, the latest sender first.

        Raises:
            UserError: the budget is spent.
        """
        needed = self._needed(receiver)
        for sender in reversed(np.flatnonzero(self.kept[:, receiver]).tolist()):
            if needed and not self._spare(sender, receiver):
                continue
            self.kept[sender, receiver] = False
            self._last[sender] = self._pruned
            self._pruned += 1

    def when(self, sender: int) -> _When:
        """Whether any of a sender's edges is kept, and what the dearest cost; or when the last of them was pruned."""
        costs = [cost for (own, _), cost in self.cost.items() if own == sender]
        return (True, max(costs)) if costs else (False, float(self._last[sender]))

    def _needed(self, receiver: int) -> bool:
        """Whether anything kept is computed from what a receiver reads."""
        name = self.graph.receivers[receiver]
        if receiver == len(self.graph.receivers) - 1:
            return True
        readers = [s for s, sender in enumerate(self.graph.senders) if name in self.graph.readers_of(sender)]
        return bool(self.kept[readers].any())

    def _spare(self, sender: int, receiver: int) -> bool:
        """Whether the circuit does as well without an edge; if so, its divergence is the circuit's from now on."""
        trial = self.kept.copy()
        trial[sender, receiver] = False
        divergence = float(self.runs.measure(trial, "kl").mean())
        self.spent += self.runs.take_forwards()
        if self.spent > self.budget:
            raise UserError(
                f"{self.budget:,.0f} forward passes were spent before all {int(self.graph.downstream.sum()):,} edges "
                "were tried. Give a larger budget or fewer pairs, or choose acdc-nodes."
            )
        if divergence - self.divergence < self.tau:
            self.divergence = divergence
            return True
        self.cost[sender, receiver] = divergence - self.divergence
        return False
