"""The logit lens: what the residual stream would answer, layer by layer (nostalgebraist 2020).

The last norm and the unembedding are applied to the residual stream before each block and after the last. Early layers
speak another language than the last norm expects, so a low share there does not show that the answer is not there yet.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
import torch

from lakatos.tools.behaviour import PromptPairs, encode
from lakatos.tools.exploration.hooks import NodeHooks
from lakatos.tools.forward import unembed
from lakatos.tools.model import Bridge

_TOP = 3


class LensRow(NamedTuple):
    """What one layer's residual stream says at a position, averaged over pairs."""

    layer: int  # before block `layer`; n_layers: after the last
    difference: float  # logit(answer) - logit(wrong)
    first: float  # share of pairs on which the answer has the largest logit of all tokens, in [0, 1]
    top: tuple[str, ...]  # the tokens that most often have the largest logit


def logit_lens(model: Bridge, pairs: PromptPairs, position: str) -> list[LensRow]:
    """What the residual stream says at a named position of the clean prompts: one forward pass a pair.

    Args:
        model: a TransformerBridge.
        pairs: exploration pairs.
        position: a named position of the behaviour.

    Returns:
        A row for each layer, the first one first.
    """
    hooks = NodeHooks(int(model.cfg.n_layers)).residuals
    difference, first = np.zeros(len(hooks)), np.zeros(len(hooks))
    top: list[Counter[int]] = [Counter() for _ in hooks]
    for batch in encode(pairs, model.tokenizer):
        tokens = torch.from_numpy(batch.clean).to(model.cfg.device)
        with torch.no_grad():
            _, cache = model.run_with_cache(tokens, names_filter=set(hooks).__contains__)
        rows, at = torch.arange(len(tokens)), torch.from_numpy(batch.positions[position])
        answer, wrong = torch.from_numpy(batch.answer), torch.from_numpy(batch.wrong)
        for layer, hook in enumerate(hooks):
            with torch.no_grad():
                logits = unembed(model, cache[hook][rows, at].unsqueeze(1)).squeeze(1).float().cpu()
            largest = logits.argmax(-1)
            difference[layer] += float((logits[rows, answer] - logits[rows, wrong]).sum()) / len(pairs)
            first[layer] += float((largest == answer).sum()) / len(pairs)
            top[layer].update(largest.tolist())
    words = [tuple(model.tokenizer.decode([token]) for token, _ in own.most_common(_TOP)) for own in top]
    return [LensRow(k, float(difference[k]), float(first[k]), words[k]) for k in range(len(hooks))]
