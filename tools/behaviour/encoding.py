"""Prompt pairs as token arrays for one tokenizer, grouped by length so that nothing is ever padded.

Everything that patching silently gets wrong is an error here: clean and corrupted prompts of unequal length, an answer
of several tokens, an answer that merges with the prompt, a named position that is elsewhere in the corrupted prompt.
The beginning-of-sequence token is the behaviour's choice and never the tokenizer's default, because it changes what
is measured (induction without one: pair accuracy .21 for a pair at the very start of the prompt, with one 1.0).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lakatos.tools.behaviour.markup import Span
from lakatos.tools.behaviour.pairs import PromptPair, PromptPairs
from lakatos.tools.behaviour.problems import Misfit
from lakatos.tools.errors import UserError

Ints = NDArray[np.int64]


class Tokenizer(Protocol):
    """What is used of a Hugging Face fast tokenizer: this call, and `bos_token_id` where a behaviour says "model"."""

    def __call__(self, text: str, *, add_special_tokens: bool, return_offsets_mapping: bool) -> Mapping[str, Any]: ...


@dataclass(frozen=True)
class TokenBatch:
    """Pairs of one token length, BOS included. For plain text, corrupted is clean and the answers are 0."""

    index: Ints  # [n] position of each in the PromptPairs
    clean: Ints  # [n, pos]
    corrupted: Ints  # [n, pos]
    answer: Ints  # [n]
    wrong: Ints  # [n]
    positions: dict[str, Ints]  # name -> [n] token index; "END" is the last token of each

    @property
    def lengths(self) -> Ints:
        """[n] tokens of each prompt; less than pos where the batch is padded."""
        return self.positions["END"] + 1

    def parts(self, at_once: int | None) -> list[TokenBatch]:
        """The batch in pieces of at most so many prompts, none wider than its longest prompt."""
        if at_once is None or at_once >= len(self.index):
            return [self]
        return [self.part(slice(i, i + at_once)) for i in range(0, len(self.index), at_once)]

    def part(self, rows: slice) -> TokenBatch:
        """Some of the pairs, none wider than their longest prompt."""
        width = int(self.lengths[rows].max())
        positions = {name: at[rows] for name, at in self.positions.items()}
        return TokenBatch(
            self.index[rows],
            self.clean[rows, :width],
            self.corrupted[rows, :width],
            self.answer[rows],
            self.wrong[rows],
            positions,
        )


@dataclass(frozen=True)
class _Encoded:
    clean: list[int]
    corrupted: list[int]
    answer: int
    wrong: int
    positions: dict[str, int]


def encode(pairs: PromptPairs, tokenizer: Tokenizer) -> list[TokenBatch]:
    """Tokenise: one batch for each token length, shortest first, the order of `pairs` kept inside.

    `positions` holds the names that all of `pairs` have. Raises UserError, naming the prompt, its tokens and the cure.
    """
    bos = bos_tokens(pairs.bos, tokenizer)
    encoded = [encode_pair(pair, bos, tokenizer, text_only=pairs.kind == "text") for pair in pairs]
    names = [n for n in (encoded[0].positions if encoded else ()) if all(n in e.positions for e in encoded)]
    groups: dict[int, list[int]] = {}
    for i, item in enumerate(encoded):
        groups.setdefault(len(item.clean), []).append(i)
    return [_batch(groups[length], encoded, names) for length in sorted(groups)]


def pad(batches: Sequence[TokenBatch]) -> TokenBatch:
    """One batch of several token lengths, padded on the right by repeating each prompt's last token.

    For causal models only: there no token sees what comes after it, so padding changes nothing up to `END`.
    """
    width = max(batch.clean.shape[1] for batch in batches)

    def joined(tokens: Sequence[Ints]) -> Ints:
        return np.concatenate([np.pad(t, ((0, 0), (0, width - t.shape[1])), mode="edge") for t in tokens])

    return TokenBatch(
        index=np.concatenate([b.index for b in batches]),
        clean=joined([b.clean for b in batches]),
        corrupted=joined([b.corrupted for b in batches]),
        answer=np.concatenate([b.answer for b in batches]),
        wrong=np.concatenate([b.wrong for b in batches]),
        positions={name: np.concatenate([b.positions[name] for b in batches]) for name in batches[0].positions},
    )


def bos_tokens(bos: str | None, tokenizer: Tokenizer) -> list[int]:
    """The tokens to prepend: none, or exactly one. Raises UserError where the tokenizer has no such token."""
    if bos is None:
        return []
    if bos == "model":
        token = getattr(tokenizer, "bos_token_id", None)
        if token is None:
            raise UserError('bos: "model" needs a tokenizer with a bos token, and this one has none; use "\\n"')
        return [int(token)]
    ids, _ = tokens_of(bos, tokenizer)
    if len(ids) != 1:
        raise UserError(f"bos: {bos!r} is {len(ids)} tokens here, {_shown(bos, tokenizer)}; choose one of one token")
    return ids


def encode_pair(pair: PromptPair, bos: list[int], tokenizer: Tokenizer, text_only: bool) -> _Encoded:
    """One pair as tokens. Raises Misfit where that would spoil an experiment."""
    clean, offsets = tokens_of(pair.clean, tokenizer)
    positions = _positions(pair.clean, pair.spans_clean, offsets, len(bos))
    positions["END"] = len(bos) + len(clean) - 1
    if text_only:
        return _Encoded(bos + clean, bos + clean, 0, 0, positions)
    corrupted, corrupted_offsets = tokens_of(pair.corrupted, tokenizer)
    if len(clean) != len(corrupted):
        raise Misfit(
            "length",
            f"clean and corrupted differ in length (template {pair.template}): {len(clean)} tokens "
            f"{_shown(pair.clean, tokenizer)} and {len(corrupted)} tokens {_shown(pair.corrupted, tokenizer)}; "
            "give both equally many tokens",
        )
    there = _positions(pair.corrupted, pair.spans_corrupted, corrupted_offsets, len(bos))
    for name in there.keys() & positions.keys():
        if there[name] != positions[name]:
            raise Misfit(
                f"position {name}",
                f"position {name} is token {positions[name]} of {pair.clean!r} but {there[name]} of "
                f"{pair.corrupted!r} (template {pair.template}); put equally many tokens before it",
            )
    answer, wrong = (answer_token(text, tokenizer) for text in (pair.answer, pair.wrong))
    for prompt, ids in ((pair.clean, clean), (pair.corrupted, corrupted)):
        for text, token in ((pair.answer, answer), (pair.wrong, wrong)):
            if tokens_of(prompt + text, tokenizer)[0] != [*ids, token]:
                raise Misfit(
                    "final space" if prompt[-1:].isspace() else "merging answer",
                    f"the answer {text!r} merges with the end of the prompt {prompt!r}: together they are "
                    f"{_shown(prompt + text, tokenizer)}; {_apart_from(prompt, text)}",
                )
    return _Encoded(bos + clean, bos + corrupted, answer, wrong, positions)


def answer_token(text: str, tokenizer: Tokenizer) -> int:
    """The one token that an answer is. Raises Misfit where it is none or several."""
    ids, _ = tokens_of(text, tokenizer)
    if len(ids) == 1:
        return ids[0]
    cure = "choose another filler"
    if not text:
        cure = "write one"
    elif not text[0].isspace() and len(tokens_of(f" {text}", tokenizer)[0]) == 1:
        cure = f"begin it with a space: {f' {text}'!r} is one token"
    elif text[0] == " " and text[1:] and len(tokens_of(text[1:], tokenizer)[0]) == 1:
        cure = f"choose another filler; only without its space, {text[1:]!r}, is it one token"
    raise Misfit(
        "answer tokens",
        f"the answer {text!r} is {len(ids)} tokens, {_shown(text, tokenizer)}: an answer is one token; {cure}",
    )


def _apart_from(prompt: str, answer: str) -> str:
    """How to keep an answer from merging with the end of a prompt."""
    if prompt[-1:].isspace():
        return "move the space from the prompt to the answer"
    if prompt[-1:].isalnum() and answer[:1].isalnum():
        return f"begin the answer with a space: {f' {answer}'!r}"
    return "choose another answer, or end the prompt with other text"


def _positions(text: str, spans: Mapping[str, Span], offsets: Sequence[Span], shift: int) -> dict[str, int]:
    """The token that holds the last character of each span."""
    found: dict[str, int] = {}
    for name, (_, end) in spans.items():
        token = next((i for i, (start, stop) in enumerate(offsets) if start < end <= stop), None)
        if token is None:
            raise Misfit(
                f"token of {name}",
                f"position {name}: no token holds the last character of {text[:end]!r}; name other text",
            )
        found[name] = token + shift
    return found


def tokens_of(text: str, tokenizer: Tokenizer) -> tuple[list[int], list[Span]]:
    """The ids of a text's tokens and the characters of each. Raises UserError for a slow tokenizer."""
    try:
        encoding = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        offsets = encoding["offset_mapping"]
    except (NotImplementedError, KeyError) as error:
        raise UserError("this tokenizer gives no character offsets: load the fast one (use_fast=True)") from error
    return [int(i) for i in encoding["input_ids"]], [(int(start), int(stop)) for start, stop in offsets]


def _shown(text: str, tokenizer: Tokenizer) -> str:
    return str([text[start:stop] for start, stop in tokens_of(text, tokenizer)[1]])


def _batch(rows: list[int], encoded: list[_Encoded], names: list[str]) -> TokenBatch:
    items = [encoded[row] for row in rows]
    return TokenBatch(
        index=np.array(rows, dtype=np.int64),
        clean=np.array([item.clean for item in items], dtype=np.int64),
        corrupted=np.array([item.corrupted for item in items], dtype=np.int64),
        answer=np.array([item.answer for item in items], dtype=np.int64),
        wrong=np.array([item.wrong for item in items], dtype=np.int64),
        positions={name: np.array([item.positions[name] for item in items], dtype=np.int64) for name in names},
    )
