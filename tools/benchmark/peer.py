"""TransformerLens's own way through single cells of a sweep, as its users go it: what ours is timed against.

A call takes prompts of one length, so pairs of several lengths take several calls; a cell is one forward pass of all
pairs. What it patches from is recorded before, at the hook points that are needed, and is no part of a cell's time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from lakatos.tools.behaviour import PromptPairs, TokenBatch, encode
from lakatos.tools.component import Component, Kind
from lakatos.tools.intervention import Intervention
from lakatos.tools.metric import pair_metric, text_loss


@dataclass
class Group:
    """Prompts of one length, and what was recorded of them."""

    batch: TokenBatch
    clean: torch.Tensor  # [n, pos]
    corrupted: torch.Tensor
    answer: torch.Tensor  # [n]
    wrong: torch.Tensor
    donors: torch.Tensor | None
    caches: dict[str, Any] = field(default_factory=dict)  # by run: hook point -> activation

    def metric(self, logits: torch.Tensor) -> torch.Tensor:
        """[n] the difference of logits at the last position."""
        return pair_metric("logit_diff", logits[:, -1].float(), self.answer, self.wrong)


class Peer:
    """Some pairs on a model, cell by cell.

    Args:
        model: a TransformerBridge.
        pairs: prompt pairs or plain texts.
        points: hook points to record of the runs that cells read.
        donors: aligned with `pairs`.
    """

    def __init__(
        self, model: Any, pairs: PromptPairs, points: Sequence[str], donors: PromptPairs | None = None
    ) -> None:
        self.model, self.text, self.n = model, pairs.kind == "text", len(pairs)
        device = model.cfg.device
        by_place: dict[int, np.ndarray] = {}
        for b in encode(donors, model.tokenizer) if donors is not None else ():
            by_place |= {int(place): row for place, row in zip(b.index, b.clean, strict=True)}
        self.groups = []
        for b in encode(pairs, model.tokenizer):
            other = moved(np.stack([by_place[int(i)] for i in b.index]), device) if donors is not None else None
            clean, corrupted, answer, wrong = (moved(x, device) for x in (b.clean, b.corrupted, b.answer, b.wrong))
            self.groups.append(Group(b, clean, corrupted, answer, wrong, other))
        with torch.no_grad():
            for group in self.groups:
                runs: dict[str, torch.Tensor | None] = {
                    "clean": group.clean,
                    "corrupted": group.corrupted,
                    "resample": group.donors,
                }
                for name, given in runs.items():
                    if points and given is not None and (name == "resample") == (donors is not None):
                        group.caches[name] = model.run_with_cache(given, names_filter=list(points))[1]

    @property
    def lengths(self) -> np.ndarray:
        """[pair] tokens, in the groups' order."""
        return np.concatenate([group.batch.lengths for group in self.groups])

    def patched(self, intervention: Intervention) -> np.ndarray:
        """[pair] one component of the clean run in the corrupted run, by `transformer_lens.patching`."""
        import pandas as pd
        from transformer_lens import patching

        component = intervention.components[0]
        names = {"head": "z", "mlp": "mlp_out", "residual": "resid_pre", "attention": "attn_out"}
        index = {"layer": component.layer, "pos": component.position, "head": component.index}
        if component.kind == "head":
            whole = component.position is None
            setter = patching.layer_head_vector_patch_setter if whole else patching.layer_pos_head_vector_patch_setter
        else:
            setter = patching.layer_pos_patch_setter
        frame = pd.DataFrame([{k: v for k, v in index.items() if v is not None}])

        def one(group: Group) -> torch.Tensor:
            result = patching.generic_activation_patch(
                self.model, group.corrupted, group.caches["clean"], group.metric, setter, names[component.kind],
                index_df=frame, reduce="none",
            )  # fmt: skip
            values: torch.Tensor = result.values[0]
            return values

        with patch.object(patching, "tqdm", lambda rows, **_: rows):  # a bar for every cell would cost it time
            return self._each(one)

    def ablated(self, intervention: Intervention) -> np.ndarray:
        """[pair] one head or MLP of the donors' run in the clean run, by `run_with_hooks`; the loss of plain texts."""
        component = intervention.components[0]
        name = component.hook_name(int(self.model.cfg.n_layers))

        def one(group: Group) -> torch.Tensor:
            donor: torch.Tensor = group.caches["resample"][name]

            def replace(activation: torch.Tensor, hook: Any) -> torch.Tensor:  # noqa: ARG001 - TransformerLens names it
                if component.index is None:
                    return donor
                activation[:, :, component.index] = donor[:, :, component.index]
                return activation

            logits = self.model.run_with_hooks(group.clean, return_type="logits", fwd_hooks=[(name, replace)])
            if not self.text:
                return group.metric(logits)
            loss: torch.Tensor = text_loss(logits.float(), group.clean, moved(group.batch.lengths, logits.device))
            return loss

        return self._each(one)

    @contextmanager
    def split_queries(self) -> Iterator[None]:
        """Every head reads a residual stream of its own, as path patching into a query needs."""
        self.model.set_use_split_qkv_input(True)
        try:
            yield
        finally:
            self.model.set_use_split_qkv_input(False)

    def path(self, intervention: Intervention) -> np.ndarray:
        """[pair] a cell of `get_act_patch_direct_path`, which runs all receivers: this runs one. In `split_queries`."""
        sender, receiver = intervention.components[0], intervention.receivers[0]
        assert isinstance(receiver, Component)
        z = sender.hook_name(int(self.model.cfg.n_layers))
        weight = self.model.blocks[sender.layer].attn.W_O[sender.index]

        def one(group: Group) -> torch.Tensor:
            here = group.caches["clean"][z][:, :, sender.index] - group.caches["corrupted"][z][:, :, sender.index]
            delta = here @ weight

            def add(stream: torch.Tensor, hook: Any) -> torch.Tensor:  # noqa: ARG001 - TransformerLens names it
                changed = stream.clone()
                changed[:, :, receiver.index] += delta
                return changed

            point = f"blocks.{receiver.layer}.attn.hook_q_input"
            return group.metric(self.model.run_with_hooks(group.corrupted, fwd_hooks=[(point, add)]))

        return self._each(one)

    def attributed(self, pair: int) -> Any:
        """{node: score} of one pair, by `attribution_patch`."""
        from transformer_lens.tools.analysis.attribution_patching import attribution_patch

        group, row = next(
            (g, int(np.flatnonzero(g.batch.index == pair)[0])) for g in self.groups if pair in g.batch.index
        )
        answer, wrong = group.answer[row : row + 1], group.wrong[row : row + 1]

        def score(logits: torch.Tensor) -> torch.Tensor:
            return pair_metric("logit_diff", logits[:, -1].float(), answer, wrong)[0]

        clean, corrupted = (t[row : row + 1] for t in (group.clean, group.corrupted))
        return attribution_patch(self.model, clean, corrupted, score).node_scores

    @torch.no_grad()
    def _each(self, one: Callable[[Group], torch.Tensor]) -> np.ndarray:
        values = np.full(self.n, np.nan)
        for group in self.groups:
            values[group.batch.index] = one(group).cpu().double().numpy()
        return values


def moved(values: np.ndarray, device: Any) -> torch.Tensor:
    """The same on a device."""
    return torch.from_numpy(values).to(device)


def recorded(model: Any, kinds: Sequence[Kind]) -> list[str]:
    """The hook points of these kinds of components in every layer."""
    layers = int(model.cfg.n_layers)
    return [Component(layer, kind).hook_name(layers) for kind in kinds for layer in range(layers)]
