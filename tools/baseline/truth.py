"""Which components are used, in models whose mechanism is known."""

from __future__ import annotations

from lakatos.tools.model import LoadedModel


def used_components(model: LoadedModel) -> frozenset[str] | None:
    """The heads and MLPs that do something, of a planted model; None where nobody knows."""
    from lakatos.tools.model.planted import truth_of

    truth = truth_of(model.name)
    return None if truth is None else truth.used
