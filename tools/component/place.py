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
from typing import Any

from lakatos.tools.component.kinds import KINDS, ComponentKind, Kind
from lakatos.tools.errors import UserError

_NUMBER = r"\d{1,9}"


def _form(text: str) -> re.Pattern[str]:
    layer, index = (f"(?P<{name}>{_NUMBER})" for name in ("layer", "index"))
    place = re.escape(text).replace(r"\{layer\}", layer).replace(r"\{index\}", index)
    return re.compile(place + rf"(?:@(?P<position>[A-Za-z][A-Za-z0-9_]*|{_NUMBER}))?", re.ASCII)


_FORMS = {kind: _form(known.form) for kind, known in KINDS.items()}


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

    @property
    def known(self) -> ComponentKind:
        """What there is to know of its kind."""
        return KINDS[self.kind]

    def atom(self) -> str:
        """The text of the head, group, MLP, neuron or stream that it is part of, at every position."""
        return self.known.atom.format(layer=self.layer, index=self.index)

    def __str__(self) -> str:
        place = self.known.form.format(layer=self.layer, index=self.index)
        return place if self.position is None else f"{place}@{self.position}"

    def hook_name(self, n_layers: int) -> str:
        """The TransformerLens hook point whose activation this is (a slice of), in a model of `n_layers`."""
        if not self.known.in_a_block:
            return self.known.hook
        if self.known.after_the_last and self.layer == n_layers:
            return f"blocks.{n_layers - 1}.hook_resid_post"
        return f"blocks.{self.layer}.{self.known.hook}"

    def block(self, n_layers: int) -> int:
        """The block that this component is in or comes before; -1 for the embeddings."""
        return min(self.layer, n_layers - 1) if self.known.in_a_block else -1

    def check(self, cfg: Any, positions: set[str] | None = None) -> None:
        """Ask whether a model (its TransformerLens `cfg`) and a behaviour (its named positions) have this place.

        Raises:
            UserError: naming what is missing and what there is instead.
        """
        layers = self.layers(cfg)
        if not 0 <= self.layer < layers:
            raise UserError(f"{self}: the model has layers 0 to {cfg.n_layers - 1}, not {self.layer}.")
        width = self.width(cfg)
        if width is not None and self.index is not None and not 0 <= self.index < width:
            raise UserError(f"{self}: layer {self.layer} has {self.known.unit}s 0 to {width - 1}, not {self.index}.")
        if positions is not None and isinstance(self.position, str) and self.position not in positions:
            raise UserError(
                f"{self}: the behaviour has no position {self.position!r}; it has {', '.join(sorted(positions))}."
            )

    def width(self, cfg: Any) -> int | None:
        """How many components of this kind a layer of the model has; None where there is one a layer."""
        return self.known.width(cfg)

    def layers(self, cfg: Any) -> int:
        """How many layers have components of this kind: one more than the model, where one comes after the last."""
        return int(cfg.n_layers) + self.known.after_the_last

    def check_shape(self, cfg: Any, shape: tuple[int, ...] | None, trial: tuple[int, int]) -> None:
        """Ask whether the activation of some prompts and tokens (`trial`) at the hook point is this component's.

        Raises:
            UserError: the hook point is never reached, or what is there is laid out otherwise.
        """
        hook = self.hook_name(cfg.n_layers)
        if shape is None:
            raise UserError(f"{self}: this model never reaches {hook}, so it cannot be replaced.")
        prompts, tokens = trial
        flat = self.known.each == "neuron"  # an index into the activation's last dimension
        width = None if flat else self.width(cfg)
        expected = (*trial, *shape[2:3]) if width is None else (*trial, width, *shape[3:4])
        if shape != ((prompts, width, tokens, tokens) if self.known.heads_first else expected):
            raise UserError(
                f"{self}: {hook} is {list(shape)} for {prompts} prompts of {tokens} tokens, which is not one "
                f"{self.kind} for each of {width}; this model's cannot be told apart."
            )
        if flat and self.index is not None and self.index >= shape[2]:
            raise UserError(f"{self}: layer {self.layer} has neurons 0 to {shape[2] - 1}, not {self.index}.")


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
    if whole.kind == part.known.whole:
        return True
    return (whole.kind, whole.index) == (part.kind, part.index)
