"""The vocabulary of models that are set by hand: the words of their behaviours' files."""

from __future__ import annotations

from dataclasses import dataclass

from lakatos.tools.behaviour import load_behaviour
from lakatos.tools.model.wording import bigrams, fillers, literals

RECALL = "planted_recall"


@dataclass(frozen=True)
class Words:
    """The vocabulary, read off the behaviours' files."""

    all: tuple[str, ...]
    names: frozenset[str]  # what is looked up
    things: frozenset[str]  # what is found
    follows: dict[str, tuple[str, ...]]  # plain text's bigrams

    @classmethod
    def known(cls) -> Words:
        """Of recall and of plain text; all other behaviours of these models are made of the same words."""
        recall, follows = load_behaviour(RECALL), bigrams()
        names, things = (frozenset(fillers(recall, kind)) for kind in ("name", "thing"))
        return cls(tuple(sorted({*names, *things, *literals(recall), *follows})), names, things, follows)
