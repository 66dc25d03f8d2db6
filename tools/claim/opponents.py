"""What a claim is compared with: components, receivers and circuits that are like its own and not its own.

All of them are drawn before any confirmation prompt exists, with a seed that the claim's hash and the database's secret
give, so that nobody can pick a weak opponent. Drawing uses nothing but the model's shape; only the search on shuffled
labels looks at the model.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from lakatos.tools.claim.circuits import Mediation, Sufficiency
from lakatos.tools.claim.claims import AnyParent, AttentionRole, NodeEffect
from lakatos.tools.component import Component, Shape, canonical
from lakatos.tools.errors import UserError

NEAR = 3  # layers
SHUFFLES = 4  # searches on shuffled labels, of which the best circuit counts
_DRAWS = 50  # for every one that is wanted

T = TypeVar("T")
Scores = dict[Component, np.ndarray]  # [n_pairs] attribution of each node


def draw_matched(claim: AnyParent, shape: Shape, seed: str) -> dict[str, tuple[str, ...]]:
    """Whatever of the battery's opponents follows from the shape of the model: role -> components joined by "+".

    Raises:
        UserError: the model has not enough others to compare with.
    """
    rng = random.Random(f"matched:{seed}")
    if isinstance(claim, NodeEffect):
        return {"random": _several(claim.matched_random, lambda: near(rng, claim.parsed(), shape))}
    if isinstance(claim, Sufficiency):
        own = set(claim.components)
        return {"random": _several(claim.matched_random, lambda: _circuit(rng, claim.parsed(), shape), own)}
    if isinstance(claim, Mediation) and claim.receivers == ("logits",):
        return {"random": _several(claim.matched_random, lambda: near(rng, claim.parsed(), shape))}
    if isinstance(claim, Mediation):
        receivers = claim.places()[len(claim.components) :]
        last = max(c.layer for c in claim.parsed())
        return {"random": _several(claim.matched_random, lambda: _receivers(rng, receivers, shape, last))}
    return {}


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


def roles_to_compare(claim: AttentionRole, positions: dict[str, np.ndarray]) -> tuple[str, ...]:
    """The other named positions that can be attended to, and "elsewhere"; none that ever falls on the claim's token.

    Args:
        positions: name -> [n] token index on exploration prompts.

    Raises:
        UserError: a role of the claim is no named position or comes after the token that looks.
    """
    for role in (claim.attends_from, claim.attends_to):
        if role not in positions:
            raise UserError(f"the behaviour has no position {role!r}; it has {', '.join(positions)}.")
    target = positions[claim.attends_to]
    if (target > positions[claim.attends_from]).any():
        raise UserError(f"{claim.attends_from} cannot attend to {claim.attends_to}, which comes after it.")
    looking = positions[claim.attends_from]
    others = [name for name, at in positions.items() if not (at == target).any() and not (at > looking).any()]
    return (*sorted(others), "elsewhere")


def shuffled_circuits(claim: Sufficiency, scores: Scores, seed: str) -> list[tuple[str, ...]]:
    """What the same search finds where labels mean nothing: circuits of the claim's size from shuffled answers.

    The search takes the nodes of largest mean attribution. Shuffling swaps answer and wrong at random in each pair; as
    both metrics change sign with that, so do the pair's attributions.
    """
    rng = np.random.Generator(np.random.PCG64(int.from_bytes(seed.encode(), "big") % 2**63))
    members = claim.parsed()
    wanted: dict[tuple[str, Any], int] = defaultdict(int)
    for member in members:
        wanted[member.kind, member.position] += 1
    n = len(next(iter(scores.values())))
    found = []
    for _ in range(SHUFFLES):
        signs = rng.integers(0, 2, n) * 2.0 - 1.0
        circuit: list[str] = []
        for (kind, position), size in wanted.items():
            like = [c for c in scores if (c.kind, c.position) == (kind, position)]
            ranked = sorted(like, key=lambda c: (-float((signs * scores[c]).mean()), str(c)))
            circuit += [str(c) for c in ranked[:size]]
        found.append(canonical(tuple(circuit)))
    return list(dict.fromkeys(circuit for circuit in found if circuit != claim.components))


def near(rng: random.Random, own: Sequence[Component], shape: Shape) -> list[Component] | None:
    """As many others of the same kinds at the same positions, in near layers; None: this draw found too few."""
    taken = {_bare(c) for c in own}
    drawn: list[Component] = []
    for component in own:
        layers = range(max(0, component.layer - NEAR), min(_layers(component, shape), component.layer + NEAR + 1))
        left = [c for c in _like(component, layers, shape) if _bare(c) not in taken and c not in drawn]
        if not left:
            return None
        drawn.append(_pick(rng, left))
    return drawn


def _circuit(rng: random.Random, own: Sequence[Component], shape: Shape) -> list[Component] | None:
    """As many heads, attentions and MLPs at the same positions, from the whole model."""
    drawn: list[Component] = []
    for component in own:
        left = [c for c in _like(component, range(shape.n_layers), shape) if c not in drawn]
        if not left:
            return None
        drawn.append(_pick(rng, left))
    return drawn


def _receivers(rng: random.Random, own: Sequence[Component], shape: Shape, after: int) -> list[Component] | None:
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


def _several(wanted: int, draw: Callable[[], list[Component] | None], own: set[str] | None = None) -> tuple[str, ...]:
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
    if component.kind == "embedding":
        return  # there is one
    width = component.width(shape)
    for layer in layers:
        for index in range(width) if width is not None else [None]:
            yield Component(layer, component.kind, index, component.position)


def _layers(component: Component, shape: Shape) -> int:
    return shape.n_layers + (component.kind == "residual")


def _bare(component: Component) -> Component:
    return Component(component.layer, component.kind, component.index)


def _pick(rng: random.Random, items: list[T]) -> T:
    return items[int(rng.random() * len(items))]  # `random` alone is the same in every version of Python
