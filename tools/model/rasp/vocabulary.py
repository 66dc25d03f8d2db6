"""The words of a model that runs a program: its symbols and answers, words that it ignores, and those of plain text."""

from __future__ import annotations

from itertools import chain
from typing import NamedTuple

from lakatos.tools.model.rasp.programs import Program
from lakatos.tools.model.wording import bigrams

IGNORED = {  # no program's alphabet has them; either split its own
    "exploration": ("apple", "brook", "cedar", "daisy", "eagle", "ferry", "grape", "heron", "ivory", "jewel"),
    "confirmation": ("kite", "lemon", "maple", "olive", "pearl", "quilt", "robin", "tulip", "velvet", "willow"),
}
FIXED = {"exploration": ("so", "now"), "confirmation": ("then", "thus")}  # of templates


class Vocabulary(NamedTuple):
    words: tuple[str, ...]  # in the order of their tokens, the special ones left out
    follows: dict[str, tuple[str, ...]]  # plain text's bigrams


def vocabulary(program: Program) -> Vocabulary:
    """The words of a program's model, sorted."""
    follows = bigrams()
    others = chain(*IGNORED.values(), *FIXED.values())
    return Vocabulary(tuple(sorted({*program.alphabet, *program.answers, *others, *follows})), follows)
