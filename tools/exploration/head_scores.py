"""What kind of head a head is: scores that are made of its attention on repeated tokens, and of its OV circuit.

    previous token   attention from each token to the one before
    duplicate token  attention from a token to its earlier occurrence
    induction        attention from a token to the one after its earlier occurrence (Olsson et al. 2022)
    copying          eigenvalues of the OV circuit from token to token, sum / sum of magnitudes (Elhage et al. 2021):
                     1 raises the tokens that it reads, -1 lowers them; norms are left out

The patterns that are looked for, and how attention is held against them, are TransformerLens's own.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from lakatos.tools.component import Component
from lakatos.tools.model import Bridge

_ROWS, _HALF = 4, 24  # random sequences, and the tokens of each that are repeated


class HeadScores(NamedTuple):
    """A head's scores."""

    head: Component
    previous: float  # share of attention, in [0, 1]
    duplicate: float
    induction: float
    copying: float  # in [-1, 1]; nan where the model does not show its matrices


def head_scores(model: Bridge, seed: int = 0) -> list[HeadScores]:
    """Every head's scores, in the order of layers: four forward passes of 48 random tokens, the second half repeated.

    Args:
        model: a TransformerBridge that shows its attention patterns.
        seed: of the random tokens.

    Raises:
        KeyError: the model does not show its patterns.
    """
    from transformer_lens import head_detector as known

    rng = torch.Generator().manual_seed(seed)
    half = torch.randint(0, int(model.cfg.d_vocab), (_ROWS, _HALF), generator=rng)
    tokens = torch.cat([half, half], 1)
    with torch.no_grad():
        _, cache = model.run_with_cache(
            tokens.to(model.cfg.device), names_filter=lambda name: name.endswith("attn.hook_pattern")
        )
    patterns: list[list[torch.Tensor]] = [
        [
            known.get_previous_token_head_detection_pattern(row[None]),
            known.get_duplicate_token_head_detection_pattern(row[None]),
            known.get_induction_head_detection_pattern(row[None]),
        ]
        for row in tokens
    ]
    found = []
    through = _through(model)
    for layer in range(int(model.cfg.n_layers)):
        shown = cache[f"blocks.{layer}.attn.hook_pattern"].float().cpu()  # [n, head, query, key]
        copying = _copying(model, layer, through)
        for head in range(shown.shape[1]):
            previous, duplicate, induction = (
                sum(_held_against(known, shown[k, head], patterns[k][which]) for k in range(_ROWS)) / _ROWS
                for which in range(3)
            )
            place = Component(layer, "head", head)
            found.append(HeadScores(place, previous, duplicate, induction, copying[head]))
    return found


def _held_against(known: Any, attention: torch.Tensor, pattern: torch.Tensor) -> float:
    """The share of attention that goes where the pattern is 1, of the queries for which it is 1 anywhere."""
    asked = pattern.sum(-1) > 0
    kept = torch.zeros_like(attention)
    kept[asked] = attention[asked]
    score: float = known.compute_head_attention_similarity_score(
        kept, detection_pattern=pattern, exclude_bos=False, exclude_current_token=False, error_measure="mul"
    )
    return score


def _through(model: Bridge) -> torch.Tensor | None:
    """[d_model, d_model] from the residual stream over the tokens back into it; None where they are not shown."""
    try:
        embed, unembed = model.embed.W_E.detach().float(), model.unembed.W_U.detach().float()
    except AttributeError:
        return None
    through: torch.Tensor = unembed @ embed
    return through


def _copying(model: Bridge, layer: int, through: torch.Tensor | None) -> list[float]:
    """Each head's copying score."""
    heads, nan = int(model.cfg.n_heads), float("nan")
    try:
        attention = model.blocks[layer].attn
        values, outputs = attention.W_V.detach().float(), attention.W_O.detach().float()
    except AttributeError:
        return [nan] * heads
    if through is None:
        return [nan] * heads
    scores = []
    for head in range(heads):
        group = head * len(values) // heads
        spectrum = torch.linalg.eigvals(outputs[head] @ through @ values[group])
        size = float(spectrum.abs().sum())
        scores.append(float(spectrum.real.sum()) / size if size > 0 else nan)
    return scores
