"""Where heads look, averaged over exploration prompts: shares of attention between named positions, in [0, 1].

Attention says where a head reads, and neither what it moves nor whether that matters. Nothing here is evidence.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from lakatos.tools.behaviour import PromptPairs, encode
from lakatos.tools.component import Component
from lakatos.tools.model import Bridge

FIRST, REST = "first token", "all other tokens"  # of a prompt, beside its named positions


@dataclass(frozen=True)
class Attention:
    """Where a head looks from the last token, averaged over exploration pairs."""

    component: str
    to: str  # a named position
    mass: float  # share of the head's attention, in [0, 1]

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


def attention_by_role(model: Bridge, pairs: PromptPairs) -> list[Attention]:
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


def attention_between(
    model: Bridge, pairs: PromptPairs, heads: Sequence[Component]
) -> list[dict[tuple[str, str], float]]:
    """How each head's attention from every named position is shared, on the clean prompts: one forward pass a pair.

    Args:
        model: a TransformerBridge that shows its attention patterns.
        pairs: exploration pairs.
        heads: heads without a position.

    Returns:
        For each head: (from, to) -> mean share. `to` is a named position, the first token where no position is there,
        or all other tokens together, so that the shares of a `from` add up to 1.

    Raises:
        KeyError: the model does not show its patterns.
    """
    sums: list[dict[tuple[str, str], float]] = [defaultdict(float) for _ in heads]
    hooks = {head: f"blocks.{head.layer}.attn.hook_pattern" for head in heads}
    for batch in encode(pairs, model.tokenizer):
        tokens = torch.from_numpy(batch.clean).to(model.cfg.device)
        with torch.no_grad():
            _, cache = model.run_with_cache(tokens, names_filter=set(hooks.values()).__contains__)
        rows = np.arange(len(batch.index))
        for found, head in zip(sums, heads, strict=True):
            pattern = cache[hooks[head]][:, head.index].double().cpu().numpy()  # [n, query, key]
            for source, at in batch.positions.items():
                for to, mass in _shares(pattern[rows, at], batch.positions).items():
                    found[source, to] += float(mass.sum()) / len(pairs)
    return [dict(found) for found in sums]


def _shares(row: np.ndarray, positions: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """[n] of each named position, the first token and the rest, of shares [n, token]; a token counts once."""
    rows, left, shares = np.arange(len(row)), row.copy(), {}
    for name, at in positions.items():
        shares[name] = row[rows, at]
        left[rows, at] = 0.0
    first = left[:, 0].copy()
    left[:, 0] = 0.0
    return {**shares, FIRST: first, REST: left.sum(-1)}
