"""Circuits of edges: the model with any set of its edges cut, each by itself.

Along a cut edge the receiver reads what the sender wrote on the corrupted prompt; along all others, what the sender
writes now, on the clean prompt and with the same edges cut before it. So with no edge cut this is the clean run, with
all edges cut the corrupted run, and with one edge cut the path patch of that edge (noising; Wang et al. 2022). This is
the run that ACDC asks for at each step (Conmy et al. 2023).

How it is computed, per batch and block. Each receiver's input is the corrupted run's residual stream plus the changes
of the senders whose edges to it are kept. The block is run once for every different input, as far as the queries, keys
and values; once more with each head's own among these, as far as what the heads read (z); and once as far as the MLP's
output. What no kept edge leaves is not computed. So nothing here knows an architecture. Blocks before the first
receiver whose edges differ from the last call are not run again.

What it costs: about three runs of each block that is run, more where the inputs of heads differ; `forwards` counts each
of these parts as a whole run of the block.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lakatos.tools.behaviour import PromptPairs
from lakatos.tools.component import Component
from lakatos.tools.errors import UserError
from lakatos.tools.forward import Hooks, unembed
from lakatos.tools.forward.abilities import abilities
from lakatos.tools.intervention.batch_runs import BatchRuns
from lakatos.tools.intervention.edge_graph import Bools, EdgeGraph
from lakatos.tools.intervention.runs import Runs
from lakatos.tools.metric import Metric
from lakatos.tools.model import Bridge

_TOLERANCE = 2e-4  # of the largest logit, or of 1: by how much the circuit of all edges may miss the clean run
_COARSE = 5e-2  # in bfloat16 and float16


class EdgeRuns:
    """Prompt pairs on which circuits of edges are measured, one circuit after the other.

    Args:
        model: a TransformerBridge, or a `LoadedModel`.
        pairs: prompt pairs with answers.

    Raises:
        UserError: the model's blocks cannot be driven, or do more than add to the residual stream (found by running
            the circuit of all edges, which must be the clean run); or plain text.
    """

    def __init__(self, model: Any, pairs: PromptPairs) -> None:
        bridge: Bridge = getattr(model, "bridge", model)
        if pairs.kind == "text":
            raise UserError(f"{pairs.behaviour} is plain text, without a corrupted run: choose one with prompt pairs.")
        self.graph = EdgeGraph.of(bridge)
        self.runs = Runs(bridge, pairs)
        known = abilities(bridge, max(int(run.batch.lengths.max()) for run in self.runs.batches))
        if not (known.blocks and known.adds and known.unembeds):
            why = known.why or "its blocks do more than add to the residual stream"
            raise UserError(f"Edges of {bridge.cfg.model_name} cannot be cut one by one: {why}. Cut nodes instead.")
        self._batches = [_Batch(bridge, self.graph, run) for run in self.runs.batches]
        self._check(bridge)

    def __len__(self) -> int:
        return len(self.runs.pairs)

    @torch.no_grad()
    def measure(self, kept: Bools, metric: Metric = "logit_diff") -> NDArray[np.float64]:
        """The metric [n_pairs] of a circuit; `kl` is KL(clean run || circuit).

        Args:
            kept: [sender, receiver] which edges are kept; others of `graph.downstream` are cut.
            metric: one that is read at the last token.

        Raises:
            UserError: another shape than the graph's, or an edge that is not there.
            FloatingPointError: the model produced NaN or infinity.
        """
        if kept.shape != self.graph.downstream.shape or (kept & ~self.graph.downstream).any():
            raise UserError("kept must be [sender, receiver] of the graph, and keep edges that are downstream.")
        found = np.full(len(self), np.nan)
        for own in self._batches:
            found[own.runs.batch.index] = own.measure(kept, metric)
        if not np.isfinite(found).all():
            bad = self.runs.pairs[int(np.flatnonzero(~np.isfinite(found))[0])]
            raise FloatingPointError(f"A circuit of {int(kept.sum())} edges gave NaN or infinity on {bad.clean!r}.")
        return found

    def _check(self, model: Bridge) -> None:
        whole, apart = self.measure(self.graph.downstream), 0.0
        allowed = _TOLERANCE if model.cfg.dtype in (torch.float32, torch.float64) else _COARSE
        for own in self._batches:
            clean = own.runs.base_metric("clean", "logit_diff", "clean")
            largest = max(1.0, own.runs.largest_logit("clean"))
            apart = max(apart, float(np.abs(whole[own.runs.batch.index] - clean).max()) / largest)
        if apart > allowed:
            raise UserError(
                f"Edges of {model.cfg.model_name} cannot be cut one by one: with none cut, logits are {apart:.2g} of "
                "the largest apart from the clean run's. Its blocks normalise or scale what heads write. Cut nodes "
                "instead."
            )

    def take_forwards(self) -> float:
        """Forward passes of one prompt spent since the last call, parts of blocks counted as whole ones."""
        return self.runs.take_forwards()


@dataclass
class _Batch:
    """One batch: the runs it starts from, and what senders changed in the last circuit."""

    model: Bridge
    graph: EdgeGraph
    runs: BatchRuns
    _kept: Bools | None = None
    _changes: torch.Tensor | None = None  # [sender, n, pos, d_model] circuit less corrupted

    def measure(self, kept: Bools, metric: Metric) -> NDArray[np.float64]:
        """[n] of the circuit."""
        if self._changes is None:
            self._prepare()
        assert self._changes is not None
        since = 0
        if self._kept is not None:
            differ = (kept != self._kept).any(0)
            since = int(self.graph.layer_of[differ].min()) if differ.any() else self.graph.layers
        for layer in range(since, self.graph.layers):
            self._attend(layer, kept)
            self._transform(layer, kept)
        self._kept = kept.copy()
        base = self.runs.recording("corrupted").hidden[-1]
        final = base + self._sum(kept[:, -1])
        rows = torch.arange(len(final), device=final.device)
        at_end = final[rows, torch.from_numpy(self.runs.batch.positions["END"]).to(final.device)]
        logits = unembed(self.model, at_end.unsqueeze(1)).squeeze(1)
        return self.runs.read([metric], logits, rows, "clean")[0].cpu().double().numpy()

    def _prepare(self) -> None:
        layers = self.graph.layers
        wanted = {self._name(layer, kind): layer for layer in range(layers) for kind in ("head", "attention", "mlp")}
        corrupted = self.runs.recording("corrupted", wanted)
        clean = self.runs.recording("clean")
        change = clean.hidden[0] - corrupted.hidden[0]
        self._changes = change.new_zeros(len(self.graph.senders), *change.shape)
        self._changes[0] = change

    def _sum(self, column: Bools) -> torch.Tensor:
        """[n, pos, d_model] the changes of some senders together."""
        assert self._changes is not None
        return self._changes[torch.from_numpy(np.flatnonzero(column)).to(self._changes.device)].sum(0)

    def _attend(self, layer: int, kept: Bools) -> None:
        """What the heads of a layer change: their inputs, queries, keys and values, then z."""
        graph = self.graph
        first = graph.senders.index(f"a{layer}.h0")
        own = slice(first, first + graph.heads)
        assert self._changes is not None
        self._changes[own] = 0
        sending = kept[own].any(1)
        if not sending.any():
            return
        start = graph.receivers.index(f"a{layer}.h0.q")
        columns = kept[:, start : start + graph.heads + 2 * graph.groups]
        inputs, which = np.unique(columns, axis=1, return_inverse=True)
        which = which.reshape(-1)
        recording = self.runs.recording("corrupted")
        streams = torch.cat([recording.hidden[layer] + self._sum(column) for column in inputs.T])
        seen = self._run(layer, streams, {}, ("query", "key", "value"), copies=inputs.shape[1])
        hooks: dict[str, list[Callable[..., Any]]] = {}
        for kind, units, begin in (
            ("query", graph.heads, 0),
            ("key", graph.groups, graph.heads),
            ("value", graph.groups, graph.heads + graph.groups),
        ):
            mixed = _own(seen[kind], units, which[begin : begin + units], len(self.runs))
            hooks[self._name(layer, kind)] = [_put(mixed)]
        z = self._run(layer, recording.hidden[layer], hooks, ("head",))["head"]
        before = recording.activations[self._name(layer, "head")]
        change = (z - before).reshape(*z.shape[:2], graph.heads, -1)
        written = torch.einsum("nphe,hed->hnpd", change, self.model.blocks[layer].attn.W_O.detach().to(change.dtype))
        written[torch.from_numpy(~sending)] = 0
        self._changes[own] = written

    def _transform(self, layer: int, kept: Bools) -> None:
        """What the MLP of a layer changes."""
        graph = self.graph
        sender, column = graph.senders.index(f"m{layer}"), kept[:, graph.receivers.index(f"m{layer}")]
        assert self._changes is not None
        self._changes[sender] = 0
        if not kept[sender].any():
            return
        recording = self.runs.recording("corrupted")
        heads = np.zeros_like(column)
        heads[sender - graph.heads : sender] = True
        attention = recording.activations[self._name(layer, "attention")] + self._sum(column & heads)
        stream = recording.hidden[layer] + self._sum(column & ~heads)
        out = self._run(layer, stream, {self._name(layer, "attention"): [_put(attention)]}, ("mlp",))["mlp"]
        self._changes[sender] = out - recording.activations[self._name(layer, "mlp")]

    def _run(
        self, layer: int, streams: torch.Tensor, hooks: Mapping[str, Any], wanted: tuple[Any, ...], copies: int = 1
    ) -> dict[str, torch.Tensor]:
        """Some activations of a block that reads `streams` [copies x n, pos, d_model], by their kinds."""
        recording, seen = self.runs.recording("corrupted"), dict[str, torch.Tensor]()
        window = recording.whole()
        window = window._replace(rows=window.rows.repeat(copies), start=window.start.repeat(copies))

        def keep(kind: str) -> Callable[..., None]:
            def note(activation: torch.Tensor, hook: Any = None) -> None:  # noqa: ARG001 - TransformerLens names it
                seen[kind] = activation
                if len(seen) == len(wanted):
                    raise _Seen

            return note

        every: Hooks = {**hooks, **{self._name(layer, kind): [keep(kind)] for kind in wanted}}
        try:
            recording.block(layer, window, streams, every)
        except _Seen:
            return seen
        lost = ", ".join(self._name(layer, kind) for kind in wanted if kind not in seen)
        raise UserError(f"{self.model.cfg.model_name} never reaches {lost}, so its edges cannot be cut one by one.")

    def _name(self, layer: int, kind: Any) -> str:
        index = 0 if kind in ("head", "query", "key", "value") else None
        return Component(layer, kind, index).hook_name(self.graph.layers)


class _Seen(Exception):
    """Ends a block once what is wanted of it is there."""


def _put(value: torch.Tensor) -> Callable[..., torch.Tensor]:
    return lambda *_, **__: value


def _own(activation: torch.Tensor, units: int, which: NDArray[np.int64], n: int) -> torch.Tensor:
    """[n, pos, ...] each unit (head or group) from the copy of the batch that read its own input.

    Args:
        activation: [copies x n, pos, ...].
        which: [unit] the copy.
    """
    by_unit = activation.reshape(-1, n, activation.shape[1], units, activation[0, 0].numel() // units)
    found = torch.stack([by_unit[copy, :, :, unit] for unit, copy in enumerate(which)], 2)
    return found.reshape(n, *activation.shape[1:])
