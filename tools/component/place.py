"""Places in a transformer, and their text form.

    a9.h6@END        the output (z) of attention head 6 in layer 9, at the last token
    a9.h6.q          the query of that head, as projected: before any norm or rotation
    a9.h6.pattern@5  where that head looks from token index 5 (its attention weights)
    a9.g2.k, a9.g2.v the keys, the values of key-value group 2 (without grouped-query attention, of head 2)
    a2               the whole attention output of layer 2, at every position
    m5@S2            the MLP output of layer 5 at the token that the behaviour calls S2
    m5.n12           one MLP neuron (its activation after the non-linearity)
    r3@4             the residual stream before block 3, at token index 4; r30 in a model of 30 layers: after the last
    e                the token embeddings, as the embedding module gives them (see below)

`e` comes before position embeddings are added and before any norm or projection: zeroing it leaves GPT-2 its positions
and Bloom the bias of the norm that follows. What the first block reads is `r0`.

Layers, heads and neurons count from zero; an index of attention heads is a query head. Parsing checks the form only:
whether a model has the component is asked with `Component.check`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from lakatos.tools.errors import UserError

Kind = Literal[
    "head", "query", "pattern", "key", "value", "attention", "mlp", "neuron", "residual", "embedding"
]  # fmt: skip

_NUMBER = r"\d{1,9}"
_PLACE: dict[Kind, str] = {
    "head": "a{layer}.h{index}",
    "query": "a{layer}.h{index}.q",
    "pattern": "a{layer}.h{index}.pattern",
    "key": "a{layer}.g{index}.k",
    "value": "a{layer}.g{index}.v",
    "attention": "a{layer}",
    "mlp": "m{layer}",
    "neuron": "m{layer}.n{index}",
    "residual": "r{layer}",
    "embedding": "e",
}
_HOOK: dict[Kind, str] = {
    "head": "attn.hook_z",
    "query": "attn.hook_q",
    "pattern": "attn.hook_pattern",
    "key": "attn.hook_k",
    "value": "attn.hook_v",
    "attention": "hook_attn_out",
    "mlp": "hook_mlp_out",
    "neuron": "mlp.hook_post",
    "residual": "hook_resid_pre",
}
_FORMS = {
    kind: re.compile(
        re.escape(place).replace(r"\{layer\}", f"(?P<layer>{_NUMBER})").replace(r"\{index\}", f"(?P<index>{_NUMBER})")
        + rf"(?:@(?P<position>[A-Za-z][A-Za-z0-9_]*|{_NUMBER}))?",
        re.ASCII,
    )
    for kind, place in _PLACE.items()
}
_IN_GROUPS = ("key", "value")
_OF_HEADS = ("head", "query", "pattern")


@dataclass(frozen=True)
class Component:
    """A place in the model. `index` is the head, the group or the neuron; `position` None means every position."""

    layer: int
    kind: Kind
    index: int | None = None
    position: str | int | None = None

    @classmethod
    def parse(cls, text: str) -> Component:
        """Read the text form.

        Raises:
            UserError: the text is not a component; the message shows the forms that are.
        """
        for kind, form in _FORMS.items():
            if match := form.fullmatch(text.strip()):
                part = match.groupdict()
                at = part["position"]
                position = int(at) if at is not None and at.isdigit() else at
                index = part.get("index")
                return cls(int(part.get("layer") or 0), kind, None if index is None else int(index), position)
        if match := re.fullmatch(rf"a({_NUMBER})\.h({_NUMBER})\.([kv])(@.*)?", text.strip(), re.ASCII):
            layer, head, what, position = match.groups("")
            raise UserError(
                f"{text!r} is not a component: keys and values belong to key-value groups. Write a{layer}.g{head}."
                f"{what}{position}, the group's number after g; without grouped-query attention it is the head's."
            )
        raise UserError(
            f"{text!r} is not a component. Write a9.h6 (head), a9.h6.q (its query), a9.h6.pattern (its attention), "
            "a9.g2.k or a9.g2.v (keys or values of a group), a9 (attention), m5 (MLP), m5.n12 (neuron), "
            "r3 (residual stream before block 3) or e (embeddings), and a position after @ if you want one: a9.h6@END."
        )

    def __str__(self) -> str:
        place = _PLACE[self.kind].format(layer=self.layer, index=self.index)
        return place if self.position is None else f"{place}@{self.position}"

    def hook_name(self, n_layers: int) -> str:
        """The TransformerLens hook point whose activation this is (a slice of), in a model of `n_layers`."""
        if self.kind == "embedding":
            return "hook_embed"
        if self.kind == "residual" and self.layer == n_layers:
            return f"blocks.{n_layers - 1}.hook_resid_post"
        return f"blocks.{self.layer}.{_HOOK[self.kind]}"

    def block(self, n_layers: int) -> int:
        """The block that this component is in or comes before; -1 for the embeddings."""
        return -1 if self.kind == "embedding" else min(self.layer, n_layers - 1)

    def check(self, cfg: Any, positions: set[str] | None = None) -> None:
        """Ask whether a model (its TransformerLens `cfg`) and a behaviour (its named positions) have this place.

        Raises:
            UserError: naming what is missing and what there is instead.
        """
        layers = cfg.n_layers + (self.kind == "residual")
        if not 0 <= self.layer < layers:
            raise UserError(f"{self}: the model has layers 0 to {cfg.n_layers - 1}, not {self.layer}.")
        width = self.width(cfg)
        if width is not None and self.index is not None and not 0 <= self.index < width:
            unit = "key-value group" if self.kind in _IN_GROUPS else "neuron" if self.kind == "neuron" else "head"
            raise UserError(f"{self}: layer {self.layer} has {unit}s 0 to {width - 1}, not {self.index}.")
        if positions is not None and isinstance(self.position, str) and self.position not in positions:
            raise UserError(
                f"{self}: the behaviour has no position {self.position!r}; it has {', '.join(sorted(positions))}."
            )

    def width(self, cfg: Any) -> int | None:
        """How many components of this kind a layer of the model has; None where there is one a layer."""
        if self.kind in _IN_GROUPS:
            return groups_of(cfg)
        if self.kind in _OF_HEADS:
            return int(cfg.n_heads)
        return int(cfg.d_mlp or 0) if self.kind == "neuron" else None

    def check_shape(self, cfg: Any, shape: tuple[int, ...] | None, trial: tuple[int, int]) -> None:
        """Ask whether the activation of some prompts and tokens (`trial`) at the hook point is this component's.

        Raises:
            UserError: the hook point is never reached, or what is there is laid out otherwise.
        """
        hook = self.hook_name(cfg.n_layers)
        if shape is None:
            raise UserError(f"{self}: this model never reaches {hook}, so it cannot be replaced.")
        prompts, tokens = trial
        width = None if self.kind == "neuron" else self.width(cfg)
        expected = (*trial, *shape[2:3]) if width is None else (*trial, width, *shape[3:4])
        if shape != ((prompts, width, tokens, tokens) if self.kind == "pattern" else expected):
            raise UserError(
                f"{self}: {hook} is {list(shape)} for {prompts} prompts of {tokens} tokens, which is not one "
                f"{self.kind} for each of {width}; this model's cannot be told apart."
            )
        if self.kind == "neuron" and self.index is not None and self.index >= shape[2]:
            raise UserError(f"{self}: layer {self.layer} has neurons 0 to {shape[2] - 1}, not {self.index}.")


def groups_of(cfg: Any) -> int:
    """How many key-value groups a layer has: as many as heads, without grouped-query attention."""
    return int(getattr(cfg, "n_key_value_heads", None) or cfg.n_heads)


def canonical(components: tuple[str, ...]) -> tuple[str, ...]:
    """Components in their one text form and order, without what others among them hold already.

    Raises:
        ValueError: one is none.
    """
    try:
        found = {Component.parse(c) for c in components}
    except UserError as error:
        raise ValueError(str(error)) from error
    own = [c for c in found if not any(_holds(other, c) for other in found if other != c)]
    own.sort(key=lambda c: (c.layer, c.kind, -1 if c.index is None else c.index, str(c.position)))
    return tuple(str(c) for c in own)


def _holds(whole: Component, part: Component) -> bool:
    """Whether replacing `whole` replaces `part`: the same at all positions, or a head within its layer's attention."""
    if whole.layer != part.layer or whole.position not in (None, part.position):
        return False
    if whole.kind == "attention" and part.kind == "head":
        return True
    return (whole.kind, whole.index) == (part.kind, part.index)
