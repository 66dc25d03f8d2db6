"""The slow reference: one whole forward pass per intervention, through TransformerLens's public hooks.

It shares with the engine only what is being asked (tokens, replacement values are taken from a cached run of the whole
model here, not from a re-run block), so that the engine can be tested against it. It also measures models that the
engine cannot drive.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from lakatos.tools.component import Component
from lakatos.tools.metric import Metric

if TYPE_CHECKING:
    from lakatos.tools.intervention import Base, BatchRuns, Intervention


@torch.no_grad()
def measure_by_forward(
    model: Any,
    batch: BatchRuns,
    interventions: Sequence[Intervention],
    base: Base,
    metric: Metric,
    max_rows: int,  # noqa: ARG001 - the engine's signature
) -> tuple[np.ndarray, float]:
    """Per intervention and prompt, the metric on the intervened run: [n_interventions, n], and the forwards spent."""
    from lakatos.tools.intervention import write_hook

    n = len(batch.batch.index)
    values = np.empty((len(interventions), n))
    names = {c.hook_name for i in interventions for c in i.components}
    sources = {i.source for i in interventions} - {"zero"} | {"clean"}
    caches = {s: model.run_with_cache(batch.tokens(s), names_filter=list(names))[1] for s in sources}
    for number, intervention in enumerate(interventions):
        hooks: dict[str, list[Callable[..., torch.Tensor]]] = defaultdict(list)
        for component in intervention.components:
            value = _replacement(caches, component, intervention.source, batch)
            hooks[component.hook_name].append(
                write_hook(component, value, batch.positions(component.position), slice(None))
            )
        logits = model.run_with_hooks(
            batch.tokens(base), fwd_hooks=[(name, f) for name, several in hooks.items() for f in several]
        )
        if not batch.is_text:
            end = batch.positions("END")
            logits = logits[torch.arange(n), end]
        values[number] = batch.measure(metric, logits, base).double().cpu().numpy()
    return values, float(n * (len(interventions) + len(caches)))


def _replacement(caches: dict[str, Any], component: Component, source: str, batch: BatchRuns) -> torch.Tensor:
    run = source if source in caches else "clean"
    activation = caches[run][component.hook_name]
    at = batch.positions(component.position, run)
    if at is not None:
        activation = torch.stack([row[int(position)] for row, position in zip(activation, at, strict=True)])
    if component.index is not None:
        activation = activation.select(-2 if component.kind == "head" else -1, component.index)
    return torch.zeros_like(activation) if source == "zero" else activation
