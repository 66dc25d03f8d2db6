"""What a claim is compared with: components, receivers and circuits that are like its own and not its own.

All of them are drawn before any confirmation prompt exists, with a seed that the claim's hash and the database's secret
give, so that nobody can pick a weak opponent. Drawing uses nothing but the model's shape; only the search on shuffled
labels looks at the model.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from lakatos.tools.component import Component, Shape, canonical
from lakatos.tools.errors import UserError

NEAR = 3  # layers
_DRAWS = 50  # for every one that is wanted

T = TypeVar("T")


def most_matched(shape: Shape) -> tuple[int, int]:
    """How many components a claim may name so that others like them are always near.

    Returns:
        The most heads, and the most where attentions, MLPs or residual streams are among them: a layer has one of each.
    """
    near_the_end = min(shape.n_layers, NEAR + 1)  # layers that the last one is compared with, itself included
    return max(1, near_the_end * shape.n_heads // 2), most_in_layers(shape.n_layers)


def most_in_layers(layers: int) -> int:
    """How many of the components that each of so many layers has once always have others like them near."""
    return max(1, min(NEAR, layers // 2))


def near(
    rng: random.Random, own: Sequence[Component], shape: Shape, without: Sequence[Component] = ()
) -> list[Component] | None:
    """As many others of the same kinds at the same positions, in near layers; None: this draw found too few.

    Args:
        without: heads, attentions and MLPs that no other may share a place with.
    """
    taken = {_bare(c) for c in own}
    drawn: list[Component] = []
    for component in own:
        layers = range(max(0, component.layer - NEAR), min(component.layers(shape), component.layer + NEAR + 1))
        left = [c for c in _like(component, layers, shape) if _bare(c) not in taken and c not in drawn]
        left = [c for c in left if not any(share_a_place(c, other) for other in without)]
        if not left:
            return None
        drawn.append(_pick(rng, left))
    return drawn


def share_a_place(one: Component, other: Component) -> bool:
    """Whether two heads, attentions or MLPs are the same, or one holds the other, whatever their positions."""
    branches = [(c.layer, c.known.branch) for c in (one, other)]
    return branches[0] == branches[1] and (one.index == other.index or None in (one.index, other.index))


def anywhere(rng: random.Random, own: Sequence[Component], shape: Shape) -> list[Component] | None:
    """As many heads, attentions and MLPs at the same positions, from the whole model."""
    drawn: list[Component] = []
    for component in own:
        left = [c for c in _like(component, range(shape.n_layers), shape) if c not in drawn]
        if not left:
            return None
        drawn.append(_pick(rng, left))
    return drawn


def same_layer(rng: random.Random, own: Sequence[Component], shape: Shape, after: int) -> list[Component] | None:
    """Others of the same kind in the same layer; in near layers after the senders where that has none."""
    drawn: list[Component] = []
    for component in own:
        for layers in (
            range(component.layer, component.layer + 1),
            range(max(after + 1, component.layer - NEAR), min(shape.n_layers, component.layer + NEAR + 1)),
        ):
            left = [c for c in _like(component, layers, shape) if c not in own and c not in drawn]
            if left:
                break
        else:
            return None
        drawn.append(_pick(rng, left))
    return drawn


def distinct(wanted: int, draw: Callable[[], list[Component] | None], own: set[str] | None = None) -> tuple[str, ...]:
    """Distinct draws, as many as wanted, or as many as there are; fewer members would be easier to beat."""
    found: set[str] = set()
    for _ in range(_DRAWS * wanted):
        drawn = draw()
        names = canonical(tuple(str(c) for c in drawn or ()))
        if drawn and len(names) == len(drawn) and set(names) != own:
            found.add("+".join(names))
        if len(found) == wanted:
            break
    if not found:
        raise UserError("The model has not enough other components of these kinds to compare with.")
    return tuple(sorted(found))


def _like(component: Component, layers: range, shape: Shape) -> Iterator[Component]:
    if not component.known.in_a_block:
        return  # there is one
    width = component.width(shape)
    for layer in layers:
        for index in range(width) if width is not None else [None]:
            yield Component(layer, component.kind, index, component.position)


def _bare(component: Component) -> Component:
    return Component(component.layer, component.kind, component.index)


def _pick(rng: random.Random, items: list[T]) -> T:
    return items[int(rng.random() * len(items))]  # `random` alone is the same in every version of Python
