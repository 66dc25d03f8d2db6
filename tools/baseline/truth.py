"""Which components are used, in models whose mechanism is known."""

from __future__ import annotations

from lakatos.tools.baseline.found import places
from lakatos.tools.model import LoadedModel
from lakatos.tools.model.loaded import PLANTED_PREFIX


def used_components(model: LoadedModel) -> frozenset[str] | None:
    """The heads and MLPs that do something, of a planted model; None where nobody knows."""
    from lakatos.tools.model.planted import MECHANISMS

    name = model.name.partition("#")[0]
    if not name.startswith(PLANTED_PREFIX) or (key := name.removeprefix(PLANTED_PREFIX)) not in MECHANISMS:
        return None
    return frozenset(places(model)) - frozenset(MECHANISMS[key].inert)
