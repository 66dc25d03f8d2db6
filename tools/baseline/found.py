"""What a baseline is given and what it gives back."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, Protocol

from lakatos.tools.behaviour import Behaviour, PromptPairs, available
from lakatos.tools.errors import UserError
from lakatos.tools.model import LoadedModel

PAIRS = 32  # exploration pairs, unless the caller says otherwise
LEAST = 4  # pairs that a baseline works with at least
Progress = Callable[[int, int], None]


class Found(NamedTuple):
    """What a method of circuit discovery says of a model and a behaviour, by its own stopping rule.

    Heads are written a1.h0, MLPs m0; edges as in edge attribution: ("a0.h0", "a1.g0.k"), ("a1.h0", "logits"),
    ("m0", "a1.h0.q"), ("r0", "m0"), r0 being the embedding.
    """

    components: tuple[str, ...]  # what it selects, best first
    edges: tuple[tuple[str, str], ...]  # (sender, receiver) that it selects, best first; () where it selects none
    ranking: tuple[tuple[str, float], ...]  # every head and MLP with its score, the largest |score| first
    forwards: float  # passes of one prompt; a backward pass counts as two
    prompts: int  # pairs it was given, a clean and a corrupted prompt each

    @property
    def order(self) -> tuple[str, ...]:
        """Every head and MLP, best first."""
        return tuple(name for name, _ in self.ranking)


class Baseline(Protocol):
    """A method of circuit discovery with its usual stopping rule. It draws exploration pairs itself."""

    def __call__(
        self,
        model: LoadedModel,
        behaviour: Behaviour,
        *,
        pairs: int = PAIRS,
        budget: float = math.inf,
        seed: int = 0,
        progress: Progress = lambda _done, _of: None,
    ) -> Found:
        """Run it.

        Args:
            pairs: the most exploration pairs that it may draw.
            budget: the most forward passes of one prompt that it may spend; it draws fewer pairs where they would cost
                more.
            seed: of the pairs.
            progress: is told how much of it is done, of how much.

        Raises:
            UserError: a behaviour without answers or with too few pairs, a budget that too few pairs fit in, or a model
                that the method cannot be run on.
            FloatingPointError: the model produced NaN or infinity; names the prompt.
        """
        ...


def places(model: LoadedModel) -> tuple[str, ...]:
    """Every head and MLP of a model, as it runs: a0.h0, a0.h1, ..., m0, a1.h0, ..."""
    layers, heads = int(model.cfg.n_layers), int(model.cfg.n_heads)
    return tuple(
        name for layer in range(layers) for name in (*(f"a{layer}.h{head}" for head in range(heads)), f"m{layer}")
    )


def exploration_pairs(behaviour: Behaviour, pairs: int, seed: int, budget: float, each: float) -> PromptPairs:
    """As many exploration pairs as there are, as were asked for, and as the budget pays.

    Args:
        each: forward passes that a pair costs, at most.

    Raises:
        UserError: that is fewer than `LEAST`, or the behaviour has no answers.
    """
    if behaviour.kind != "pairs":
        raise UserError(f"{behaviour.name} is plain text, without answers: choose a behaviour with prompt pairs.")
    if pairs < LEAST:
        raise UserError(f"pairs = {pairs}: give {LEAST} at least.")
    if budget < LEAST * each:
        raise UserError(
            f"{budget:,.0f} forward passes are not enough: a pair costs up to {each:,.0f} here, and {LEAST} pairs are "
            f"needed. Give a budget of {LEAST * each:,.0f} or more, or choose a cheaper method."
        )
    wanted = min(pairs, int(budget // each)) if math.isfinite(budget) else pairs
    there = available(behaviour, "exploration", most=wanted)
    if there < LEAST:
        raise UserError(f"{behaviour.name} has {there} exploration pairs; {LEAST} are needed: give it more fillers.")
    return behaviour.sample(min(wanted, there), seed=seed, split="exploration")


def ranked(scores: Mapping[str, float]) -> tuple[tuple[str, float], ...]:
    """The largest |score| first; ties as the model runs (the order of `scores`)."""
    return tuple(sorted(scores.items(), key=lambda item: -abs(item[1])))


def chosen(ranking: Iterable[tuple[str, float]], which: Iterable[str]) -> tuple[str, ...]:
    """Some of a ranking's components, best first."""
    kept = frozenset(which)
    return tuple(name for name, _ in ranking if name in kept)
