"""Who steps in when a component is missing: what writes more towards the answer than it did before.

A component that another makes up for shows little when it is ablated alone, and the other shows nothing: backup heads
are found by second-order ablation (Wang et al. 2022; McGrath et al. 2023). This is its first, cheap half: it ranks
candidates, and interventions on both decide.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from lakatos.tools.behaviour import PromptPairs, TokenBatch, encode
from lakatos.tools.component import Component
from lakatos.tools.exploration.hooks import NodeHooks
from lakatos.tools.forward import hooked, unembed
from lakatos.tools.model import Bridge


def stepping_in(
    model: Bridge, pairs: PromptPairs, donors: PromptPairs, missing: Sequence[Component]
) -> list[dict[Component, float]]:
    """How much more each later head and MLP writes along the answer's direction once a component is ablated.

    The direction is the gradient of logit(answer) - logit(wrong) at the last token's residual stream after the last
    block, on the clean run. A head's write is its z times its rows of W_O.

    Args:
        model: a TransformerBridge.
        pairs: exploration pairs, of which the clean prompts are run.
        donors: as many prompts of the same shapes; their activations replace the missing ones (resample ablation).
        missing: heads or MLPs; each is ablated by itself, at every position.

    Returns:
        For each missing component: later components -> mean growth in logits; positive makes up for the loss.
        The cost is 2 + len(missing) forward passes a pair.
    """
    own = _Writes(model)
    sums: list[dict[Component, float]] = [defaultdict(float) for _ in missing]
    others = _rows(encode(donors, model.tokenizer))
    for batch in encode(pairs, model.tokenizer):
        tokens = torch.from_numpy(batch.clean).to(model.cfg.device)
        instead = torch.from_numpy(np.stack([others[int(place)] for place in batch.index])).to(model.cfg.device)
        hooks = {component.hook_name(own.layers) for component in missing}
        with torch.no_grad():
            _, replaced = model.run_with_cache(instead, names_filter=hooks.__contains__)
        direction, before = own.direction(tokens, batch), own.writes(tokens, batch)
        for found, component in zip(sums, missing, strict=True):
            name = component.hook_name(own.layers)
            after = own.writes(tokens, batch, {name: own.put(component, replaced[name])})
            for later, change in own.growth(after, before, direction):
                if later.layer > component.layer:  # and can read what is missing
                    found[later] += change / len(pairs)
    return [dict(found) for found in sums]


class _Writes:
    """What heads and MLPs write at the last token."""

    def __init__(self, model: Bridge) -> None:
        self.model = model
        self.hooks = NodeHooks(int(model.cfg.n_layers))
        self.layers, self.heads = int(model.cfg.n_layers), int(model.cfg.n_heads)

    def direction(self, tokens: torch.Tensor, batch: TokenBatch) -> torch.Tensor:
        """[n, d_model] the gradient of the logit difference at the last residual stream."""
        with torch.no_grad():
            _, cache = self.model.run_with_cache(tokens, names_filter=[self.hooks.final].__contains__)
        rows, end = torch.arange(len(tokens)), torch.from_numpy(batch.positions["END"])
        final = cache[self.hooks.final][rows, end].detach().requires_grad_()
        with torch.enable_grad():
            logits = unembed(self.model, final.unsqueeze(1)).squeeze(1)
            answer, wrong = (torch.from_numpy(ids).to(logits.device) for ids in (batch.answer, batch.wrong))
            difference = logits[rows, answer] - logits[rows, wrong]
            found: torch.Tensor = torch.autograd.grad(difference.sum(), final)[0]
        return found.float()

    def writes(
        self, tokens: torch.Tensor, batch: TokenBatch, replaced: dict[str, Callable[..., torch.Tensor]] | None = None
    ) -> dict[str, torch.Tensor]:
        """Hook name -> [n, ...] every head's z and every MLP's output at the last token."""
        wanted = {*self.hooks.heads, *self.hooks.mlps}
        with torch.no_grad(), hooked(self.model, {name: [hook] for name, hook in (replaced or {}).items()}):
            _, cache = self.model.run_with_cache(tokens, names_filter=wanted.__contains__)
        rows, end = torch.arange(len(tokens)), torch.from_numpy(batch.positions["END"])
        return {name: cache[name][rows, end].float() for name in wanted}

    def put(self, component: Component, other: torch.Tensor) -> Callable[..., torch.Tensor]:
        """A hook that puts another prompt's activation in a component's place, at every position."""

        def hook(activation: torch.Tensor, hook: Any = None) -> torch.Tensor:  # noqa: ARG001 - its name there
            if component.kind != "head":
                return other.to(activation.dtype)
            units = (*activation.shape[:2], self.heads, -1)
            changed = activation.reshape(units).clone()
            changed[:, :, component.index] = other.reshape(units)[:, :, component.index].to(activation.dtype)
            return changed.reshape(activation.shape)

        return hook

    def growth(
        self, after: dict[str, torch.Tensor], before: dict[str, torch.Tensor], direction: torch.Tensor
    ) -> list[tuple[Component, float]]:
        """Each head and MLP with the summed change of what it writes along the direction."""
        found = []
        for layer, (heads, mlp) in enumerate(zip(self.hooks.heads, self.hooks.mlps, strict=True)):
            change = (after[heads] - before[heads]).reshape(len(direction), self.heads, -1)
            weight = self.model.blocks[layer].attn.W_O.detach().float()  # [head, d_head, d_model]
            by_head = torch.einsum("nhe,hed,nd->h", change, weight, direction)
            found += [(Component(layer, "head", head), float(value)) for head, value in enumerate(by_head)]
            found.append((Component(layer, "mlp"), float(((after[mlp] - before[mlp]) * direction).sum())))
        return found


def _rows(batches: Sequence[TokenBatch]) -> dict[int, Any]:
    """Each prompt's clean tokens, by its place among the pairs."""
    return {int(place): batch.clean[k] for batch in batches for k, place in enumerate(batch.index)}
