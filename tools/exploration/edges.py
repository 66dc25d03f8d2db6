"""Edge attribution patching: how much of what one component writes works through what another one reads.

    score(u -> v) = sum over tokens of (u_clean - u_corrupted) . d metric / d (v's own input), on the corrupted run

estimates to first order what happens to the metric of the corrupted run when v alone reads u's clean output (Syed et
al. 2023); with `ig_steps` > 1 the gradient is averaged as in EAP-IG. Units, sign, metrics and steps are those of
`gradients.py`. Whatever u does, it does through its edges: the scores of the edges out of u add up to u's own score.

Senders are what is added to the residual stream; receivers are what reads it, each its own copy of it:

    sender      r0         the residual stream before block 0: the embedding of the prompt
                a2.h1      what attention head 1 of layer 2 writes, its z times its rows of W_O
                m2         what the MLP of layer 2 writes
    receiver    a2.h1.q    the query of head 1 in layer 2
                a2.g0.k    the key (a2.g0.v: the value) of key-value group 0: of head 0, where heads share none
                m2         the input of the MLP of layer 2
                logits     the last residual stream, as the last norm and the unembedding read it

How it is computed. One backward pass gives the gradients at the queries, keys and values; each head's is then pulled
back by itself through the projection and the norm in front of it, along the graph of that same run, so that nothing
here knows an architecture. Then edges are inner products.

The sum stated above is checked on every chunk of pairs. It fails, and the model is refused, where a block normalises or
scales what its attention writes (Gemma 2 and 3, Granite), or reads the residual stream in further ways.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
from numpy.typing import NDArray

from lakatos.tools.behaviour import PromptPairs
from lakatos.tools.component import groups_of
from lakatos.tools.errors import UserError
from lakatos.tools.exploration.batching import MAX_TOKENS, Floats, Progress, check_finite, chunks, reported, to_numpy
from lakatos.tools.exploration.gradients import PairGradients, Step, by_unit
from lakatos.tools.exploration.hooks import EMBEDDING
from lakatos.tools.metric import Metric
from lakatos.tools.model import Bridge

_TOLERANCE = 1e-3  # of the largest sum of absolute edge scores out of a sender, in float32
_COARSE_TOLERANCE = 0.05  # in bfloat16 and float16


@dataclass(frozen=True)
class EdgeScores:
    """Attribution of every edge, per prompt pair, summed over tokens; in metric units. In the order of the pairs."""

    scores: Floats  # [n_pairs, sender, receiver]; 0 where the receiver is not downstream of the sender
    senders: tuple[str, ...]
    receivers: tuple[str, ...]
    downstream: NDArray[np.bool_]  # [sender, receiver] which edges there are
    clean: Floats  # [n_pairs] the metric of the clean run
    corrupted: Floats  # [n_pairs] the metric of the corrupted run


def edge_attribution(
    model: Bridge,
    pairs: PromptPairs,
    *,
    metric: Metric = "logit_diff",
    ig_steps: int = 1,
    max_tokens: int = MAX_TOKENS,
    progress: Progress = lambda _done, _of: None,
) -> EdgeScores:
    """Score every edge from what is written to the residual stream to what reads it (see the module's head).

    Args:
        model, pairs, metric, ig_steps, progress: as for `gradients.node_attribution`.
        max_tokens: how many tokens go through the model at once. The memory for what all senders write is
            4 bytes x max_tokens x senders x d_model: 350 MB for SmolLM2-135M at the default.

    Raises:
        UserError: as for `gradients.node_attribution`; or the edges out of a sender do not add up to its own score.
        FloatingPointError: the model produced NaN or infinity; names the prompt.
    """
    graph = _Graph(model)
    batches = chunks(model, pairs, metric, ig_steps, max_tokens)
    n = len(pairs)
    scores = np.zeros((n, len(graph.senders), len(graph.receivers)), np.float32)
    clean, corrupted = np.zeros((2, n), np.float32)
    for batch in reported(batches, progress):
        run = PairGradients(model, batch, metric, graph.hooks)
        written = graph.written(run)
        own = np.zeros((len(batch.index), len(graph.senders)), np.float32)
        for step in run.steps(ig_steps, keep_graph=True):
            scores[batch.index] += to_numpy(graph.scores(written, step)) / ig_steps
            own += to_numpy(graph.own_scores(run, step)) / ig_steps
        clean[batch.index], corrupted[batch.index] = run.clean, run.corrupted
        check_finite(pairs, batch.index, run.clean, run.corrupted, scores[batch.index], own)
        graph.check_sums(scores[batch.index], own)
    return EdgeScores(scores, graph.senders, graph.receivers, graph.downstream, clean, corrupted)


@dataclass(frozen=True)
class _Reader:
    """Receivers whose inputs meet in one norm and whose outputs are one activation."""

    names: tuple[str, ...]
    source: str  # the hook point where their own copies of the residual stream begin
    output: str  # the hook point of what they make of it, [n, pos, (receiver,) ...]
    senders: int  # how many of the senders, from the first, are upstream


class _Graph:
    """The senders and receivers of a model, in the order in which it runs."""

    def __init__(self, model: Bridge) -> None:
        cfg = model.cfg
        self.model = model
        self.layers, self.heads = int(cfg.n_layers), int(cfg.n_heads)
        self.groups = groups_of(cfg)
        self.readers = list(self._readers(parallel=bool(getattr(cfg, "parallel_attn_mlp", False))))
        self.senders = ("r0", *(name for layer in range(self.layers) for name in self._writers(layer)))
        self.receivers = tuple(name for reader in self.readers for name in reader.names)
        self.downstream = np.arange(len(self.senders))[:, None] < np.concatenate(
            [np.full(len(reader.names), reader.senders) for reader in self.readers]
        )

    @property
    def hooks(self) -> list[str]:
        """All hook points of the receivers."""
        return list(dict.fromkeys(name for reader in self.readers for name in (reader.source, reader.output)))

    def written(self, run: PairGradients) -> torch.Tensor:
        """What each sender writes in the clean run less what it writes in the corrupted, [n, sender, pos, d_model]."""
        parts = [run.differences[EMBEDDING].unsqueeze(1)]
        for layer, (heads, mlp) in enumerate(zip(run.hooks.heads, run.hooks.mlps, strict=True)):
            z = by_unit(self.model, heads, run.differences[heads], self.heads)
            weight = self.model.blocks[layer].attn.W_O.detach().float()  # [head, d_head, d_model]
            parts += [torch.einsum("nphe,hed->nhpd", z, weight), run.differences[mlp].unsqueeze(1)]
        return torch.cat(parts, 1)

    def scores(self, written: torch.Tensor, step: Step) -> torch.Tensor:
        """[n, sender, receiver] for one differentiated run."""
        flat = written.flatten(2)
        columns = []
        for senders, readers in groupby(self.readers, key=lambda reader: reader.senders):
            inputs = torch.cat([self._input_gradients(reader, step) for reader in readers]).float()
            found = flat[:, :senders] @ inputs.transpose(0, 1).flatten(2).mT
            columns.append(torch.nn.functional.pad(found, (0, 0, 0, flat.shape[1] - senders)))
        return torch.cat(columns, 2)

    def own_scores(self, run: PairGradients, step: Step) -> torch.Tensor:
        """[n, sender] the senders' scores as nodes, summed over tokens."""
        heads = run.scores(step, run.hooks.heads, self.heads).sum(2)  # [n, layer, head]
        mlps = run.scores(step, run.hooks.mlps).sum(2)
        embedding = run.scores(step, [EMBEDDING]).sum(2)
        return torch.cat([embedding[:, 0], torch.cat([heads, mlps], 2).flatten(1)], 1)

    def check_sums(self, scores: Floats, own: Floats) -> None:
        """Refuse a model in which the edges [n, sender, receiver] out of a sender do not make up its own score.

        Raises:
            UserError
        """
        apart = np.abs(scores.sum(2) - own).max(0)
        half = next(self.model.parameters()).dtype in (torch.bfloat16, torch.float16)
        allowed = (_COARSE_TOLERANCE if half else _TOLERANCE) * np.abs(scores).sum(2).max()
        if apart.max() > allowed:
            worst = int(apart.argmax())
            raise UserError(
                f"The edges of {self.model.cfg.model_name} cannot be scored: those out of {self.senders[worst]} do not "
                f"add up to its own score (they are {apart[worst]:.3g} apart). Its blocks normalise or scale what they "
                "add to the residual stream, or read it otherwise than through queries, keys, values and the MLP. "
                "Score nodes instead (node_attribution)."
            )

    def _input_gradients(self, reader: _Reader, step: Step) -> torch.Tensor:
        """The gradient at each receiver's own copy of the residual stream, [receiver, n, pos, d_model]."""
        units = len(reader.names)
        with torch.enable_grad():
            arrived = by_unit(self.model, reader.output, step.arrived[reader.output], units)
        gradient = by_unit(self.model, reader.output, step.gradients[reader.output], units)
        alone = gradient.new_zeros(units, *gradient.shape)
        for unit in range(units):
            alone[unit, :, :, unit] = gradient[:, :, unit]
        found: torch.Tensor = torch.autograd.grad(
            arrived, step.read[reader.source], alone, retain_graph=True, is_grads_batched=True
        )[0]
        return found

    def _writers(self, layer: int) -> list[str]:
        return [*(f"a{layer}.h{head}" for head in range(self.heads)), f"m{layer}"]

    def _readers(self, *, parallel: bool) -> Iterator[_Reader]:
        for layer in range(self.layers):
            block, before = f"blocks.{layer}", 1 + layer * (self.heads + 1)
            attention_norm, mlp_norm = f"{block}.ln1.hook_in", f"{block}.ln2.hook_in"
            for part, unit, units in (("q", "h", self.heads), ("k", "g", self.groups), ("v", "g", self.groups)):
                names = tuple(f"a{layer}.{unit}{index}.{part}" for index in range(units))
                yield _Reader(names, attention_norm, f"{block}.attn.hook_{part}", before)
            yield _Reader(
                (f"m{layer}",),
                mlp_norm if mlp_norm in self.model.hook_dict else attention_norm,
                f"{block}.mlp.hook_in",
                before if parallel else before + self.heads,
            )
        final = f"blocks.{self.layers - 1}.hook_resid_post"
        yield _Reader(("logits",), final, final, 1 + self.layers * (self.heads + 1))
