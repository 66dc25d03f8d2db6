"""Prompt pairs as token arrays for one tokenizer, grouped by length so that nothing is ever padded.

Everything that patching silently gets wrong is an error here: clean and corrupted prompts of unequal length, an answer
of several tokens, an answer that merges with the prompt, a named position that is elsewhere in the corrupted prompt.
The beginning-of-sequence token is the behaviour's choice and never the tokenizer's default, because it changes what
is measured (induction without one: pair accuracy .21 for a pair at the very start of the prompt, with one 1.0).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lakatos.tools.behaviour import Behaviour, Exhausted
from lakatos.tools.errors import UserError
from lakatos.tools.markup import Span, parse_markup
from lakatos.tools.pairs import SPLITS, PromptPair, PromptPairs

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
    encoded = [_encode_pair(pair, bos, tokenizer, text_only=pairs.kind == "text") for pair in pairs]
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
    ids, _ = _tokens(bos, tokenizer)
    if len(ids) != 1:
        raise UserError(f"bos: {bos!r} is {len(ids)} tokens here, {_shown(bos, tokenizer)}; choose one of one token")
    return ids


def static_problems(behaviour: Behaviour, tokenizer: Tokenizer, n: int = 200, seed: int = 0) -> list[str]:
    """What is wrong with a behaviour for this tokenizer, as sentences; [] when nothing is.

    Looks at `n` pairs of each split and family, and at every answer that the fillers can form.
    """
    problems: dict[str, None] = {}

    def note(check: Callable[[], object]) -> None:
        try:
            check()
        except UserError as error:
            problems[str(error)] = None

    try:
        bos = bos_tokens(behaviour.bos, tokenizer)
    except UserError as error:
        return [str(error)]
    for split in SPLITS:
        for answer in behaviour.answers(split):
            note(partial(_answer_token, answer, tokenizer))
    for split, family in behaviour.origins:
        for pair in _up_to(n, behaviour.stream(seed, split, family)):
            note(partial(_encode_pair, pair, bos, tokenizer, text_only=behaviour.kind == "text"))
        for label, text in behaviour.texts(split, family).items():
            if extra := [name for name in parse_markup(text).names if name not in behaviour.named_positions]:
                problems[f"{family or split}, {label}: position {', '.join(extra)} is not in every prompt"] = None
    return list(problems)


def _up_to(n: int, pairs: Iterator[PromptPair]) -> Iterator[PromptPair]:
    with suppress(Exhausted):
        yield from islice(pairs, n)


def _encode_pair(pair: PromptPair, bos: list[int], tokenizer: Tokenizer, text_only: bool) -> _Encoded:
    clean, offsets = _tokens(pair.clean, tokenizer)
    positions = _positions(pair.clean, pair.spans_clean, offsets, len(bos))
    positions["END"] = len(bos) + len(clean) - 1
    if text_only:
        return _Encoded(bos + clean, bos + clean, 0, 0, positions)
    corrupted, corrupted_offsets = _tokens(pair.corrupted, tokenizer)
    if len(clean) != len(corrupted):
        raise UserError(
            f"clean and corrupted differ in length (template {pair.template}): {len(clean)} tokens "
            f"{_shown(pair.clean, tokenizer)} and {len(corrupted)} tokens {_shown(pair.corrupted, tokenizer)}; "
            "use fillers of equally many tokens"
        )
    there = _positions(pair.corrupted, pair.spans_corrupted, corrupted_offsets, len(bos))
    for name in there.keys() & positions.keys():
        if there[name] != positions[name]:
            raise UserError(
                f"position {name} is token {positions[name]} of {pair.clean!r} but {there[name]} of "
                f"{pair.corrupted!r} (template {pair.template}); use fillers of equally many tokens before it"
            )
    answer, wrong = (_answer_token(text, tokenizer) for text in (pair.answer, pair.wrong))
    for prompt, ids in ((pair.clean, clean), (pair.corrupted, corrupted)):
        for text, token in ((pair.answer, answer), (pair.wrong, wrong)):
            if _tokens(prompt + text, tokenizer)[0] != [*ids, token]:
                raise UserError(
                    f"the answer {text!r} merges with the end of the prompt {prompt!r}: together they are "
                    f"{_shown(prompt + text, tokenizer)}; move the space from the prompt to the answer"
                )
    return _Encoded(bos + clean, bos + corrupted, answer, wrong, positions)


def _answer_token(text: str, tokenizer: Tokenizer) -> int:
    ids, _ = _tokens(text, tokenizer)
    if len(ids) != 1:
        raise UserError(
            f"the answer {text!r} is {len(ids)} tokens, {_shown(text, tokenizer)}: an answer is one token; "
            "choose another filler, or mind the leading space"
        )
    return ids[0]


def _positions(text: str, spans: Mapping[str, Span], offsets: Sequence[Span], shift: int) -> dict[str, int]:
    """The token that holds the last character of each span."""
    found: dict[str, int] = {}
    for name, (_, end) in spans.items():
        token = next((i for i, (start, stop) in enumerate(offsets) if start < end <= stop), None)
        if token is None:
            raise UserError(f"position {name}: no token holds the last character of {text[:end]!r}; name other text")
        found[name] = token + shift
    return found


def _tokens(text: str, tokenizer: Tokenizer) -> tuple[list[int], list[Span]]:
    try:
        encoding = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        offsets = encoding["offset_mapping"]
    except (NotImplementedError, KeyError) as error:
        raise UserError("this tokenizer gives no character offsets: load the fast one (use_fast=True)") from error
    return [int(i) for i in encoding["input_ids"]], [(int(start), int(stop)) for start, stop in offsets]


def _shown(text: str, tokenizer: Tokenizer) -> str:
    return str([text[start:stop] for start, stop in _tokens(text, tokenizer)[1]])


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
