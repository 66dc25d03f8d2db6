"""Pairs in batches that fit into memory, and the scores of batches put together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from lakatos.tools.behaviour import Ints, PromptPairs, TokenBatch, encode
from lakatos.tools.errors import UserError
from lakatos.tools.forward import together
from lakatos.tools.forward.abilities import abilities
from lakatos.tools.metric import METRICS
from lakatos.tools.model import Bridge

Floats = NDArray[np.float32]
Progress = Callable[[int, int], None]
MAX_TOKENS = 512  # that are differentiated together, unless the caller says otherwise
_RUN = 4  # times as many may be run: that takes less memory


def chunks(model: Bridge, pairs: PromptPairs, metric: str, ig_steps: int, max_tokens: int) -> list[TokenBatch]:
    """The pairs as batches of at most `max_tokens` tokens (or one pair), several lengths together where that is safe.

    Raises:
        UserError: there are no pairs with answers, or the metric or `ig_steps` do not fit.
    """
    if metric not in METRICS or metric == "loss":
        raise UserError(
            f"Attribution needs a metric that is read at the last token, and {metric!r} is not one: "
            "choose logit_diff, prob_diff or kl."
        )
    if pairs.kind == "text":
        raise UserError(f"{pairs.behaviour} is plain text, without answers to attribute: choose one with prompt pairs.")
    if not len(pairs):
        raise UserError("Attribution needs at least one prompt pair, and there is none.")
    if ig_steps < 1:
        raise UserError(f"ig_steps must be 1 (attribution patching) or more (integrated gradients), not {ig_steps}.")
    batches = together(model, encode(pairs, model.tokenizer))
    windows = abilities(model).windows
    return [
        batch.part(rows)
        for batch in batches
        for rows in _rows_of(spans(batch) if windows else batch.lengths, batch.lengths, max_tokens)
    ]


def spans(batch: TokenBatch) -> Ints:
    """[n] how many tokens there are from the first that differs to the last, at least 1."""
    differ = batch.clean != batch.corrupted
    first = np.where(differ.any(1), differ.argmax(1), batch.positions["END"])
    return batch.lengths - first


def reported(batches: Sequence[TokenBatch], progress: Progress) -> Iterator[TokenBatch]:
    """The batches one by one; tells, once each is done with, of its pairs."""
    done, of = 0, sum(len(batch.index) for batch in batches)
    for batch in batches:
        yield batch
        for _ in batch.index:
            done += 1
            progress(done, of)


def check_finite(pairs: PromptPairs, index: Ints, *values: Floats) -> None:
    """Refuse NaN and infinity in arrays [n, ...] that belong to the pairs at `index` [n], naming the prompt.

    Raises:
        FloatingPointError
    """
    for numbers in values:
        bad = ~np.isfinite(numbers.reshape(len(numbers), -1)).all(1)
        if bad.any():
            raise FloatingPointError(f"Attribution on {pairs[int(index[bad][0])].clean!r} gave NaN or infinity.")


def to_numpy(tensor: torch.Tensor) -> Floats:
    """Detached, on the CPU, in float32."""
    return tensor.detach().float().cpu().numpy()


def _rows_of(widths: Ints, lengths: Ints, max_tokens: int) -> Iterator[slice]:
    """Cut rows so that no piece has more positions to differentiate, nor four times as many to run, or is one row."""
    start = 0
    for stop in range(1, len(widths) + 1):
        most = 0
        if stop < len(widths):
            piece = slice(start, stop + 1)
            most = (stop + 1 - start) * max(int(widths[piece].max()), -(-int(lengths[piece].max()) // _RUN))
        if stop == len(widths) or most > max_tokens:
            yield slice(start, stop)
            start = stop
