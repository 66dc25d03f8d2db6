"""From the residual stream to logits, for whole vocabularies or a few tokens."""

from __future__ import annotations

import torch

from lakatos.tools.model import Bridge


def unembed(model: Bridge, residual: torch.Tensor) -> torch.Tensor:
    """Logits [..., vocab] of the residual stream after the last block [..., d_model]."""
    logits: torch.Tensor = model.adapter.apply_output_logits_transform(model.unembed(model.ln_final(residual)))
    return logits


def unembed_columns(model: Bridge, residual: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Logits [cell, k] of the tokens [cell, k] alone, from the residual stream [cell, d_model]; in float32.

    Only where the unembedding is nothing but a product with its weight (`abilities` tries).
    """
    normed = model.ln_final(residual.unsqueeze(1)).squeeze(1).float()
    weight, bias = _unembedding(model)
    logits = torch.einsum("cd,ckd->ck", normed, weight[tokens].float())
    whole: torch.Tensor = model.adapter.apply_output_logits_transform(
        logits if bias is None else logits + bias[tokens].float()
    )
    return whole


def _unembedding(model: Bridge) -> tuple[torch.Tensor, torch.Tensor | None]:
    head = model.unembed.original_component
    return head.weight, getattr(head, "bias", None)
