"""Prompt pairs as plain texts: what a behaviour draws, and what a model is run on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args, overload

from lakatos.tools.behaviour.markup import Span
from lakatos.tools.errors import UserError

Split = Literal["exploration", "confirmation"]
SPLITS: tuple[Split, ...] = get_args(Split)


@dataclass(frozen=True)
class PromptPair:
    """One clean prompt and its corrupted twin, as plain texts."""

    uid: str  # 16 hex digits over the behaviour's hash and the texts below
    template: str  # the template's id
    clean: str
    corrupted: str  # "" where the behaviour is plain text, and so are answer and wrong
    answer: str  # with its leading space
    wrong: str
    spans_clean: dict[str, Span]  # named position -> characters
    spans_corrupted: dict[str, Span]


@dataclass(frozen=True)
class PromptPairs(Sequence[PromptPair]):
    """Pairs drawn from one behaviour, and how to draw them again. Slicing gives PromptPairs."""

    pairs: tuple[PromptPair, ...]
    behaviour: str
    hash: str
    bos: str | None
    kind: Literal["pairs", "text"]
    split: Split
    seed: int | None  # None: drawn with several seeds
    family: str | None = None  # None: of the split's own templates

    def __len__(self) -> int:
        return len(self.pairs)

    @overload
    def __getitem__(self, index: int) -> PromptPair: ...
    @overload
    def __getitem__(self, index: slice) -> PromptPairs: ...
    def __getitem__(self, index: int | slice) -> PromptPair | PromptPairs:
        return replace(self, pairs=self.pairs[index]) if isinstance(index, slice) else self.pairs[index]

    def concat(self, *others: PromptPairs) -> PromptPairs:
        """These pairs, then the others'. Raises UserError where behaviour, version, split or family differ."""
        for other in others:
            if other._origin != self._origin:
                raise UserError(
                    f"pairs of {self.behaviour} {self._origin} and of {other.behaviour} {other._origin} cannot be "
                    "joined: one behaviour, split and family at a time"
                )
        seed = self.seed if all(other.seed == self.seed for other in others) else None
        return replace(self, pairs=sum((other.pairs for other in others), self.pairs), seed=seed)

    @property
    def _origin(self) -> tuple[str | None, ...]:
        return self.hash, self.bos, self.split, self.family
