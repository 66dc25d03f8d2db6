"""The slow reference: whole forward passes for each intervention, through TransformerLens's public hooks.

It shares with the engine only what is being asked (tokens and named positions) and how a metric is read off the logits:
replacement values are taken from cached runs of the whole model, every prompt and position is written on its own, and
nothing is skipped. So the engine can be tested against it. It also measures models that the engine cannot drive.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from lakatos.tools.component import Component
from lakatos.tools.errors import UserError
from lakatos.tools.metric import Metric
from lakatos.tools.model import Bridge

if TYPE_CHECKING:
    from lakatos.tools.behaviour import TokenBatch
    from lakatos.tools.intervention.batch_runs import BatchRuns
    from lakatos.tools.intervention.intervention import Base, Intervention

Cache = dict[str, torch.Tensor]
Hook = tuple[str, Callable[..., Any]]

_PLACES = (
    "hook_z", "hook_q", "hook_k", "hook_v", "hook_pattern", "hook_attn_out", "hook_mlp_out", "mlp.hook_post",
    "hook_resid_pre", "hook_resid_post", "hook_embed",
)  # fmt: skip


@torch.no_grad()
def measure_by_forward(
    model: Bridge,
    batch: BatchRuns,
    interventions: Sequence[Intervention],
    base: Base,
    metrics: Sequence[Metric],
    *,
    own_means: bool = True,
) -> np.ndarray:
    """Per metric, intervention and prompt, the metric on the intervened run: [n_metrics, n_interventions, n].

    Args:
        own_means: average the dataset anew, one prompt at a time, for `source="mean"`; otherwise take `batch.means`.
    """
    reference = _Reference(model, batch, base, own_means, _read(interventions, int(model.cfg.n_layers)))
    values = np.empty((len(metrics), len(interventions), len(batch)))
    rows = torch.arange(len(batch), device=model.cfg.device)
    for number, intervention in enumerate(interventions):
        logits = reference.logits(intervention)
        if not batch.is_text:
            logits = torch.stack([row[end] for row, end in zip(logits, batch.batch.positions["END"], strict=True)])
        for k, found in enumerate(batch.read(metrics, logits, rows, base)):
            values[k, number] = found.cpu().double().numpy()
    batch.forwards += reference.passes
    return values


def _read(interventions: Sequence[Intervention], n_layers: int) -> Collection[str] | None:
    """The hook points that are read in source runs; None: those of every component."""
    if any(i.keep or i.receivers for i in interventions):
        return None
    return {c.hook_name(n_layers) for i in interventions for c in i.components}


class _Reference:
    def __init__(
        self, model: Bridge, batch: BatchRuns, base: Base, own_means: bool, read: Collection[str] | None
    ) -> None:
        self.model = model
        self.read = read
        self.batch = batch
        self.base = base
        self.own_means = own_means
        self.n_layers = int(model.cfg.n_layers)
        self.passes = 0.0
        self._caches: dict[str, Cache] = {}
        self._means: dict[tuple[Component, int], torch.Tensor] = {}
        self._dataset: list[TokenBatch] = []

    def logits(self, intervention: Intervention) -> torch.Tensor:
        """[n, pos, vocab] of the intervened run."""
        if not intervention.receivers:
            if intervention.keep:
                return self._run(self._others(intervention))
            return self._run([self._write(c, intervention.source) for c in intervention.components])
        seen: Cache = {}
        final = self._run(self._frozen(intervention, seen))
        if intervention.receivers == ("logits",):
            return final
        return self._run([self._put(r, seen) for r in intervention.receivers])

    def _run(self, hooks: list[Hook]) -> torch.Tensor:
        self.passes += len(self.batch)
        logits: torch.Tensor = self.model.run_with_hooks(self.batch.tokens(self.base), fwd_hooks=hooks)
        return logits

    def _cache(self, which: str) -> Cache:
        if which not in self._caches:
            self._caches[which] = self._activations(self.batch.tokens(which))
        return self._caches[which]

    def _activations(self, tokens: torch.Tensor) -> Cache:
        """Those of components, in a run of [n, pos] tokens."""
        self.passes += len(tokens)
        wanted = list(self.read) if self.read is not None else lambda name: name.endswith(_PLACES)
        cache: Cache = self.model.run_with_cache(tokens, names_filter=wanted)[1]
        return cache

    def _value(self, component: Component, source: str, row: int, position: int | slice) -> torch.Tensor | float:
        """What replaces the component in one prompt at one position, or at all."""
        name = component.hook_name(self.n_layers)
        if source == "zero":
            return 0.0
        if source == "mean":
            if isinstance(position, int):
                return self._mean(component, name, position)
            length = self.batch.batch.clean.shape[1]
            return torch.stack([self._mean(component, name, at) for at in range(length)])
        if isinstance(position, int) and component.position is not None:
            position = int(self.batch.positions(component.position, source)[row])
        return self._pick(component, self._cache(source)[name][row], position)

    def _mean(self, component: Component, name: str, position: int) -> torch.Tensor:
        """The mean over the dataset, one prompt at a time; padding, which nothing reads, is left at zero."""

        if (component, position) not in self._means:
            if self.batch.means is None:
                raise UserError("Mean ablation needs prompts to average over: pass dataset=.")
            if self.own_means:
                found = self._of_dataset(component, name, position)
                nothing = torch.zeros_like(self._pick(component, self._cache("clean")[name][0], 0))
                self._means[component, position] = torch.stack(found).mean(0) if found else nothing
            else:
                self._means[component, position] = self._kept_mean(component, position)
        return self._means[component, position]

    def _kept_mean(self, component: Component, position: int) -> torch.Tensor:
        """The same as the engine has it; padding is left at zero."""
        means = self.batch.means
        assert means is not None
        table = means.table(component)
        named = means.row(component, self.batch.batch)
        place = position if named is None else named
        found = table[place] if named is not None or place < means.length else torch.zeros_like(table[0])
        found = found if component.index is None else found[component.index]
        if component.kind != "pattern":
            return found
        width = self.batch.batch.clean.shape[1]
        return torch.nn.functional.pad(found, (0, width - found.shape[-1]))  # cut where the width is less

    def _of_dataset(self, component: Component, name: str, position: int) -> list[torch.Tensor]:
        from lakatos.tools.behaviour import encode

        assert self.batch.means is not None
        found = []
        self._dataset = self._dataset or encode(self.batch.means.dataset, self.model.tokenizer)
        for batch in self._dataset:
            for k, tokens in enumerate(batch.clean):
                at = int(batch.positions[component.position][k]) if isinstance(component.position, str) else position
                if at < len(tokens):
                    key = f"dataset {tokens.tolist()}"
                    if key not in self._caches:
                        one = torch.from_numpy(tokens[None]).to(self.model.cfg.device)
                        self._caches[key] = self._activations(one)
                    value = self._pick(component, self._caches[key][name][0], at)
                    if component.kind == "pattern":
                        value = torch.nn.functional.pad(value, (0, self.batch.batch.clean.shape[1] - value.shape[-1]))
                    found.append(value)
        return found

    def _pick(self, component: Component, activation: torch.Tensor, position: int | slice) -> torch.Tensor:
        """A slice of one prompt's activation: [pos, ...], or [head, pos, source] for a pattern."""
        if component.kind == "pattern":
            return activation[component.index, position]
        return activation[position] if component.index is None else activation[position, component.index]

    def _write(self, component: Component, source: str) -> Hook:
        places: list[int | slice] = [slice(None)] * len(self.batch)
        if component.position is not None:
            places = [int(at) for at in self.batch.positions(component.position)]
        values = [self._value(component, source, row, place) for row, place in enumerate(places)]

        def hook(activation: torch.Tensor, hook: Any = None) -> torch.Tensor:  # noqa: ARG001 - TransformerLens names it
            activation = activation.clone()
            for row, (place, value) in enumerate(zip(places, values, strict=True)):
                if component.kind == "pattern":
                    activation[row, component.index, place] = value
                elif component.index is None:
                    activation[row, place] = value
                else:
                    activation[row, place, component.index] = value
            return activation

        return component.hook_name(self.n_layers), hook

    def _others(self, intervention: Intervention) -> list[Hook]:
        """Every head and MLP replaced, and what is kept put back as it was."""
        hooks = []
        for layer in range(self.n_layers):
            heads = [Component(layer, "head", head) for head in range(self.model.cfg.n_heads)]
            for place in (*heads, Component(layer, "mlp")):
                own = (layer, place.kind, place.index)
                above = (layer, "attention", None) if place.kind == "head" else own
                kept = [c for c in intervention.components if (c.layer, c.kind, c.index) in (own, above)]
                hooks.append(self._put_back(*self._write(place, intervention.source), kept))
        return hooks

    def _put_back(self, name: str, write: Callable[..., torch.Tensor], kept: Sequence[Component]) -> Hook:
        def hook(activation: torch.Tensor, hook: Any = None) -> torch.Tensor:  # noqa: ARG001 - TransformerLens names it
            changed = write(activation)
            for component in kept:
                for row in range(len(activation)):
                    where = self._where(component, row)
                    changed[where] = activation[where]
            return changed

        return name, hook

    def _where(self, component: Component, row: int) -> tuple[Any, ...]:
        """The component's slice of an activation, in one prompt."""
        at = slice(None) if component.position is None else int(self.batch.positions(component.position)[row])
        return (row, at) if component.index is None else (row, at, component.index)

    def _frozen(self, intervention: Intervention, seen: Cache) -> list[Hook]:
        """The run in which everything but the senders is the base run's, noting what the receivers become."""
        base = self._cache(self.base)
        senders = intervention.components
        hooks: list[Hook] = []

        def freeze(name: str) -> Hook:
            return name, lambda *_, **__: base[name]

        def note(name: str) -> Hook:
            return name, lambda activation, **_: seen.update({name: activation.clone()})

        for receiver in intervention.receivers:
            if isinstance(receiver, Component):
                hooks.append(note(receiver.hook_name(self.n_layers)))
        for layer in range(self.n_layers):
            inside = [c for c in senders if c.layer == layer and c.kind in ("query", "key", "value", "pattern", "head")]
            if inside:
                order = ("query", "key", "value", "pattern", "head")
                hooks += [freeze(f"blocks.{layer}.attn.{name}") for name in ("hook_q", "hook_k", "hook_v")]
                hooks += [self._write(c, intervention.source) for c in inside if c.kind in order[:3]]
                if all(c.kind == "head" for c in inside):
                    hooks.append(freeze(f"blocks.{layer}.attn.hook_z"))
                hooks += [self._write(c, intervention.source) for c in inside if c.kind in order[3:]]
            else:
                hooks.append(freeze(f"blocks.{layer}.hook_attn_out"))
            hooks += [self._write(c, intervention.source) for c in senders if (c.layer, c.kind) == (layer, "attention")]
            neurons = [c for c in senders if (c.layer, c.kind) == (layer, "neuron")]
            if neurons:
                hooks.append(freeze(f"blocks.{layer}.mlp.hook_post"))
                hooks += [self._write(c, intervention.source) for c in neurons]
            else:
                hooks.append(freeze(f"blocks.{layer}.hook_mlp_out"))
            hooks += [self._write(c, intervention.source) for c in senders if (c.layer, c.kind) == (layer, "mlp")]
            for stream in {c.layer for c in senders if c.kind == "residual" and c.block(self.n_layers) == layer}:
                of_stream = [c for c in senders if (c.layer, c.kind) == (stream, "residual")]
                hooks.append(self._shift(of_stream, intervention.source))
        hooks += [self._write(c, intervention.source) for c in senders if c.kind == "embedding"]
        return hooks

    def _shift(self, components: Sequence[Component], source: str) -> Hook:
        """A residual stream as sender: changed by source minus base, over whatever earlier senders changed."""
        writes = [self._write(component, source) for component in components]
        name = writes[0][0]
        base = changed = self._cache(self.base)[name]
        for _, write in writes:
            changed = write(changed)
        return name, lambda activation, **_: activation + changed - base

    def _put(self, receiver: Any, seen: Cache) -> Hook:
        name = receiver.hook_name(self.n_layers)

        def hook(activation: torch.Tensor, hook: Any = None) -> torch.Tensor:  # noqa: ARG001 - TransformerLens names it
            activation = activation.clone()
            for row in range(len(activation)):
                where = self._where(receiver, row)
                activation[where] = seen[name][where]
            return activation

        return name, hook
