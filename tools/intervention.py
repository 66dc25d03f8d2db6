"""What happens to a metric when activations are replaced: the batched engine.

An intervention replaces the activations of some components during a base run:

    denoising   base="corrupted", source="clean"      what is enough to restore the behaviour
    noising     base="clean", source="corrupted"      what the behaviour cannot do without
    ablation    base="clean", source="resample"       ... against the activation on another prompt (a donor)
                              source="zero"           ... against nothing

`Effects.values` are the metric on the intervened run, per intervention and prompt pair: the effect is the caller's
difference. Nothing is averaged here.

How it is computed. Blocks before an intervention's first layer do exactly what they did in the base run, so the base
run is made once and kept at every block's input; the interventions that start at a layer are stacked along the batch
and run from that block on; only the answer position is unembedded. The blocks are called with what the model itself
called them with, so nothing here knows an architecture. A model that cannot be driven so (checked once per model, on a
small batch) is measured by `intervention_reference.py`, one forward pass each, and `Effects.engine` says it.

Cost: (n_layers - first layer) / n_layers of a forward pass per intervention and prompt; `Effects.forwards` counts it.
Method: Vig et al. 2020; Meng et al. 2022; Chan et al. 2022 (resample ablation); Zhang & Nanda 2024.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
import torch

from lakatos.tools.component import Component
from lakatos.tools.encoding import TokenBatch, encode, pad
from lakatos.tools.errors import UserError
from lakatos.tools.metric import Metric, pair_metric, text_loss
from lakatos.tools.pairs import PromptPairs
from lakatos.tools.suffix import BlockCalls, drives_blocks, ignores_padding

Base = Literal["clean", "corrupted"]
Source = Literal["clean", "corrupted", "resample", "zero"]
Engine = Literal["suffix", "reference"]

_ROWS = 512  # prompts x interventions stacked in one pass, unless the caller says otherwise


@dataclass(frozen=True)
class Intervention:
    """Replace the activations of `components` (one, or several at once) by those of `source`."""

    components: tuple[Component, ...]
    source: Source

    def __init__(self, components: str | Component | Sequence[str | Component], source: Source = "clean") -> None:
        several = [components] if isinstance(components, str | Component) else components
        parsed = tuple(Component.parse(c) if isinstance(c, str) else c for c in several)
        if not parsed:
            raise UserError("An intervention needs at least one component.")
        object.__setattr__(self, "components", parsed)
        object.__setattr__(self, "source", source)

    @property
    def first_layer(self) -> int:
        """The earliest layer that is touched."""
        return min(c.layer for c in self.components)


class Effects(NamedTuple):
    """The metric per prompt pair, in the metric's own units (logits, probability, nats)."""

    values: np.ndarray  # [n_interventions, n_pairs] on the intervened runs
    clean: np.ndarray  # [n_pairs] on the clean run
    corrupted: np.ndarray  # [n_pairs] on the corrupted run
    engine: Engine
    forwards: float  # spent, in forward passes of one prompt


class Runs:
    """Everything about some prompt pairs that interventions share: tokens, base runs, donors. Reuse it between calls.

    Args:
        model: a TransformerBridge.
        pairs: what is run.
        donors: as many prompts of the same shapes, whose clean runs are the source of resample ablation.
    """

    def __init__(self, model: Any, pairs: PromptPairs, donors: PromptPairs | None = None) -> None:
        self.model = model
        self.pairs = pairs
        tokenizer = model.tokenizer
        donor_rows = None if donors is None else _rows(encode(donors, tokenizer))
        if donors is not None and len(donors) != len(pairs):
            raise UserError(f"{len(pairs)} pairs need as many donor prompts, not {len(donors)}.")
        batches = encode(pairs, tokenizer)
        if len(batches) > 1 and ignores_padding(model):
            batches = [pad(batches)]
        self.batches = [BatchRuns(model, b, pairs.kind == "text", _donors_of(b, donor_rows)) for b in batches]

    def take_forwards(self) -> float:
        """Forward passes spent on base, source and donor runs since the last call."""
        spent = sum(batch.forwards for batch in self.batches)
        for batch in self.batches:
            batch.forwards = 0.0
        return spent


@dataclass
class BatchRuns:
    """The runs of pairs that go through the model together, made when first asked for."""

    model: Any
    batch: TokenBatch
    is_text: bool
    donors: tuple[np.ndarray, dict[str, np.ndarray]] | None
    forwards: float = 0.0
    _calls: dict[str, BlockCalls] = field(default_factory=dict)
    _metrics: dict[tuple[str, Metric], np.ndarray] = field(default_factory=dict)

    def tokens(self, which: str) -> torch.Tensor:
        """[n, pos] token ids of the clean, corrupted or donor prompts."""
        if which != "resample":
            ids = self.batch.clean if which == "clean" else self.batch.corrupted
        elif self.donors is not None:
            ids = self.donors[0]
        else:
            raise UserError("Resample ablation needs donor prompts: pass donors= (see draw_donors).")
        return torch.from_numpy(ids).to(self.model.cfg.device)

    def calls(self, which: str, layers: int | None = None) -> BlockCalls:
        """The run of these prompts, kept at each block's input; only the first `layers` blocks where that is enough."""
        which = "clean" if self.is_text and which == "corrupted" else which
        wanted = self.model.cfg.n_layers if layers is None else layers
        known = self._calls.get(which)
        if known is None or known.layers < wanted:
            known = BlockCalls.record(self.model, self.tokens(which), wanted)
            self.forwards += len(self.batch.index) * wanted / self.model.cfg.n_layers
            self._calls[which] = known
        return known

    def logits(self, which: str) -> torch.Tensor:
        """[n, vocab] at the answer position; [n, pos, vocab] for plain text."""
        at = None if self.is_text else self.positions("END")
        if drives_blocks(self.model):
            return self.calls(which).logits(at)
        self.forwards += len(self.batch.index)
        logits: torch.Tensor = self.model(self.tokens(which), return_type="logits")
        return logits if at is None else logits[torch.arange(len(at)), at]

    def measure(self, metric: Metric, logits: torch.Tensor, base: str) -> torch.Tensor:
        """One number per row; rows may be several stacked copies of the batch."""
        copies = logits.shape[0] // len(self.batch.index)
        if self.is_text:
            lengths = torch.from_numpy(self.batch.lengths).to(logits.device)
            return text_loss(logits, self.tokens("clean").repeat(copies, 1), lengths.repeat(copies))
        answer, wrong = (torch.from_numpy(a).to(logits.device) for a in (self.batch.answer, self.batch.wrong))
        base_logits = self.logits(base).repeat(copies, 1) if metric == "kl" else None
        return pair_metric(metric, logits, answer.repeat(copies), wrong.repeat(copies), base_logits)

    def base_metric(self, which: str, metric: Metric) -> np.ndarray:
        """[n] on the clean or the corrupted run itself."""
        key = (which, metric)
        if key not in self._metrics:
            self._metrics[key] = _numpy(self.measure(metric, self.logits(which), which))
        return self._metrics[key]

    def positions(self, position: str | int | None, which: str = "clean") -> torch.Tensor | None:
        """[n] token indices of a position in the clean/corrupted or the donor prompts; None: all positions."""
        if position is None:
            return None
        if isinstance(position, int):
            return torch.full((len(self.batch.index),), position)
        named = self.batch.positions if which != "resample" or self.donors is None else self.donors[1]
        return torch.from_numpy(named[position])

    def replacement(self, component: Component, source: Source) -> torch.Tensor:
        """The activation that replaces the component: [n, pos, ...] or [n, ...] at its position."""
        run = "clean" if source == "zero" else source
        value = _pick(self.activation(component, run), component, self.positions(component.position, run))
        return torch.zeros_like(value) if source == "zero" else value

    def activation(self, component: Component, which: str) -> torch.Tensor:
        """The whole activation at the component's hook, by re-running its block from the kept input."""
        calls = self.calls(which, None if which in ("clean", "corrupted") else component.layer + 1)
        self.forwards += len(self.batch.index) / self.model.cfg.n_layers
        return calls.activation(component.layer, component.hook_name)


def run_interventions(
    model: Any,
    pairs: PromptPairs | Runs,
    interventions: Sequence[Intervention],
    *,
    base: Base = "corrupted",
    metric: Metric = "logit_diff",
    donors: PromptPairs | None = None,
    max_rows: int = _ROWS,
) -> Effects:
    """Measure every intervention on every prompt pair.

    Args:
        model: a TransformerBridge, or a `LoadedModel`.
        pairs: prompt pairs, or `Runs` of them to reuse the base runs between calls.
        interventions: any mixture of layers, kinds, positions and sources.
        base: the run that is intervened on.
        metric: see `lakatos.tools.metric`; plain text is always measured by `loss`.
        donors: prompts for `source="resample"`, aligned with `pairs`.
        max_rows: how many prompts (times interventions) run at once: a memory limit.

    Returns:
        Effects with values [n_interventions, n_pairs].

    Raises:
        UserError: a component or position that is not there, pairs of unequal length, missing donors.
        FloatingPointError: the model produced NaN or infinity; names the intervention and the prompt.
    """
    from lakatos.tools.intervention_reference import measure_by_forward

    bridge = getattr(model, "bridge", model)
    runs = pairs if isinstance(pairs, Runs) else Runs(bridge, pairs, donors)
    check_interventions(bridge, runs, interventions)
    engine: Engine = "suffix" if drives_blocks(bridge) else "reference"
    measure = _measure_by_suffix if engine == "suffix" else measure_by_forward
    used: Metric = "loss" if runs.pairs.kind == "text" else metric

    values = np.full((len(interventions), len(runs.pairs)), np.nan)
    clean, corrupted = np.full((2, len(runs.pairs)), np.nan)
    forwards = 0.0
    with torch.no_grad():
        for batch in runs.batches:
            where = batch.batch.index
            clean[where] = batch.base_metric("clean", used)
            corrupted[where] = clean[where] if batch.is_text else batch.base_metric("corrupted", used)
            part, spent = measure(bridge, batch, interventions, base, used, max_rows)
            values[:, where] = part
            forwards += spent
    _check_finite(values, clean, corrupted, interventions, runs.pairs)
    return Effects(values, clean, corrupted, engine, forwards + runs.take_forwards())


def check_interventions(model: Any, runs: Runs, interventions: Iterable[Intervention]) -> None:
    """Refuse what the model or the prompts do not have, naming it.

    Raises:
        UserError
    """
    for batch in runs.batches:
        length = int(batch.batch.lengths.min())
        names = set(batch.batch.positions)
        for component in {c for i in interventions for c in i.components}:
            component.check(model.cfg, names)
            if component.hook_name not in model.hook_dict:
                raise UserError(f"{component}: this model has no hook {component.hook_name}, so it cannot be patched.")
            if isinstance(component.position, int) and component.position >= length:
                raise UserError(f"{component}: the shortest prompt has {length} tokens, counted from 0.")


def _measure_by_suffix(
    model: Any,
    batch: BatchRuns,
    interventions: Sequence[Intervention],
    base: Base,
    metric: Metric,
    max_rows: int,
) -> tuple[np.ndarray, float]:
    n = len(batch.batch.index)
    n_layers = model.cfg.n_layers
    values = np.empty((len(interventions), n))
    forwards = 0.0
    by_layer: dict[int, list[int]] = defaultdict(list)
    for number, intervention in enumerate(interventions):
        by_layer[intervention.first_layer].append(number)
    for layer, numbers in sorted(by_layer.items()):
        step = max(1, max_rows // n)
        for chunk in (numbers[i : i + step] for i in range(0, len(numbers), step)):
            hooks = _writes(batch, [interventions[i] for i in chunk])
            logits = batch.calls(base).resume(
                layer, copies=len(chunk), hooks=hooks, at=None if batch.is_text else batch.positions("END")
            )
            values[chunk] = _numpy(batch.measure(metric, logits, base)).reshape(len(chunk), n)
            forwards += n * len(chunk) * (n_layers - layer) / n_layers
    return values, forwards


def _writes(batch: BatchRuns, interventions: Sequence[Intervention]) -> dict[str, list[Callable[..., torch.Tensor]]]:
    """One hook per component of a stack of interventions: copy k of the batch carries intervention k."""
    n = len(batch.batch.index)
    hooks: dict[str, list[Callable[..., torch.Tensor]]] = defaultdict(list)
    for copy, intervention in enumerate(interventions):
        for component in intervention.components:
            value = batch.replacement(component, intervention.source)
            rows = slice(copy * n, (copy + 1) * n)
            hooks[component.hook_name].append(write_hook(component, value, batch.positions(component.position), rows))
    return hooks


def write_hook(
    component: Component, value: torch.Tensor, index: torch.Tensor | None, rows: slice
) -> Callable[..., torch.Tensor]:
    """A TransformerLens hook that writes `value` into the component's slice of some rows."""

    def hook(activation: torch.Tensor, hook: Any = None) -> torch.Tensor:  # noqa: ARG001 - TransformerLens names it
        changed = activation.clone()
        part = changed[rows]
        at = slice(None) if index is None else index.to(part.device)
        row = slice(None) if index is None else torch.arange(part.shape[0], device=part.device)
        if component.index is None:
            part[row, at] = value
        else:
            part[row, at, component.index] = value
        return changed

    return hook


def _pick(activation: torch.Tensor, component: Component, index: torch.Tensor | None) -> torch.Tensor:
    if index is not None:
        activation = activation[torch.arange(activation.shape[0]), index.to(activation.device)]
        return activation if component.index is None else activation[:, component.index]
    return activation if component.index is None else activation[:, :, component.index]


Row = tuple[np.ndarray, dict[str, int]]


def _rows(batches: Iterable[TokenBatch]) -> dict[int, Row]:
    """Each prompt's clean tokens and named positions, by its place among the pairs."""
    return {
        int(place): (batch.clean[k], {name: int(at[k]) for name, at in batch.positions.items()})
        for batch in batches
        for k, place in enumerate(batch.index)
    }


def _donors_of(batch: TokenBatch, rows: dict[int, Row] | None) -> tuple[np.ndarray, dict[str, np.ndarray]] | None:
    if rows is None:
        return None
    chosen = [rows[int(place)] for place in batch.index]
    if any(len(tokens) != length for (tokens, _), length in zip(chosen, batch.lengths, strict=True)):
        raise UserError("A donor prompt must have as many tokens as the prompt it replaces (see draw_donors).")
    positions = {name: np.array([at[name] for _, at in chosen]) for name in batch.positions}
    width = batch.clean.shape[1]
    return np.stack([np.pad(tokens, (0, width - len(tokens)), mode="edge") for tokens, _ in chosen]), positions


def _check_finite(
    values: np.ndarray,
    clean: np.ndarray,
    corrupted: np.ndarray,
    interventions: Sequence[Intervention],
    pairs: PromptPairs,
) -> None:
    for label, numbers in (("clean", clean), ("corrupted", corrupted)):
        bad = np.flatnonzero(~np.isfinite(numbers))
        if bad.size:
            raise FloatingPointError(f"The {label} run of {pairs[int(bad[0])].clean!r} gave {numbers[bad[0]]}.")
    for row, column in np.argwhere(~np.isfinite(values)):
        names = " + ".join(str(c) for c in interventions[row].components)
        raise FloatingPointError(f"Intervening on {names} in {pairs[int(column)].clean!r} gave {values[row, column]}.")


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().double().cpu().numpy()


__all__ = ["Effects", "Intervention", "Runs", "check_interventions", "run_interventions", "write_hook"]
