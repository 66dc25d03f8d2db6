"""Per-prompt numbers read off the logits at the last token. Never averaged here.

    logit_diff   logit(answer) - logit(wrong); in logits. Larger: the behaviour is stronger.
    prob_diff    probability(answer) - probability(wrong); in [-1, 1].
    kl           KL(base || intervened) over the next token; in nats. Zero: nothing changed.
    loss         mean next-token cross-entropy over the text; in nats. Larger is worse. For plain text only.

A difference of logits is linear in the final residual stream up to the last norm, and blind to what all logits share;
a difference of probabilities saturates (Heimersheim & Nanda 2024, "How to use and interpret activation patching").
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from jaxtyping import Float, Int

Metric = Literal["logit_diff", "prob_diff", "kl", "loss"]
METRICS: tuple[str, ...] = get_args(Metric)


def pair_metric(
    metric: Metric,
    logits: Float[torch.Tensor, "row vocab"],
    answer: Int[torch.Tensor, " row"],
    wrong: Int[torch.Tensor, " row"],
    base_logits: Float[torch.Tensor, "row vocab"] | None = None,
) -> Float[torch.Tensor, " row"]:
    """One number a row from the logits at the answer position.

    Raises:
        ValueError: `kl` without `base_logits`, or a metric that is not read off one position.
    """
    if metric == "logit_diff":
        return _difference(logits, answer, wrong)
    if metric == "prob_diff":
        return _difference(logits.softmax(-1), answer, wrong)
    if metric == "kl" and base_logits is not None:
        base = base_logits.log_softmax(-1)
        terms = base.exp() * (base - logits.log_softmax(-1))
        return torch.where(base == -torch.inf, 0.0, terms).sum(-1)  # a token that cannot come adds nothing
    raise ValueError(f"{metric!r} is not a metric of one position" + (" without base logits" if metric == "kl" else ""))


def text_loss(
    logits: Float[torch.Tensor, "row pos vocab"],
    tokens: Int[torch.Tensor, "row pos"],
    lengths: Int[torch.Tensor, " row"],
) -> Float[torch.Tensor, " row"]:
    """Mean next-token cross-entropy of the first `lengths` tokens of each row, in nats."""
    log_probs = logits[:, :-1].log_softmax(-1)
    losses = -log_probs.gather(-1, tokens[:, 1:, None]).squeeze(-1)
    real = torch.arange(1, tokens.shape[1], device=tokens.device) < lengths[:, None]
    return (losses * real).sum(-1) / real.sum(-1)


def _difference(values: torch.Tensor, answer: torch.Tensor, wrong: torch.Tensor) -> torch.Tensor:
    rows = torch.arange(values.shape[0], device=values.device)
    return values[rows, answer] - values[rows, wrong]
