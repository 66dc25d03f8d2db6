"""The words of a model that runs a program: its symbols and answers, words that it ignores, and those of plain text."""

from __future__ import annotations

from itertools import chain
from typing import Any, NamedTuple

from lakatos.tools.behaviour import SPLITS, load_behaviour, parse_markup
from lakatos.tools.model.rasp.programs import Program

CONTROL = "planted_text"  # couples of words; the second follows from the first
SPECIAL = ("<s>", "<pad>", "<unk>")
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
    follows = _bigrams()
    others = chain(*IGNORED.values(), *FIXED.values())
    return Vocabulary(tuple(sorted({*program.alphabet, *program.answers, *others, *follows})), follows)


def _bigrams() -> dict[str, tuple[str, ...]]:
    text = load_behaviour(CONTROL)
    couples = [str(couple).split() for split in SPLITS for couple in text.fillers["couple"].of(split)]
    texts = [each for split in SPLITS for each in text.texts(split).values()]
    pieces = [piece for each in texts for piece in parse_markup(each).pieces if piece.kind == "text"]
    joints = tuple(sorted({word for piece in pieces for word in piece.value.split()}))
    firsts = tuple(first for first, _ in couples)
    return (
        {first: (second,) for first, second in couples}
        | {second: joints for _, second in couples}
        | dict.fromkeys(joints, firsts)
    )


def tokenizer(words: tuple[str, ...]) -> Any:
    """A word is a token, with or without a space before it."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import PreTrainedTokenizerFast

    start, padding, unknown = SPECIAL
    made = Tokenizer(WordLevel({word: i for i, word in enumerate((*SPECIAL, *words))}, unk_token=unknown))
    made.pre_tokenizer = Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        bos_token=start,
        eos_token=start,
        pad_token=padding,
        unk_token=unknown,
        name_or_path="rasp",  # with this and the next, TransformerLens does not look for it on the hub
        add_bos_token=True,
    )
