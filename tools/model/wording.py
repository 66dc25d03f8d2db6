"""Words, each a token; and plain text, in which the second word of every couple follows from the first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from lakatos.tools.behaviour import SPLITS, Behaviour, load_behaviour, parse_markup

TEXT: Final = "planted_text"  # couples of words, the control of every planted model
SPECIAL: Final = ("<s>", "<pad>", "<unk>")


def bigrams() -> dict[str, tuple[str, ...]]:
    """Which words may follow each word of plain text."""
    text = load_behaviour(TEXT)
    couples = [couple.split() for couple in fillers(text, "couple")]
    joints, firsts = tuple(sorted(literals(text))), tuple(first for first, _ in couples)
    follows = {first: (second,) for first, second in couples} | {second: joints for _, second in couples}
    return follows | dict.fromkeys(joints, firsts)


def fillers(behaviour: Behaviour, kind: str) -> list[str]:
    """The fillers of a kind, of both splits."""
    return [str(filler) for split in SPLITS for filler in behaviour.fillers[kind].of(split)]


def literals(behaviour: Behaviour) -> set[str]:
    """The words of templates that are not filled in."""
    texts = [text for split in SPLITS for text in behaviour.texts(split).values()]
    pieces = [piece for text in texts for piece in parse_markup(text).pieces if piece.kind == "text"]
    return {word for piece in pieces for word in piece.value.split()}


def word_tokenizer(words: Sequence[str]) -> Any:
    """A word is a token, with or without a space before it; the special ones come first."""
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
