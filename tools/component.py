"""Places in a transformer, and their text form.

    a9.h6@END    the output (z) of attention head 6 in layer 9, at the last token
    a2           the whole attention output of layer 2, at every position
    m5@S2        the MLP output of layer 5 at the token that the behaviour calls S2
    m5.n12       one MLP neuron (its activation after the non-linearity)
    r3@4         the residual stream before block 3, at token index 4

Layers, heads and neurons count from zero; an index of attention heads is a query head. Parsing checks the form only:
whether a model has the component is asked with `Component.check`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from lakatos.tools.errors import UserError

Kind = Literal["head", "attention", "mlp", "neuron", "residual"]

_NUMBER = r"\d{1,9}"
_FORM = re.compile(
    rf"(?:a(?P<attention>{_NUMBER})(?:\.h(?P<head>{_NUMBER}))?"
    rf"|m(?P<mlp>{_NUMBER})(?:\.n(?P<neuron>{_NUMBER}))?|r(?P<residual>{_NUMBER}))"
    rf"(?:@(?P<position>[A-Za-z][A-Za-z0-9_]*|{_NUMBER}))?",
    re.ASCII,
)


@dataclass(frozen=True)
class Component:
    """A place in the model. `index` is the head or the neuron; `position` None means every position."""

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
        match = _FORM.fullmatch(text.strip())
        if match is None:
            raise UserError(
                f"{text!r} is not a component. Write a9.h6 (head), a9 (attention), m5 (MLP), m5.n12 (neuron) "
                "or r3 (residual stream before block 3), and a position after @ if you want one: a9.h6@END."
            )
        part = match.groupdict()
        position = part["position"]
        at = int(position) if position is not None and position.isdigit() else position
        if part["attention"] is not None:
            kind: Kind = "attention" if part["head"] is None else "head"
            return cls(int(part["attention"]), kind, _integer(part["head"]), at)
        if part["mlp"] is not None:
            kind = "mlp" if part["neuron"] is None else "neuron"
            return cls(int(part["mlp"]), kind, _integer(part["neuron"]), at)
        return cls(int(part["residual"]), "residual", None, at)

    def __str__(self) -> str:
        place = {
            "head": f"a{self.layer}.h{self.index}",
            "attention": f"a{self.layer}",
            "mlp": f"m{self.layer}",
            "neuron": f"m{self.layer}.n{self.index}",
            "residual": f"r{self.layer}",
        }[self.kind]
        return place if self.position is None else f"{place}@{self.position}"

    @property
    def hook_name(self) -> str:
        """The TransformerLens hook point whose activation this is (a slice of)."""
        suffix = {
            "head": "attn.hook_z",
            "attention": "hook_attn_out",
            "mlp": "hook_mlp_out",
            "neuron": "mlp.hook_post",
            "residual": "hook_resid_pre",
        }[self.kind]
        return f"blocks.{self.layer}.{suffix}"

    def check(self, cfg: Any, positions: set[str] | None = None) -> None:
        """Ask whether a model (its TransformerLens `cfg`) and a behaviour (its named positions) have this place.

        Raises:
            UserError: naming what is missing and what there is instead.
        """
        if not 0 <= self.layer < cfg.n_layers:
            raise UserError(f"{self}: the model has layers 0 to {cfg.n_layers - 1}, not {self.layer}.")
        limit = {"head": cfg.n_heads, "neuron": cfg.d_mlp}.get(self.kind)
        if limit is not None and self.index is not None and not 0 <= self.index < limit:
            raise UserError(f"{self}: layer {self.layer} has {self.kind}s 0 to {limit - 1}, not {self.index}.")
        if positions is not None and isinstance(self.position, str) and self.position not in positions:
            raise UserError(
                f"{self}: the behaviour has no position {self.position!r}; it has {', '.join(sorted(positions))}."
            )


def _integer(text: str | None) -> int | None:
    return None if text is None else int(text)
