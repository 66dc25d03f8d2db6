"""The kinds of component, one record each: all that the rest of the project has to know of a kind.

A kind whose record says everything needs no code. Attention patterns, embeddings and the stream after the last block
are replaced in ways of their own (`lakatos.tools.intervention`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

Kind = Literal[
    "head", "query", "pattern", "key", "value", "attention", "mlp", "neuron", "residual", "embedding"
]  # fmt: skip
Branch = Literal["attention", "mlp", "stream"]
Each = Literal["layer", "head", "group", "neuron"]


@dataclass(frozen=True)
class ComponentKind:
    """What there is to know of a kind of component."""

    form: str  # its text, with {layer} and {index}
    hook: str  # the TransformerLens hook point, within a block (of an embedding: of the model)
    each: Each  # what there is one of: an activation [n, pos, index, ...], or [n, pos, ...] for a layer
    branch: Branch  # what computes it within a block, or the stream that blocks add to
    atom: str  # the text of what it is part of, where claims overlap
    shown_as: str  # the column of a chart: head, attention, mlp, residual
    whole: Kind | None = None  # the kind that holds it: replacing one of that kind replaces this too
    heads_first: bool = False  # an activation [n, index, pos, pos]
    in_a_block: bool = True  # a layer has it
    after_the_last: bool = False  # there is one more, after the last block
    read_later: bool = False  # later positions read it within its own block
    resampled: bool = True  # another prompt of the same template has other values
    in_circuits: bool = False  # may be a member of a circuit
    sends: bool = True  # may be the sender of a path
    receives: bool = False  # may be the receiver of a path: it reads the residual stream

    def width(self, cfg: Any) -> int | None:
        """How many a layer of the model (its TransformerLens `cfg`) has; None where there is one a layer."""
        if self.each == "layer":
            return None
        if self.each == "neuron":
            return int(cfg.d_mlp or 0)
        return groups_of(cfg) if self.each == "group" else int(cfg.n_heads)

    def size(self, cfg: Any, length: int) -> int:
        """How many numbers the activation of all of a layer has at a token, in a prompt of so many tokens."""
        width = self.width(cfg)
        if width is None:
            return int(cfg.d_model)
        return width * (1 if self.each == "neuron" else length if self.heads_first else int(cfg.d_head))

    @property
    def unit(self) -> str:
        """What its index counts."""
        return {"group": "key-value group"}.get(self.each, self.each)


KINDS: Final[dict[Kind, ComponentKind]] = {
    "head": ComponentKind(
        "a{layer}.h{index}", "attn.hook_z", "head", "attention", "a{layer}.h{index}", "head",
        whole="attention", in_circuits=True,
    ),
    "query": ComponentKind(
        "a{layer}.h{index}.q", "attn.hook_q", "head", "attention", "a{layer}.h{index}", "head", receives=True
    ),
    "pattern": ComponentKind(
        "a{layer}.h{index}.pattern", "attn.hook_pattern", "head", "attention", "a{layer}.h{index}", "head",
        heads_first=True, resampled=False,
    ),
    "key": ComponentKind(
        "a{layer}.g{index}.k", "attn.hook_k", "group", "attention", "a{layer}.g{index}", "attention",
        read_later=True, receives=True,
    ),
    "value": ComponentKind(
        "a{layer}.g{index}.v", "attn.hook_v", "group", "attention", "a{layer}.g{index}", "attention",
        read_later=True, receives=True,
    ),
    "attention": ComponentKind(
        "a{layer}", "hook_attn_out", "layer", "attention", "a{layer}", "attention", in_circuits=True
    ),
    "mlp": ComponentKind(
        "m{layer}", "hook_mlp_out", "layer", "mlp", "m{layer}", "mlp", in_circuits=True, receives=True
    ),
    "neuron": ComponentKind("m{layer}.n{index}", "mlp.hook_post", "neuron", "mlp", "m{layer}.n{index}", "mlp"),
    "residual": ComponentKind(
        "r{layer}", "hook_resid_pre", "layer", "stream", "r{layer}", "residual", after_the_last=True, read_later=True
    ),
    "embedding": ComponentKind(
        "e", "hook_embed", "layer", "stream", "e", "residual", in_a_block=False, read_later=True
    ),
}  # fmt: skip


def groups_of(cfg: Any) -> int:
    """How many key-value groups a layer has: as many as heads, without grouped-query attention."""
    return int(getattr(cfg, "n_key_value_heads", None) or cfg.n_heads)
