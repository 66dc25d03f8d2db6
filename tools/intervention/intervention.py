"""An intervention: what is replaced, by what, and along which path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from lakatos.tools.component import Component
from lakatos.tools.errors import UserError

Base = Literal["clean", "corrupted"]
Source = Literal["clean", "corrupted", "resample", "mean", "zero"]
LOGITS = "logits"
Receiver = Component | Literal["logits"]


@dataclass(frozen=True)
class Intervention:
    """Replace the activations of `components` (one, or several at once) by those of `source`.

    Args:
        to: only along the direct paths into these receivers, everything between frozen to the base run: queries, keys,
            values or MLPs, or "logits" (the direct effect). A receiver reads the residual stream with the components'
            contribution replaced; what follows the receivers runs as usual (path patching, Wang et al. 2022).
        keep: the other way round: replace every head and MLP except `components` (heads, attentions, MLPs).
    """

    components: tuple[Component, ...]
    source: Source
    receivers: tuple[Receiver, ...]
    keep: bool

    def __init__(
        self,
        components: str | Component | Sequence[str | Component],
        source: Source = "clean",
        *,
        to: str | Component | Sequence[str | Component] = (),
        keep: bool = False,
    ) -> None:
        parsed = tuple(Component.parse(c) if isinstance(c, str) else c for c in _several(components))
        receivers = tuple(
            c if isinstance(c, Component) else LOGITS if c == LOGITS else Component.parse(c) for c in _several(to)
        )
        if not parsed and not keep:
            raise UserError("An intervention needs at least one component.")
        if source not in get_args(Source):
            raise UserError(f"source is one of {', '.join(get_args(Source))}, not {source!r}.")
        object.__setattr__(self, "components", parsed)
        object.__setattr__(self, "source", source)
        object.__setattr__(self, "receivers", receivers)
        object.__setattr__(self, "keep", keep)

    @property
    def kind(self) -> Literal["components", "path", "direct"]:
        """How it is run."""
        if not self.receivers:
            return "components"
        return "direct" if LOGITS in self.receivers else "path"

    def __str__(self) -> str:
        where = " + ".join(str(c) for c in self.components)
        where = f"all but {where or 'nothing'}" if self.keep else where
        return f"{where} -> {' + '.join(str(r) for r in self.receivers)}" if self.receivers else where


def _several(one_or_more: Any) -> Sequence[Any]:
    if not isinstance(one_or_more, str | Component | Sequence):
        raise UserError(f"Give a component, or a list of components, not {one_or_more!r}.")
    return [one_or_more] if isinstance(one_or_more, str | Component) else one_or_more


def everywhere(intervention: Intervention) -> Intervention:
    """The same components at every position: plain text has none of the behaviour's named positions."""

    def free(places: Sequence[Any]) -> list[Any]:
        return [p if p == LOGITS else replace(p, position=None) for p in places]

    return Intervention(
        free(intervention.components),
        intervention.source,
        to=free(intervention.receivers),
        keep=intervention.keep,
    )
