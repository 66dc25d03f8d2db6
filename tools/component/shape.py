"""As much of a model's configuration as says which components it has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lakatos.tools.component.kinds import groups_of


@dataclass(frozen=True)
class Shape:
    """As much of a model's configuration as says which components it has. Stored with a claim."""

    n_layers: int
    n_heads: int
    n_key_value_heads: int
    d_mlp: int

    @classmethod
    def of(cls, cfg: Any) -> Shape:
        """The shape of a model, from its TransformerLens configuration."""
        return cls(int(cfg.n_layers), int(cfg.n_heads), groups_of(cfg), int(cfg.d_mlp or 0))
