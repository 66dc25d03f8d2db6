"""The hook points at which a graph's nodes are written and read."""

from __future__ import annotations

from dataclasses import dataclass

EMBEDDING = "blocks.0.hook_resid_pre"


@dataclass(frozen=True)
class NodeHooks:
    """The hook points where nodes write, a layer each."""

    layers: int

    @property
    def heads(self) -> list[str]:
        """Every head's z, together [n, pos, head, d_head]."""
        return [f"blocks.{layer}.attn.hook_z" for layer in range(self.layers)]

    @property
    def mlps(self) -> list[str]:
        """What the MLP adds to the residual stream (after its own norm where there is one) [n, pos, d_model]."""
        return [f"blocks.{layer}.hook_mlp_out" for layer in range(self.layers)]

    @property
    def residuals(self) -> list[str]:
        """The residual stream before each block and after the last [n, pos, d_model]."""
        return [*(f"blocks.{layer}.hook_resid_pre" for layer in range(self.layers)), self.final]

    @property
    def final(self) -> str:
        """The residual stream that the last norm and the unembedding read."""
        return f"blocks.{self.layers - 1}.hook_resid_post"
