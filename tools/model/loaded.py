"""A booted model, and what identifies it in the log."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from lakatos.tools.model.bridge import Bridge

PLANTED_PREFIX = "planted:"


@dataclass(frozen=True)
class LoadedModel:
    """A booted model and what identifies it in the log."""

    name: str
    bridge: Bridge  # in evaluation mode
    tokenizer: Any
    weight_hash: str  # sha256 over parameter names, shapes, dtypes and bytes

    @property
    def cfg(self) -> Any:
        """TransformerLens's configuration: n_layers, n_heads, d_model, ..."""
        return self.bridge.cfg


def wrap_model(bridge: Bridge, *, name: str) -> LoadedModel:
    """Take a TransformerBridge that you booted yourself (a custom or a planted model)."""
    bridge.eval()
    return LoadedModel(name, bridge, bridge.tokenizer, weight_hash(bridge.original_model))


def weight_hash(model: Any) -> str:
    """sha256 over names, shapes, dtypes and bytes of all parameters and buffers, in the order of their names."""
    import torch

    digest = hashlib.sha256()
    for key, tensor in sorted(model.state_dict().items()):
        if not isinstance(tensor, torch.Tensor):
            continue
        array = tensor.detach().cpu().contiguous()
        plain = key.replace("._original_component", "")  # TransformerLens's wrapper is not part of the model
        digest.update(f"{plain} {tuple(array.shape)} {array.dtype}\n".encode())
        digest.update(array.view(torch.uint8).numpy().data if array.dim() else bytes(str(array.item()), "ascii"))
    return f"sha256:{digest.hexdigest()}"
