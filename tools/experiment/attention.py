"""Where heads look, per prompt: shares of attention from one role to others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lakatos.tools.behaviour import PromptPairs, encode
from lakatos.tools.component import Component
from lakatos.tools.errors import UserError
from lakatos.tools.forward.abilities import abilities


def attention_masses(
    model: Any, pairs: PromptPairs, heads: Sequence[Component], source: str
) -> dict[str, NDArray[np.float64]]:
    """The share of the heads' attention that goes from one named position to each, on the clean prompts.

    Args:
        heads: heads without a position; their shares are averaged.
        source: the named position that looks.

    Returns:
        Position -> [n_pairs], in [0, 1]; and "elsewhere": the largest of all earlier tokens that have no name, the
        first one (where attention is parked) left out; 0 where there is none.

    Raises:
        UserError: a head that is not there, or patterns that the model does not show.
    """
    bridge = getattr(model, "bridge", model)
    patterns = [Component(head.layer, "pattern", head.index) for head in heads]
    n_layers, known = int(bridge.cfg.n_layers), abilities(bridge)
    for pattern in patterns:
        pattern.check(bridge.cfg)
        hook = pattern.hook_name(n_layers)
        if hook not in bridge.hook_dict:
            raise UserError(f"{pattern}: this model has no hook {hook}, so its attention cannot be read.")
        if known.shapes:
            pattern.check_shape(bridge.cfg, known.shapes.get(hook), known.trial)
    hooks = {p.hook_name(n_layers) for p in patterns}
    masses: dict[str, NDArray[np.float64]] = {}
    for batch in encode(pairs, bridge.tokenizer):
        tokens = torch.from_numpy(batch.clean).to(bridge.cfg.device)
        with torch.no_grad():
            _, cache = bridge.run_with_cache(tokens, names_filter=lambda name: name in hooks)
        rows = np.arange(len(batch.index))
        at = batch.positions[source]
        found = [cache[p.hook_name(n_layers)][rows, p.index, at].double().cpu().numpy() for p in patterns]
        share = np.mean(found, axis=0)  # [n, token]
        token = np.arange(share.shape[1])
        unnamed = (token > 0) & (token <= at[:, None])
        for name, named in batch.positions.items():
            masses.setdefault(name, np.zeros(len(pairs)))[batch.index] = share[rows, named]
            unnamed &= token != named[:, None]
        rest = (share * unnamed).max(-1)
        masses.setdefault("elsewhere", np.zeros(len(pairs)))[batch.index] = rest
    return masses
