"""Where heads look, per prompt: shares of attention from one role to others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from lakatos.tools.behaviour import PromptPairs, encode
from lakatos.tools.component import Component
from lakatos.tools.errors import UserError
from lakatos.tools.forward.abilities import abilities

Masses = dict[str, NDArray[np.float64]]  # position -> [n_pairs] share of attention


class Looking(NamedTuple):
    """Heads without a position, and the named position that looks."""

    heads: tuple[Component, ...]
    source: str


def attention_masses(model: Any, pairs: PromptPairs, looking: Sequence[Looking]) -> list[Masses]:
    """The share of heads' attention that goes from one named position to each, on the clean prompts: one forward pass.

    Args:
        looking: whose attention is read; the shares of several heads are averaged.

    Returns:
        For each, position -> [n_pairs], in [0, 1]; and "elsewhere": the largest of all earlier tokens that have no
        name, the first one (where attention is parked) left out; 0 where there is none.

    Raises:
        UserError: a head that is not there, or patterns that the model does not show.
        FloatingPointError: the model produced NaN or infinity.
    """
    bridge = getattr(model, "bridge", model)
    hooks = {head: _hook(bridge, head) for heads, _ in looking for head in heads}
    masses: list[Masses] = [{} for _ in looking]
    for batch in encode(pairs, bridge.tokenizer):
        tokens = torch.from_numpy(batch.clean).to(bridge.cfg.device)
        with torch.no_grad():
            _, cache = bridge.run_with_cache(tokens, names_filter=set(hooks.values()).__contains__)
        rows = np.arange(len(batch.index))
        for own, (heads, source) in zip(masses, looking, strict=True):
            at = batch.positions[source]
            found = [cache[hooks[head]][rows, head.index, at].double().cpu().numpy() for head in heads]
            mean = np.mean(found, axis=0)
            if not np.isfinite(mean).all():
                raise FloatingPointError(f"The attention of {' + '.join(map(str, heads))} has no finite shares.")
            for name, share in _shares(mean, at, batch.positions).items():
                own.setdefault(name, np.zeros(len(pairs)))[batch.index] = share
    return masses


def _hook(bridge: Any, head: Component) -> str:
    """Where the head's pattern is read."""
    pattern = Component(head.layer, "pattern", head.index)
    pattern.check(bridge.cfg)
    hook, known = pattern.hook_name(int(bridge.cfg.n_layers)), abilities(bridge)
    if hook not in bridge.hook_dict:
        raise UserError(f"{pattern}: this model has no hook {hook}, so its attention cannot be read.")
    if known.shapes:
        pattern.check_shape(bridge.cfg, known.shapes.get(hook), known.trial)
    return hook


def _shares(
    share: NDArray[np.float64], at: NDArray[np.int64], positions: dict[str, NDArray[np.int64]]
) -> dict[str, NDArray[np.float64]]:
    """[n] of each named position and of the rest, of shares [n, token]; `at` [n] is the token that looks."""
    rows, token = np.arange(len(share)), np.arange(share.shape[1])
    unnamed = (token > 0) & (token <= at[:, None])
    found = {}
    for name, named in positions.items():
        found[name] = share[rows, named]
        unnamed &= token != named[:, None]
    return {**found, "elsewhere": (share * unnamed).max(-1)}
