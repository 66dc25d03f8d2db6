"""Values for places of a stack of cells, written at hook points."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from lakatos.tools.component import Component
from lakatos.tools.errors import UserError
from lakatos.tools.intervention.layout import by_position


class Writes:
    """Values for places of a stack of cells, by hook point."""

    def __init__(self) -> None:
        self._known: dict[str, list[tuple[Component, np.ndarray, np.ndarray, Any, Any]]] = defaultdict(list)
        self._fired: set[str] = set()

    def add(
        self, component: Component, n_layers: int, cell: np.ndarray, step: np.ndarray, index: Any, values: Any
    ) -> None:
        """Write `values` [write, ...] (or one number) at steps of the windows of cells."""
        if len(cell):
            self._known[component.hook_name(n_layers)].append((component, cell, step, index, values))

    def hooks(self) -> dict[str, list[Callable[..., torch.Tensor]]]:
        """One hook for each hook point that is written to."""
        return {name: [self._hook(name)] for name in self._known}

    def apply(self, name: str, activation: torch.Tensor) -> torch.Tensor:
        """A copy of the activation [cell, width, ...] at a hook point with everything written."""
        self._fired.add(name)
        changed = activation.clone()
        for component, cell, step, index, values in self._known.get(name, []):
            view = by_position(component, changed)
            at = [tensor(a, view.device) for a in (cell, step)]
            if index is not None:
                at.append(tensor(index, view.device))
            view[tuple(at)] = tensor(values, view.device).to(view.dtype)
        return changed

    def check(self) -> None:
        """Ask, after a run under the hooks, whether each of them was reached.

        Raises:
            UserError: naming the first that was not: writing there does nothing.
        """
        for name, places in self._known.items():
            if name not in self._fired:
                raise UserError(f"{places[0][0]}: this model never reaches {name}, so it cannot be replaced.")

    def _hook(self, name: str) -> Callable[..., torch.Tensor]:
        def hook(activation: torch.Tensor, hook: Any = None) -> torch.Tensor:  # noqa: ARG001 - TransformerLens names it
            return self.apply(name, activation)

        return hook


def tensor(value: Any, device: Any) -> torch.Tensor:
    return torch.as_tensor(value, device=device)
