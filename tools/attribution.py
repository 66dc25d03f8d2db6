"""Where to look: ranked rows from attributions on exploration prompts. Suggestions for claims, never evidence.

    attribution patching   (a_clean - a_corrupted) . d(metric)/d(a) on the corrupted run: a first-order estimate of the
                           denoising effect, in metric units; positive restores the behaviour (Nanda 2023)
    direct logit attribution   what a head or MLP writes at the last token along logit(answer) - logit(wrong);
                           in logits, blind to everything that works through later components (TransformerLens)
    attention by role      how much of a head's attention from the last token goes to each named position, in [0, 1]

The first two are TransformerLens's own implementations; its attribution takes one pair at a time.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from lakatos.tools.component import Component
from lakatos.tools.encoding import TokenBatch, encode
from lakatos.tools.metric import pair_metric
from lakatos.tools.pairs import PromptPairs

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Attribution:
    """One component's row, averaged over exploration pairs."""

    component: str
    score: float  # metric units; positive: supports the behaviour
    sd: float  # over pairs

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


@dataclass(frozen=True)
class Attention:
    """Where a head looks from the last token, averaged over exploration pairs."""

    component: str
    to: str  # a named position
    mass: float  # share of the head's attention, in [0, 1]

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


def attribution_patching(
    model: Any, pairs: PromptPairs, metric: Any = "logit_diff", progress: Progress = lambda _done, _of: None
) -> list[Attribution]:
    """Score every head and MLP at every named position and summed over all positions, strongest first.

    Args:
        model: a TransformerBridge.
        pairs: exploration pairs; each costs two forward passes and a backward pass.
        metric: a metric of one position.
        progress: is told how many pairs are done, of how many.
    """
    from transformer_lens.tools.analysis.attribution_patching import attribution_patch

    scores: dict[Component, list[float]] = defaultdict(list)
    done = 0
    for batch in encode(pairs, model.tokenizer):
        for row in range(len(batch.index)):
            clean, corrupted = (_row(t, row, model) for t in (batch.clean, batch.corrupted))
            answer, wrong = (torch.from_numpy(t[row : row + 1]).to(clean.device) for t in (batch.answer, batch.wrong))

            def score(logits: torch.Tensor, answer: torch.Tensor = answer, wrong: torch.Tensor = wrong) -> torch.Tensor:
                return pair_metric(metric, logits[:, -1], answer, wrong)[0]

            nodes = attribution_patch(model, clean, corrupted, score).node_scores
            for component, value in _by_role(nodes, batch, row).items():
                scores[component].append(value)
            done += 1
            progress(done, len(pairs))
    return _ranked(scores)


def direct_logit_attribution(model: Any, pairs: PromptPairs) -> list[Attribution]:
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


def attention_by_role(model: Any, pairs: PromptPairs) -> list[Attention]:
    """How each head's attention from the last token is shared among the named positions, largest first."""
    masses: dict[tuple[Component, str], list[float]] = defaultdict(list)
    with torch.no_grad():
        for batch in encode(pairs, model.tokenizer):
            tokens = torch.from_numpy(batch.clean).to(model.cfg.device)
            _, cache = model.run_with_cache(tokens, names_filter=lambda name: name.endswith("attn.hook_pattern"))
            rows = torch.arange(len(batch.index))
            for layer in range(model.cfg.n_layers):
                pattern = cache[f"blocks.{layer}.attn.hook_pattern"][:, :, -1]  # [n, head, source]
                for name, at in batch.positions.items():
                    mass = pattern[rows, :, torch.from_numpy(at)].double()
                    for head in range(mass.shape[1]):
                        masses[Component(layer, "head", head), name] += mass[:, head].tolist()
    rows_ = [Attention(str(component), to, float(np.mean(m))) for (component, to), m in masses.items()]
    return sorted(rows_, key=lambda r: -r.mass)


def _row(tokens: np.ndarray, row: int, model: Any) -> torch.Tensor:
    return torch.from_numpy(tokens[row : row + 1]).to(model.cfg.device)


def _by_role(nodes: dict[Any, float], batch: TokenBatch, row: int) -> dict[Component, float]:
    names = defaultdict(list)
    for name, at in batch.positions.items():
        names[int(at[row])].append(name)
    scores: dict[Component, float] = defaultdict(float)
    for node, value in nodes.items():
        if node.kind == "embed":
            continue
        kind: Any = "head" if node.kind == "attn_head_out" else "mlp"
        scores[Component(node.layer, kind, node.head)] += value
        for name in names[node.position]:
            scores[Component(node.layer, kind, node.head, name)] += value
    return scores


def _from_label(label: str) -> Component | None:
    """TransformerLens's labels: L3H7 for heads, 3_mlp_out for MLPs; the rest are sums of these."""
    if label.startswith("L") and "H" in label:
        layer, head = label[1:].split("H")
        return Component(int(layer), "head", int(head))
    return Component(int(label.split("_")[0]), "mlp") if label.endswith("_mlp_out") else None


def _ranked(scores: dict[Component, list[float]]) -> list[Attribution]:
    return sorted(_rows(scores), key=lambda row: (-abs(row.score), row.component))


def _rows(scores: dict[Component, list[float]]) -> Iterator[Attribution]:
    for component, values in scores.items():
        yield Attribution(str(component), float(np.mean(values)), float(np.std(values)))
