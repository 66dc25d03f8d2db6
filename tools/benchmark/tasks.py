"""The six sweeps that speed is measured on: the same cells by the engine and by TransformerLens's own way.

    a   every head at all positions                 denoising: the clean run's activation in the corrupted run
    b   every head by position                      "
    c   every MLP and residual stream by position   "
    d   every head and MLP, with the control        resample ablation of the clean run, and the same on plain texts
    e   every earlier head into one head's query    path patching; the receiver is head 0 two thirds up
    f   attribution of every node, pair by pair     gradients

A cell is one intervention over all pairs; of f, one pair. Ours includes everything from prompts to numbers: tokenising,
and the base and source runs, which the peer is given for nothing. Sweeps by position are over pairs of one length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lakatos.tools.behaviour import Behaviour, PromptPairs, draw_donors, encode
from lakatos.tools.benchmark.operations import attribution_pass, forward_pass, needed
from lakatos.tools.benchmark.peer import Peer, recorded
from lakatos.tools.component import Kind
from lakatos.tools.errors import UserError
from lakatos.tools.exploration import node_attribution, spans
from lakatos.tools.intervention import Effects, Intervention, Runs, everywhere, run_interventions

PAIRS = {"a": 32, "b": 16, "c": 16, "d": 8, "e": 16, "f": 64}
Values = np.ndarray  # [cell, prompt]


@dataclass(frozen=True)
class Task:
    """A sweep by both. Numbers of cells count from zero."""

    name: str
    what: str
    pairs: int
    cells: int
    ours: Callable[[Sequence[int]], Values]
    peer: Callable[[int], np.ndarray]  # [prompt]
    scale: np.ndarray | float  # [prompt] what a difference is a fraction of: the mean gap; of plain text, its loss
    needed: float  # operations that exact re-running takes, for all cells
    peer_needs: float  # operations of the peer's passes for one cell, on average
    running: float  # the share of cells' prompts in which anything differs from the base run
    around: Callable[[], AbstractContextManager[Any]] = nullcontext  # the peer's cells

    def difference(self, ours: Values, peer: dict[int, np.ndarray]) -> float:
        """The largest between the two on cells of both, as a fraction of `scale`."""
        return max(float((np.abs(ours[cell] - values) / self.scale).max()) for cell, values in peer.items())


def build_task(
    name: str, model: Any, behaviour: Behaviour, control: Behaviour, pairs: int | None = None, seed: int = 0
) -> Task:
    """A task by its letter.

    Args:
        name: a to f.
        model: a TransformerBridge.
        behaviour: where pairs are drawn from.
        control: plain text.
        pairs: how many; default `PAIRS`.
        seed: of the prompts.

    Raises:
        UserError: there is no such task.
    """
    if name not in PAIRS:
        raise UserError(f"There is no task {name!r}: tasks are {', '.join(PAIRS)}.")
    n = pairs or PAIRS[name]
    if name == "d":
        return _ablation(model, behaviour, control, n, seed)
    if name == "f":
        return _attribution(model, behaviour.sample(n, seed))
    drawn = _of_one_length(model, behaviour, n, seed) if name in "bc" else behaviour.sample(n, seed)
    layers, heads = range(model.cfg.n_layers), range(model.cfg.n_heads)
    kinds: list[Kind]
    if name == "a":
        what, kinds = f"every head, all positions, {n} pairs", ["head"]
        plan = [Intervention(f"a{layer}.h{head}") for layer in layers for head in heads]
    elif name == "e":
        above = 2 * len(layers) // 3
        what, kinds = f"path patching from every earlier head into a{above}.h0.q, {n} pairs", ["head"]
        plan = [Intervention(f"a{x}.h{head}", to=f"a{above}.h0.q") for x in range(above) for head in heads]
    else:
        positions = range(encode(drawn, model.tokenizer)[0].clean.shape[1])
        if name == "b":
            what, kinds = f"every head by position, {n} pairs", ["head"]
            plan = [Intervention(f"a{x}.h{head}@{at}") for x in layers for at in positions for head in heads]
        else:
            what, kinds = f"every MLP and residual by position, {n} pairs", ["mlp", "residual"]
            plan = [Intervention(f"{kind}{x}@{at}") for kind in "mr" for x in layers for at in positions]
    peer = Peer(model, drawn, recorded(model, kinds))

    def ours(cells: Sequence[int]) -> Values:
        return run_interventions(model, drawn, [plan[cell] for cell in cells]).values

    base = run_interventions(model, drawn, [])
    return Task(
        name=name,
        what=what,
        pairs=n,
        cells=len(plan),
        ours=ours,
        peer=lambda cell: (peer.path if name == "e" else peer.patched)(plan[cell]),
        scale=_gap(base),
        needed=needed(model, Runs(model, drawn), plan, "corrupted"),
        peer_needs=forward_pass(model, peer.lengths),
        running=_running(model, drawn, plan),
        around=peer.split_queries if name == "e" else nullcontext,
    )


def _ablation(model: Any, behaviour: Behaviour, control: Behaviour, n: int, seed: int) -> Task:
    drawn, texts = behaviour.sample(n, seed), control.sample(n, seed)
    donors = draw_donors(behaviour, drawn, model.tokenizer, seed + 1)
    others = draw_donors(control, texts, model.tokenizer, seed + 1)
    layers, heads = range(model.cfg.n_layers), range(model.cfg.n_heads)
    places = [place for x in layers for place in (*(f"a{x}.h{head}" for head in heads), f"m{x}")]
    plan = [Intervention(place, "resample") for place in places]
    points = recorded(model, ["head", "mlp"])
    peers = Peer(model, drawn, points, donors), Peer(model, texts, points, others)

    def effects(cells: Sequence[int]) -> Effects:
        chosen = [plan[cell] for cell in cells]
        control_runs = {control.name: Runs(model, texts, others)}
        return run_interventions(model, drawn, chosen, base="clean", donors=donors, controls=control_runs)

    def ours(cells: Sequence[int]) -> Values:
        found = effects(cells)
        return np.concatenate([found.values, found.of(control.name).values], axis=1)

    base = effects([])
    loss = base.of(control.name).clean
    free = [everywhere(intervention) for intervention in plan]
    return Task(
        name="d",
        what=f"ablation of every head and MLP, {n} pairs and {n} plain texts",
        pairs=n,
        cells=len(plan),
        ours=ours,
        peer=lambda cell: np.concatenate([peer.ablated(plan[cell]) for peer in peers]),
        scale=np.concatenate([np.full(n, _gap(base)), np.full(n, float(loss.mean()))]),
        needed=needed(model, Runs(model, drawn, donors), plan, "clean")
        + needed(model, Runs(model, texts, others), free, "clean"),
        peer_needs=sum(forward_pass(model, peer.lengths) for peer in peers),
        running=1.0,
    )


def _attribution(model: Any, drawn: PromptPairs) -> Task:
    peer = Peer(model, drawn, [])
    layers, heads = int(model.cfg.n_layers), int(model.cfg.n_heads)
    base = run_interventions(model, drawn, [])

    def ours(cells: Sequence[int]) -> Values:
        found = node_attribution(model, replace(drawn, pairs=tuple(drawn[cell] for cell in cells)))
        scores: Values = np.concatenate([found.heads, found.mlps[:, :, None]], axis=2).sum(-1)  # [pair, layer, place]
        return scores

    def one(pair: int) -> np.ndarray:
        total = np.zeros((layers, heads + 1))
        for node, score in peer.attributed(pair).items():
            if node.kind != "embed":
                total[node.layer, heads if node.head is None else node.head] += score
        return total

    batches = encode(drawn, model.tokenizer)
    changed = np.concatenate([spans(batch) for batch in batches])
    return Task(
        name="f",
        what=f"attribution of every node, {len(drawn)} pairs; a cell is a pair",
        pairs=len(drawn),
        cells=len(drawn),
        ours=ours,
        peer=one,
        scale=_gap(base),
        needed=attribution_pass(model, peer.lengths, changed, answer_only=True),
        peer_needs=attribution_pass(model, peer.lengths, peer.lengths, answer_only=False) / len(drawn),
        running=1.0,
    )


def _of_one_length(model: Any, behaviour: Behaviour, n: int, seed: int) -> PromptPairs:
    """The first n pairs of the length that is commonest."""
    for times in (2, 4, 8, 16):
        drawn = behaviour.sample(times * n, seed)
        batch = max(encode(drawn, model.tokenizer), key=lambda b: len(b.index))
        if len(batch.index) >= n:
            return replace(drawn, pairs=tuple(drawn[int(i)] for i in batch.index[:n]))
    raise UserError(f"{behaviour.name}: there are no {n} pairs of one length among {times * n}.")


def _running(model: Any, pairs: PromptPairs, plan: Sequence[Intervention]) -> float:
    from lakatos.tools.intervention import Plan

    cells: Iterator[int] = (len(Plan(model, b, plan, "corrupted").cells.row) for b in Runs(model, pairs).batches)
    return sum(cells) / (len(plan) * len(pairs))


def _gap(effects: Effects) -> float:
    """The mean distance of the clean from the corrupted run, in the metric's units."""
    return float(np.abs(effects.clean - effects.corrupted).mean())
