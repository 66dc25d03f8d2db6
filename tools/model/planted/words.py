"""The vocabulary of models that are set by hand: the words of their behaviours' files, each a token."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

from lakatos.tools.behaviour import SPLITS, Behaviour, load_behaviour, parse_markup

RECALL, TEXT = "planted_recall", "planted_text"
SPECIAL: Final = ("<s>", "<pad>", "<unk>")


@dataclass(frozen=True)
class Words:
    """The vocabulary, read off the behaviours' files."""

    all: tuple[str, ...]
    names: frozenset[str]  # what is looked up
    things: frozenset[str]  # what is found
    follows: dict[str, frozenset[str]]  # plain text's bigrams

    @classmethod
    def known(cls) -> Words:
        """Of recall and of plain text; all other behaviours of these models are made of the same words."""
        recall, text = load_behaviour(RECALL), load_behaviour(TEXT)
        couples = [tuple(couple.split()) for couple in _fillers(text, "couple")]
        joints = frozenset(_literals(text))
        follows = {first: frozenset([second]) for first, second in couples}
        follows |= {second: joints for _, second in couples}
        follows |= dict.fromkeys(joints, frozenset(first for first, _ in couples))
        names = frozenset(_fillers(recall, "name"))
        things = frozenset(_fillers(recall, "thing"))
        found = {*names, *things, *_literals(recall), *follows}
        return cls(tuple(sorted(found)), names, things, follows)


def _fillers(behaviour: Behaviour, kind: str) -> list[str]:
    return [str(filler) for split in SPLITS for filler in behaviour.fillers[kind].of(split)]


def _literals(behaviour: Behaviour) -> Iterator[str]:
    """The words of templates that are not filled in."""
    for text in chain.from_iterable(behaviour.texts(split).values() for split in SPLITS):
        yield from chain.from_iterable(p.value.split() for p in parse_markup(text).pieces if p.kind == "text")


def word_tokenizer(words: Sequence[str]) -> Any:
    """A word is a token, with or without a space before it."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import PreTrainedTokenizerFast

    start, padding, unknown = SPECIAL
    known = {word: i for i, word in enumerate((*SPECIAL, *words))}
    tokenizer = Tokenizer(WordLevel(known, unk_token=unknown))
    tokenizer.pre_tokenizer = Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=start,
        eos_token=start,
        pad_token=padding,
        unk_token=unknown,
        name_or_path="planted",  # with this and the next, TransformerLens does not look for it on the hub
        add_bos_token=True,
    )
