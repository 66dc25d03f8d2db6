"""How activations are laid out: positions first, whatever the kind of component."""

from __future__ import annotations

import torch

from lakatos.tools.component import Component


def by_position(component: Component, activation: torch.Tensor) -> torch.Tensor:
    """[n, pos, ...], with heads after positions: a pattern comes as [n, head, pos, source]."""
    return activation.transpose(1, 2) if component.known.heads_first else activation


def wide(mask: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    return mask.to(values.device).reshape(*mask.shape, *[1] * (values.dim() - mask.dim()))
