"""What a model answers to prompts: the metric on both sides of each pair, and the token that it would say."""

from __future__ import annotations

from typing import NamedTuple

import torch

from lakatos.tools.behaviour import PromptPair, PromptPairs, encode
from lakatos.tools.model import Bridge


class Answered(NamedTuple):
    """A pair, and what the model makes of it."""

    pair: PromptPair
    clean: float  # logit(answer) - logit(wrong) on the clean prompt
    corrupted: float  # ... on the corrupted one
    said: str  # the token with the largest logit after the clean prompt
    probability: float  # of that token


def model_answers(model: Bridge, pairs: PromptPairs) -> list[Answered]:
    """What the model answers to each pair, in their order: two forward passes a pair."""
    found: dict[int, Answered] = {}
    for batch in encode(pairs, model.tokenizer):
        rows, end = torch.arange(len(batch.index)), torch.from_numpy(batch.positions["END"])
        answer, wrong = torch.from_numpy(batch.answer), torch.from_numpy(batch.wrong)
        logits = []
        for prompts in (batch.clean, batch.corrupted):
            with torch.no_grad():
                logits.append(model(torch.from_numpy(prompts).to(model.cfg.device))[rows, end].float().cpu())
        clean, corrupted = (own[rows, answer] - own[rows, wrong] for own in logits)
        shares = logits[0].softmax(-1)
        for k, place in enumerate(batch.index.tolist()):
            token = int(shares[k].argmax())
            said = model.tokenizer.decode([token])
            own = Answered(pairs[place], float(clean[k]), float(corrupted[k]), said, float(shares[k, token]))
            found[place] = own
    return [found[place] for place in range(len(pairs))]
