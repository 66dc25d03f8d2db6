"""Numbers worked out by hand."""

from __future__ import annotations

from math import e, log

import pytest
import torch

from lakatos.tools.metric import METRICS, pair_metric, text_loss

# probabilities 1/2, 1/4, 1/4 and 1/5, 1/5, 3/5; a shift of all logits changes nothing
LOGITS = torch.tensor([[log(2), 0, 0], [5.0, 5.0, 5 + log(3)]], dtype=torch.float64)
ANSWER, WRONG = torch.tensor([0, 0]), torch.tensor([1, 2])


def test_logit_difference_is_answer_minus_wrong() -> None:
    assert pair_metric("logit_diff", LOGITS, ANSWER, WRONG).tolist() == pytest.approx([log(2), -log(3)])


def test_probability_difference() -> None:
    assert pair_metric("prob_diff", LOGITS, ANSWER, WRONG).tolist() == pytest.approx([1 / 4, -2 / 5])


def test_kl_is_from_the_base_to_the_intervened() -> None:
    base = torch.tensor([[0.0, 0.0, -1000.0], [0.0, 0.0, 0.0]], dtype=torch.float64)  # 1/2, 1/2, 0 and thirds
    expected = [0.5 * log(0.5 / 0.5) + 0.5 * log(0.5 / 0.25), (2 * log(5 / 3) + log(5 / 9)) / 3]
    assert pair_metric("kl", LOGITS, ANSWER, WRONG, base).tolist() == pytest.approx(expected)
    assert pair_metric("kl", LOGITS, ANSWER, WRONG, LOGITS).tolist() == pytest.approx([0, 0])


def test_loss_predicts_each_next_token_and_leaves_out_the_first() -> None:
    logits = torch.log(torch.tensor([[[1 / e, 1 - 1 / e], [1 / e**3, 1 - 1 / e**3], [0.5, 0.5]]], dtype=torch.float64))
    tokens = torch.tensor([[1, 0, 0]])
    assert text_loss(logits, tokens, torch.tensor([3])).tolist() == pytest.approx([(1 + 3) / 2])
    assert text_loss(logits, tokens, torch.tensor([2])).tolist() == pytest.approx([1]), "what is padding does not count"


def test_every_row_has_its_own_number() -> None:
    assert all(
        pair_metric(m, LOGITS, ANSWER, WRONG, LOGITS).shape == (2,)  # type: ignore[arg-type]
        for m in METRICS
        if m != "loss"
    )


def test_a_metric_that_cannot_be_had_says_so() -> None:
    with pytest.raises(ValueError, match="without base logits"):
        pair_metric("kl", LOGITS, ANSWER, WRONG)
    with pytest.raises(ValueError, match="'loss' is not a metric of one position"):
        pair_metric("loss", LOGITS, ANSWER, WRONG)
