"""The edges of a model: what writes to the residual stream, what reads it, and which of the two can reach which.

The names are those of edge attribution: senders r0 (the embedding), a2.h1, m2; receivers a2.h1.q, a2.g0.k, a2.g0.v,
m2, logits. A head owns its query and shares the key and the value of its group.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lakatos.tools.component import groups_of
from lakatos.tools.intervention.intervention import LOGITS
from lakatos.tools.model import Bridge

Bools = NDArray[np.bool_]
EMBEDDED = "r0"


@dataclass(frozen=True)
class EdgeGraph:
    """Senders and receivers in the order in which a model runs."""

    layers: int
    heads: int
    groups: int
    parallel: bool  # an MLP reads what its block's attention reads, and not what that writes

    @classmethod
    def of(cls, model: Bridge) -> EdgeGraph:
        """The graph of a model."""
        cfg = model.cfg
        mid = "blocks.0.hook_resid_mid" in model.hook_dict
        parallel = bool(getattr(cfg, "parallel_attn_mlp", False)) or not mid
        return cls(int(cfg.n_layers), int(cfg.n_heads), groups_of(cfg), parallel)

    @cached_property
    def senders(self) -> tuple[str, ...]:
        """r0, then the heads and the MLP of each layer."""
        return (EMBEDDED, *(name for layer in range(self.layers) for name in self._writers(layer)))

    @cached_property
    def receivers(self) -> tuple[str, ...]:
        """The queries, keys, values and the MLP of each layer, then the logits."""
        return tuple(name for name, _ in self._readers())

    @cached_property
    def downstream(self) -> Bools:
        """[sender, receiver] which edges there are."""
        upstream = np.array([before for _, before in self._readers()])
        return np.arange(len(self.senders))[:, None] < upstream

    @cached_property
    def layer_of(self) -> NDArray[np.int64]:
        """[receiver] its layer; of the logits, the number of layers."""
        own = self.heads + 2 * self.groups + 1
        return np.minimum(np.arange(len(self.receivers)) // own, self.layers)

    def readers_of(self, sender: str) -> tuple[str, ...]:
        """The receivers through which a head or MLP computes what it writes; none of the embedding."""
        if sender == EMBEDDED:
            return ()
        layer, _, head = sender.partition(".h")
        if not head:
            return (sender,)
        group = int(head) * self.groups // self.heads
        return (f"{sender}.q", f"{layer}.g{group}.k", f"{layer}.g{group}.v")

    def _writers(self, layer: int) -> list[str]:
        return [*(f"a{layer}.h{head}" for head in range(self.heads)), f"m{layer}"]

    def _readers(self) -> Iterator[tuple[str, int]]:
        """Each receiver, and how many of the senders, from the first, are upstream of it."""
        for layer in range(self.layers):
            before = 1 + layer * (self.heads + 1)
            yield from ((f"a{layer}.h{head}.q", before) for head in range(self.heads))
            yield from ((f"a{layer}.g{group}.{part}", before) for part in "kv" for group in range(self.groups))
            yield f"m{layer}", before if self.parallel else before + self.heads
        yield LOGITS, len(self.senders)
