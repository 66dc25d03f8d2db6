"""Where to look: ranked rows from attributions on exploration prompts. Suggestions for claims, never evidence.

    attribution patching   (a_clean - a_corrupted) . d(metric)/d(a) on the corrupted run: a first-order estimate of the
                           denoising effect, in metric units; positive restores the behaviour (`gradients.py`)
    direct logit attribution   what a head or MLP writes at the last token along logit(answer) - logit(wrong);
                           in logits, blind to everything that works through later components (TransformerLens)

Direct logit attribution is TransformerLens's own.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lakatos.tools.behaviour import PromptPairs, encode
from lakatos.tools.component import Component
from lakatos.tools.exploration.batching import MAX_TOKENS, Progress
from lakatos.tools.exploration.nodes import NodeScores, node_attribution
from lakatos.tools.metric import Metric
from lakatos.tools.model import Bridge


@dataclass(frozen=True)
class Attribution:
    """One component's row, averaged over exploration pairs."""

    component: str
    score: float  # metric units; positive: supports the behaviour
    sd: float  # over pairs

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


def attribution_patching(
    model: Bridge,
    pairs: PromptPairs,
    metric: Metric = "logit_diff",
    progress: Progress = lambda _done, _of: None,
    *,
    ig_steps: int = 1,
    max_tokens: int = MAX_TOKENS,
) -> list[Attribution]:
    """Score every head and MLP at every named position and summed over all positions, strongest first.

    Args:
        model: a TransformerBridge.
        pairs: exploration pairs; each costs two forward passes and a backward pass.
        metric: one that is read at the last token.
        progress: is told how many pairs are done, of how many.
        ig_steps, max_tokens: see `gradients.node_attribution`.

    Raises:
        UserError, FloatingPointError: see `gradients.node_attribution`.
    """
    found = node_attribution(model, pairs, metric=metric, ig_steps=ig_steps, max_tokens=max_tokens, progress=progress)
    return _ranked(_by_component(found, [*found.positions, None], len(pairs)))


def node_scores(
    model: Bridge, pairs: PromptPairs, metric: Metric, positions: Sequence[str | int | None]
) -> dict[Component, NDArray[np.float64]]:
    """The attribution of every head, attention and MLP at each of these positions, per pair: component -> [n_pairs].

    Raises:
        UserError, FloatingPointError: see `gradients.node_attribution`.
    """
    return _by_component(node_attribution(model, pairs, metric=metric), positions, len(pairs), attentions=True)


def _by_component(
    found: NodeScores, positions: Iterable[str | int | None], n: int, attentions: bool = False
) -> dict[Component, NDArray[np.float64]]:
    scores: dict[Component, NDArray[np.float64]] = {}
    width = found.mlps.shape[-1]
    for position in dict.fromkeys(positions):
        here = np.ones((n, width), bool)  # [n_pairs, pos]
        if position is not None:
            at = found.positions[position] if isinstance(position, str) else np.full(n, position)
            here = at[:, None] == np.arange(width)
        heads = (found.heads * here[:, None, None]).sum(-1, dtype=float)
        mlps = (found.mlps * here[:, None]).sum(-1, dtype=float)
        for layer, index in np.ndindex(heads.shape[1:]):
            scores[Component(layer, "head", index, position)] = heads[:, layer, index]
        for layer in range(mlps.shape[1]):
            scores[Component(layer, "mlp", None, position)] = mlps[:, layer]
            if attentions:
                scores[Component(layer, "attention", None, position)] = heads[:, layer].sum(-1)
    return scores


def direct_logit_attribution(model: Bridge, pairs: PromptPairs) -> list[Attribution]:
    """What each head and MLP writes directly into logit(answer) - logit(wrong) at the last token, strongest first.

    Works on a copy of the model with its norms folded, which TransformerLens needs; costs its memory again.

    Raises:
        ValueError, NotImplementedError: TransformerLens cannot fold or decompose this model.
    """
    from transformer_lens.tools.analysis.direct_logit_attribution import direct_logit_attribution as attribute

    folded = copy.deepcopy(model)
    folded.enable_compatibility_mode()
    scores: dict[Component, list[float]] = defaultdict(list)
    with torch.no_grad():
        for batch in encode(pairs, model.tokenizer):
            tokens = torch.from_numpy(batch.clean).to(model.cfg.device)
            answer, wrong = (torch.from_numpy(t).to(model.cfg.device) for t in (batch.answer, batch.wrong))
            for unit in ("head", "component"):
                result = attribute(folded, tokens, answer_tokens=answer, incorrect_tokens=wrong, unit=unit)
                for label, values in zip(result.labels, result.attribution, strict=True):
                    component = _from_label(label)
                    if component is not None:
                        scores[component] += values.reshape(-1).double().tolist()
    return _ranked(scores)


def _from_label(label: str) -> Component | None:
    """TransformerLens's labels: L3H7 for heads, 3_mlp_out for MLPs; the rest are sums of these."""
    if label.startswith("L") and "H" in label:
        layer, head = label[1:].split("H")
        return Component(int(layer), "head", int(head))
    return Component(int(label.split("_")[0]), "mlp") if label.endswith("_mlp_out") else None


def _ranked(scores: Mapping[Component, Sequence[float] | NDArray[np.float64]]) -> list[Attribution]:
    return sorted(_rows(scores), key=lambda row: (-abs(row.score), row.component))


def _rows(scores: Mapping[Component, Sequence[float] | NDArray[np.float64]]) -> Iterator[Attribution]:
    for component, values in scores.items():
        yield Attribution(str(component), float(np.mean(values)), float(np.std(values)))
