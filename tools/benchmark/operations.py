"""How many floating-point operations a sweep needs, how many this machine does in a second, and where our time goes.

A multiplication with an addition counts as two operations. Counted are products of matrices and attention's scores and
weighted sums; norms, activations and copies are not, so what they take is part of the distance from the limit.

What exact re-running of later layers and positions needs, for a cell (one intervention on one prompt) that changes
positions from s on in block f, of an answer at position e, w = e - s + 1 positions in all:

    block f        what follows the component: a head's output projection and MLP at the positions changed, an
                   attention's MLP, nothing of an MLP, the whole block of a residual stream
    between        every projection at the w positions, save that block f + 1 projects queries, keys and values of one
                   position where one was changed; the query at position t with its t + 1 keys and values
    last block     keys and values at the w positions, everything else at e alone
    unembedding    the two answers' rows at e; for plain text all rows at every position that predicts a token
    path           the sender's output projection and one head's query at w positions, then the receiver's block from
                   its scores on

and once each the runs that are read from: base, source, donors, through the last block at e. A forward pass of the peer
is counted by the same rule: every position of every block, and every position unembedded in full.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from lakatos.tools.component import groups_of
from lakatos.tools.errors import UserError
from lakatos.tools.intervention import Base, BatchRuns, Intervention, Plan, Runs

_STACK = {"cpu": 2048, "cuda": 1 << 15}  # rows of the products that are timed: as many as a stack of cells has
_SECONDS = 0.3  # that one timing of products lasts at least


@dataclass(frozen=True)
class Costs:
    """Operations of one block: per position of each part, and per query and key of the scores."""

    query: float
    keys: float  # and values
    output: float
    mlp: float
    score: float  # and weighted sum, of all heads
    head: float  # one head's query, and as much again for what one head writes
    answers: float  # two rows of the unembedding
    vocabulary: float  # all of them
    layers: int
    sequential: bool  # the MLP reads the attention of its own block

    @classmethod
    def of(cls, model: Any) -> Costs:
        """Read off the configuration and the weights of the first block. Dense blocks that are all alike only."""
        cfg = model.cfg
        width = int(cfg.n_heads * cfg.d_head)
        return cls(
            query=2.0 * width * cfg.d_model,
            keys=4.0 * groups_of(cfg) * cfg.d_head * cfg.d_model,
            output=2.0 * width * cfg.d_model,
            mlp=2.0 * sum(out * into for out, into in weights(model)[4:]),
            score=4.0 * width,
            head=2.0 * cfg.d_head * cfg.d_model,
            answers=4.0 * cfg.d_model,
            vocabulary=2.0 * cfg.d_model * cfg.d_vocab,
            layers=int(cfg.n_layers),
            sequential="blocks.0.hook_resid_mid" in model.hook_dict,
        )

    @property
    def projections(self) -> float:
        """All of a block's, per position."""
        return self.query + self.keys + self.output + self.mlp

    def forward(
        self, lengths: np.ndarray, changed: np.ndarray | None = None, *, answer_only: bool, text: bool = False
    ) -> float:
        """Runs of prompts of these lengths [prompt]: whole, or of their last `changed` [prompt] positions.

        `answer_only`: of the last block and the unembedding, what the answers at the end need.
        """
        changed = lengths if changed is None else changed
        scores = self.score * _scores(lengths - changed, lengths - 1)
        whole = float((self.projections * changed + scores).sum())
        if text or not answer_only:
            return self.layers * whole + self.vocabulary * float((changed - text).sum())
        last = self.keys * changed + self.query + self.score * lengths + self.output + self.mlp + self.answers
        return (self.layers - 1) * whole + float(last.sum())

    def cells(
        self, kind: str, one: bool, since: int, start: np.ndarray, end: np.ndarray, *, text: bool = False
    ) -> float:
        """Cells [cell] of one intervention; `one`: it changes one position alone in its own block."""
        width = end - start + 1.0
        changed = np.ones_like(width) if one else width
        last = since == self.layers - 1 and not text
        reached = np.ones_like(width) if last else width  # of the first block's output, what is read
        own = np.minimum(changed, reached)
        scores = self.score * (end + 1.0 if last else _scores(start, end))
        first = {
            "head": (self.output + self.mlp * self.sequential) * own,
            "attention": self.mlp * self.sequential * own,
            "mlp": 0 * own,
            "residual": self.keys * changed + self.query * own + scores + (self.output + self.mlp) * reached,
            "path": 2 * self.head * width + scores + (self.output + self.mlp) * reached,
        }
        if kind not in first:
            raise ValueError(f"operations of a {kind} are not counted")
        total = first[kind] * (since < self.layers)  # a residual stream can be after the last block
        if kind in ("residual", "path"):
            changed = width
        for block in range(since + 1, self.layers):
            if block == self.layers - 1 and not text:
                total = total + self.keys * changed + self.query + self.score * (end + 1.0) + self.output + self.mlp
            else:
                total = total + (self.query + self.keys) * changed + self.score * _scores(start, end)
                total = total + (self.output + self.mlp) * width
            changed = width
        return float((total + (self.vocabulary * width if text else self.answers)).sum())


def needed(model: Any, runs: Runs, interventions: Sequence[Intervention], base: Base) -> float:
    """Operations that exact re-running of the interventions takes, with the runs they read from."""
    costs = Costs.of(model)
    return sum(_needed(model, costs, batch, interventions, base) for batch in runs.batches)


def forward_pass(model: Any, lengths: np.ndarray) -> float:
    """Operations of whole forward passes of prompts of these lengths [prompt], every position unembedded."""
    return Costs.of(model).forward(lengths, answer_only=False)


def attribution_pass(model: Any, lengths: np.ndarray, changed: np.ndarray, *, answer_only: bool) -> float:
    """Operations of attribution over prompts of these lengths [prompt]: clean run, corrupted run and its gradient.

    The clean run and the gradient are needed of the last `changed` [prompt] positions, which differ. Backwards each
    projection costs once more (weights need no gradient), scores and weighted sums twice.
    """
    costs = Costs.of(model)
    late = costs.forward(lengths, changed, answer_only=answer_only)
    again = _scores(lengths - changed, lengths - 1)
    scores = costs.score * float(((costs.layers - 1) * again + (lengths if answer_only else again)).sum())
    return costs.forward(lengths, answer_only=answer_only) + 2 * late + scores


def weights(model: Any) -> list[tuple[int, int]]:
    """[out, in] of the weights of the first block: queries, keys, values, output, and those of the MLP."""
    cfg = model.cfg
    queries, keys = int(cfg.n_heads * cfg.d_head), int(groups_of(cfg) * cfg.d_head)
    found = [(queries, cfg.d_model), (keys, cfg.d_model), (keys, cfg.d_model), (cfg.d_model, queries)]
    for module in model.blocks[0].mlp.modules():
        for weight in module.parameters(recurse=False):
            if weight.dim() == 2 and cfg.d_mlp in weight.shape:
                one, other = weight.shape
                found.append((other, one) if type(module).__name__ == "Conv1D" else (one, other))
    if len(found) == 4:
        raise UserError("Operations are counted for blocks with one MLP each; this model has others (experts).")
    return found


def product_rate(model: Any, rows: int | None = None) -> float:
    """Operations a second of this machine: products of `rows` rows with weights of the shapes that a block has."""
    device, dtype = torch.device(model.cfg.device), model.cfg.dtype
    rows = rows or _STACK.get(device.type, _STACK["cuda"])
    shapes = weights(model)
    inputs = {into: torch.randn(rows, into, device=device).to(dtype) for _, into in shapes}
    matrices = [torch.randn(shape, device=device).to(dtype) for shape in shapes]

    def block() -> None:
        for (_, into), matrix in zip(shapes, matrices, strict=True):
            torch.nn.functional.linear(inputs[into], matrix)

    with torch.no_grad():
        block()
        count, spent = 0, 0.0
        while spent < _SECONDS:
            spent += timed(block, device)[1]
            count += 1
    return count * 2.0 * rows * sum(out * into for out, into in shapes) / spent


def timed(call: Callable[[], Any], device: Any) -> tuple[Any, float]:
    """What a call returns, and the seconds until the device has done it."""
    gpu = torch.device(device).type == "cuda"
    if gpu:
        torch.cuda.synchronize(device)
    began = time.perf_counter()
    result = call()
    if gpu:
        torch.cuda.synchronize(device)
    return result, time.perf_counter() - began


_CLASSES = {
    "products": ("mm", "addmm", "bmm", "baddbmm", "matmul", "linear"),
    "attention": ("scaled_dot", "flash", "efficient", "softmax"),
    "copies": ("copy", "clone", "cat", "index", "gather", "fill", "contiguous", "where", "to_copy", "nonzero"),
}  # fmt: skip


def profile(call: Callable[[], Any], device: Any) -> dict[str, float]:
    """Shares of a call's time: products, attention, copies, other operations, and no operation at all (Python)."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as torch_profile

    gpu = torch.device(device).type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if gpu else [])]
    with torch_profile(activities=activities) as profiler:
        _, seconds = timed(call, device)
    spent = dict.fromkeys((*_CLASSES, "other operations"), 0.0)
    for event in profiler.key_averages():
        name = event.key.removeprefix("aten::").lstrip("_")
        kind = next((k for k, names in _CLASSES.items() if name.startswith(names)), "other operations")
        if event.key.startswith("aten::"):
            spent[kind] += (event.self_device_time_total if gpu else event.self_cpu_time_total) * 1e-6
    shares = {kind: share / seconds for kind, share in spent.items()}
    return shares | {"outside": max(0.0, 1 - sum(shares.values()))}


def _needed(model: Any, costs: Costs, batch: BatchRuns, interventions: Sequence[Intervention], base: Base) -> float:
    lengths, text = batch.batch.lengths, batch.is_text
    total = costs.forward(lengths, answer_only=True, text=text) * (1 if text else 2)
    if any(i.source == "resample" for i in interventions):
        total += costs.forward(lengths, answer_only=True) - costs.answers * len(lengths)
    plan = Plan(model, batch, interventions, base)
    cells = plan.cells
    end = lengths - 2 if text else plan.end  # the last token of a text predicts nothing
    for number in np.unique(cells.intervention):
        where = (cells.intervention == number) & (cells.start <= end[cells.row])
        intervention = interventions[number]
        if intervention.kind == "direct" or intervention.keep or len(intervention.components) > 1:
            raise ValueError(f"operations of {intervention} are not counted")
        component = intervention.components[0]
        kind = "path" if intervention.kind == "path" else component.kind
        since = component.layer if kind == "residual" else int(cells.since[where].min(initial=costs.layers))
        one = component.position is not None
        total += costs.cells(kind, one, since, cells.start[where], end[cells.row[where]], text=text)
    return total


def _scores(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """[cell] pairs of a query from start to end with a key no later than it."""
    return (end + 1.0) * (end + 2.0) / 2 - start * (start + 1.0) / 2
