"""Gradients of a metric at the activations of a model, many prompt pairs at once: attribution patching of nodes.

    score(a) = (a_clean - a_corrupted) . d metric / d a, the gradient taken on the corrupted run

is a first-order estimate of what replacing `a` by its clean value does to the metric of the corrupted run (denoising),
in the metric's units; positive restores the behaviour (Nanda 2023, "Attribution patching"; Syed et al. 2023). Metric
`kl` is here KL(clean run || this run), which is zero where the behaviour is restored: there, negative restores.

Each prompt's metric depends on its own row alone, so the gradient of the summed metric holds every prompt's own
gradient, and pairs go through the model together. Nothing is averaged over prompts. Where a pair's tokens do not differ
yet, neither do its activations, so that scores are zero there: after one forward pass of the corrupted prompts, only
the positions from the first difference on are run for the clean activations, and run and differentiated for the
gradients (where the model can be driven so, see `suffix.py`; else whole prompts are).

`ig_steps` = m > 1 is EAP-IG (Hanna, Pezzelle & Belinkov 2024, "Have Faith in Faithfulness"): the gradient is averaged
over m runs whose embeddings lie between the corrupted and the clean prompt's,

    e_corrupted + k/m (e_clean - e_corrupted)    for k = 0 .. m-1

which are the points of the authors' code (it counts k = 1 .. m from the clean end): the corrupted end is among them,
the clean end is not. So m = 1 is plain attribution patching, and as m grows the scores of the embedding (residual 0) of
a pair add up to metric(clean) - metric(corrupted), with an error of order 1/m. Cost: 1 + m forward, m backward passes
of those positions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from lakatos.tools.behaviour import TokenBatch
from lakatos.tools.errors import UserError
from lakatos.tools.exploration.batching import spans, to_numpy
from lakatos.tools.exploration.hooks import EMBEDDING, NodeHooks
from lakatos.tools.forward import Recording, Window, hooked, unembed
from lakatos.tools.forward.abilities import abilities
from lakatos.tools.metric import Metric, pair_metric
from lakatos.tools.model import Bridge


@dataclass
class Step:
    """One differentiated run: activations on both sides of each hook point, and gradients on the far side.

    `arrived` is a function of what is upstream of a hook point, and what is downstream is a function of `read`; they
    are equal.
    """

    arrived: dict[str, torch.Tensor] = field(default_factory=dict)
    read: dict[str, torch.Tensor] = field(default_factory=dict)
    gradients: dict[str, torch.Tensor] = field(default_factory=dict)  # of the summed metric, at `read`
    metric: torch.Tensor = field(init=False)  # [n]


class PairGradients:
    """Some prompt pairs, run: how their activations differ, and the gradients of their metrics.

    Args:
        model: a TransformerBridge.
        batch: pairs that go through the model together.
        metric: one that is read at the last token.
        reads: further hook points at which gradients are wanted.

    Attributes:
        differences: a_clean - a_corrupted in float32, by hook name, at all of `hooks`.
        clean, corrupted: [n] the metric of both runs.

    Raises:
        UserError: the model has no such hook, or passes it by.
    """

    def __init__(self, model: Bridge, batch: TokenBatch, metric: Metric, reads: Sequence[str] = ()) -> None:
        known = abilities(model)
        if not known.unembeds:
            raise UserError(
                f"Attribution reads the logits off the residual stream after the last block; those of "
                f"{model.cfg.model_name} are not what its last norm and unembedding make of that."
            )
        self.model = model
        self.batch = batch
        self.metric: Metric = metric
        self.hooks = NodeHooks(int(model.cfg.n_layers))
        self.nodes = [*self.hooks.heads, *self.hooks.mlps, *self.hooks.residuals]
        self.reads = list(reads)
        self._tokens = torch.from_numpy(batch.corrupted).to(model.cfg.device)
        with torch.no_grad():
            clean_tokens = torch.from_numpy(batch.clean).to(model.cfg.device)
            self._base = Recording.record(model, self._tokens, known.roles) if known.windows else None
            self._window = self._differing() if known.windows else None
            embedded = model(clean_tokens, return_type=None, stop_at_layer=0)
            clean = self._run(self.nodes, embedded if self._window is None else self._window.of(embedded))
            self._clean_logits = self._logits(clean)
            self.clean = to_numpy(self._measure(self._clean_logits))
        self._first = self._run_for_gradients(None)
        self.corrupted = to_numpy(self._first.metric)
        self.differences = {
            name: clean.read[name].float() - self._first.read[name].detach().float() for name in self.nodes
        }
        self._start = self._first.read[EMBEDDING].detach()

    def steps(self, how_many: int, *, keep_graph: bool = False) -> Iterator[Step]:
        """The differentiated runs, from the corrupted prompts `how_many` steps towards the clean ones; once.

        Args:
            how_many: runs; their gradients are to be averaged.
            keep_graph: whether a run can be differentiated again, until the next one is asked for.
        """
        step = self._first
        del self._first
        for number in range(how_many):
            if number:
                step = self._run_for_gradients(self._start.float() + number / how_many * self.differences[EMBEDDING])
            self._differentiate(step, keep_graph)
            yield step
            vars(step).clear()  # and with it the graph, before the next one is made

    def scores(self, step: Step, names: Sequence[str], units: int = 1) -> torch.Tensor:
        """(a_clean - a_corrupted) . gradient at some of `hooks`, as [n, name, width, unit] in float32.

        At the positions that are run (see `placed`).
        """
        found = []
        for name in names:
            change, gradient = (
                by_unit(self.model, name, by_name[name], units) for by_name in (self.differences, step.gradients)
            )
            found.append((change * gradient.float()).sum(-1))
        return torch.stack(found, 1)

    def placed(self, scores: torch.Tensor) -> torch.Tensor:
        """[n, name, pos, unit] of all positions from those that are run, [n, name, width, unit]; zero elsewhere."""
        if self._window is None:
            return scores
        n, names, _, units = scores.shape
        found = scores.new_zeros(n, names, self._tokens.shape[1], units)
        found[self._window.rows[:, None], :, self._window.positions] = scores.transpose(1, 2)
        return found

    def _differing(self) -> Window:
        """The positions from the first difference of any pair's prompts to its END, as wide as the widest."""
        device = self._tokens.device
        span = int(spans(self.batch).max())
        start = np.maximum(0, self.batch.lengths - span)
        rows = torch.arange(len(start), device=device)
        return Window(rows, torch.from_numpy(start).to(device), span)

    def _differentiate(self, step: Step, keep_graph: bool) -> None:
        at = {name: step.read[name] for name in (*self.nodes, *self.reads)}
        known = {name: value for name, value in at.items() if value.requires_grad}
        every = torch.ones_like(step.metric)
        found = torch.autograd.grad(step.metric, [*known.values()], every, retain_graph=keep_graph, allow_unused=True)
        step.gradients = {name: g for name, g in zip(known, found, strict=True) if g is not None}
        if missing := at.keys() - step.gradients:
            raise UserError(_lacks(self.model, min(missing), "does not compute its logits from it"))

    def _run_for_gradients(self, start: torch.Tensor | None) -> Step:
        with torch.enable_grad():
            step = self._run([*self.nodes, *self.reads], start)
            step.metric = self._measure(self._logits(step))
        return step

    def _run(self, names: Sequence[str], start: torch.Tensor | None = None) -> Step:
        """Run all blocks, from the residual stream `start` or the corrupted prompts': where differentiation ends."""
        from transformer_lens.model_bridge.exceptions import StopAtLayerException

        step = Step()

        def probe(name: str) -> Callable[..., torch.Tensor]:
            def pass_on(activation: torch.Tensor, hook: Any = None) -> torch.Tensor:  # noqa: ARG001 - its name there
                step.arrived[name] = activation
                step.read[name] = activation.view_as(activation)
                return step.read[name]

            return pass_on

        def begin(activation: torch.Tensor, hook: Any = None) -> torch.Tensor:  # noqa: ARG001 - its name there
            value = activation if start is None else start.to(activation.dtype)
            step.read[EMBEDDING] = value.detach().requires_grad_(torch.is_grad_enabled())
            return step.read[EMBEDDING]

        def end(activation: torch.Tensor, hook: Any = None) -> None:  # noqa: ARG001 - its name there
            step.arrived[self.hooks.final] = step.read[self.hooks.final] = activation
            raise StopAtLayerException(activation)  # nothing but the last token is unembedded, see _logits

        special: dict[str, list[Callable[..., Any]]] = {EMBEDDING: [begin], self.hooks.final: [end]}
        hooks: dict[str, list[Callable[..., Any]]] = {name: [probe(name)] for name in names} | special
        for name in hooks:
            if name not in self.model.hook_dict:
                raise UserError(_lacks(self.model, name, "has no such hook"))
        try:
            if self._base is not None and self._window is not None:
                with suppress(StopAtLayerException):
                    self._base.resume(self._window, [0] * len(self._tokens), hooks)
            else:
                with hooked(self.model, hooks):
                    self.model(self._tokens, return_type=None)
        finally:
            _cut_off(self.model)
        for name in names:
            if name not in step.read:
                raise UserError(_lacks(self.model, name, "never calls that hook"))
        return step

    def _logits(self, step: Step) -> torch.Tensor:
        final = step.read[self.hooks.final]
        last = torch.from_numpy(self.batch.positions["END"]).to(final.device)
        last = last if self._window is None else last - self._window.start
        at_end = final[torch.arange(len(last), device=final.device), last]
        return unembed(self.model, at_end.unsqueeze(1)).squeeze(1).float()

    def _measure(self, logits: torch.Tensor) -> torch.Tensor:
        answer, wrong = (torch.from_numpy(ids).to(logits.device) for ids in (self.batch.answer, self.batch.wrong))
        return pair_metric(self.metric, logits, answer, wrong, self._clean_logits)


def by_unit(model: Bridge, name: str, activation: torch.Tensor, units: int) -> torch.Tensor:
    """An activation of several heads or groups as [n, pos, unit, width].

    Raises:
        UserError: the hook point has another number of them.
    """
    if (activation.dim() == 4 and activation.shape[2] != units) or activation[0, 0].numel() % units:
        shape = list(activation.shape[2:])
        raise UserError(_lacks(model, name, f"has {shape} at each token there, which are not {units} heads or groups"))
    return activation.reshape(*activation.shape[:2], units, -1)


def _cut_off(model: Bridge) -> None:
    """Detach what TransformerLens keeps of a run on its modules: it holds the graph, and forbids copying the model."""
    for module in model.modules():
        kept = {k: v for k, v in vars(module).items() if isinstance(v, torch.Tensor) and v.grad_fn is not None}
        vars(module).update({k: v.detach() for k, v in kept.items()})


def _lacks(model: Bridge, name: str, what: str) -> str:
    return (
        f"Attribution needs the hook point {name}, and {model.cfg.model_name} {what}. "
        "Measure interventions on the components that the model has instead."
    )
