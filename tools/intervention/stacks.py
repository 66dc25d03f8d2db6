"""Cells run together in stacks that fit into memory."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import numpy as np
import torch

from lakatos.tools.behaviour import PromptPairs
from lakatos.tools.component import KINDS, Kind, groups_of
from lakatos.tools.errors import UserError
from lakatos.tools.forward import out_of_memory
from lakatos.tools.intervention.intervention import Intervention
from lakatos.tools.intervention.paths import direct, received
from lakatos.tools.intervention.plan import Chunk, Plan
from lakatos.tools.metric import Metric
from lakatos.tools.model import Bridge

_TOKENS = {"cpu": 2048, "cuda": 1 << 17}  # positions run at once: more gain nothing
_SHARE = 0.4  # of the memory allowed, for recorded runs and for a stack each; the rest is the allocators'
_SPARE = {"cpu": 96, "cuda": 1 << 13}  # positions run in vain that cost less than another stack


class Stacks:
    """Runs the cells of a batch in stacks that fit into memory."""

    def __init__(self, plan: Plan, metrics: list[Metric], memory: int | None) -> None:
        self.plan = plan
        self.metrics = metrics
        self.notices: list[str] = []
        device = torch.device(plan.device).type
        self._most = _TOKENS.get(device, _TOKENS["cuda"])
        self._spare = _SPARE.get(device, _SPARE["cuda"])
        if memory is None and device == "cuda":
            memory = torch.cuda.mem_get_info()[0]
        self._bytes = None if memory is None else int(_SHARE * memory)

    def measure(self, progress: Callable[[int], None]) -> np.ndarray:
        """[n_metrics, n_interventions, n]."""
        plan = self.plan
        base = np.stack([plan.batch.base_metric(plan.base, metric, plan.base) for metric in self.metrics])
        values = np.repeat(base[:, None], len(plan.interventions), axis=1)
        finished = values[0].size - len(plan.cells.row)
        for chunk in plan.chunks(self._tokens, self._spare):
            values[:, chunk.intervention, chunk.row] = self._run(chunk)
            finished += len(chunk.row)
            progress(finished)
        return values

    def _run(self, chunk: Chunk) -> np.ndarray:
        """[n_metrics, cell]; halved where it does not fit into memory."""
        try:
            found = self._metrics(chunk, self._final(chunk))
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            culprit = self.plan.interventions[chunk.intervention[0]]
        else:
            return torch.stack(found).cpu().double().numpy()
        half = len(chunk.row) // 2  # outside of the handler, which keeps the failed stack's tensors alive
        if not half:
            raise UserError(f"{culprit}: one prompt does not fit into memory. Use shorter prompts or a smaller model.")
        self._most = max(1, half * chunk.width)
        notice = f"A stack of {len(chunk.row)} cells did not fit into memory; stacks are of {half} now."
        self.notices.append(notice)
        warnings.warn(notice, ResourceWarning, stacklevel=2)
        return np.concatenate([self._run(chunk.take(part)) for part in (slice(half), slice(half, None))], axis=1)

    def _final(self, chunk: Chunk) -> torch.Tensor:
        """[cell, width, d_model] after the last block."""
        plan = self.plan
        kind = plan.interventions[chunk.intervention[0]].kind
        if kind == "direct":
            return direct(plan, chunk)
        if kind == "path":
            writes = received(plan, chunk)
        else:
            writes = plan.writes(chunk, lambda i: () if i.keep else i.components)
        window = chunk.window(plan.device)
        final = plan.batch.recording(plan.base).resume(window, chunk.since.tolist(), writes.hooks())
        writes.check()
        return final

    def _metrics(self, chunk: Chunk, final: torch.Tensor) -> list[torch.Tensor]:
        plan = self.plan
        rows = chunk.window(plan.device).rows
        if not plan.batch.is_text:
            step = torch.from_numpy(plan.end[chunk.row] - chunk.start).to(plan.device)
            final = final[torch.arange(len(final), device=plan.device), step]
        return plan.batch.measure(self.metrics, final, rows, plan.base)

    def _tokens(self, width: int) -> int:
        """How many positions may run at once in windows of this width."""
        if self._bytes is None:
            return self._most
        cfg, length = self.plan.model.cfg, self.plan.length
        groups = groups_of(cfg)
        per_token = 8 * cfg.d_model + 4 * (cfg.d_mlp or 4 * cfg.d_model) + cfg.n_heads * (6 * cfg.d_head + 4 * length)
        per_cell = width * per_token + length * cfg.d_head * (4 * groups + 2 * cfg.n_heads)
        per_cell += 0 if self.metrics == ["logit_diff"] and self.plan.known.columns else 4 * cfg.d_vocab
        fit = self._bytes // int(per_cell) // max(4, int(cfg.dtype.itemsize))
        return int(min(self._most, max(1, fit) * width))


def prompts_at_once(model: Bridge, pairs: PromptPairs, interventions: Sequence[Intervention], memory: int) -> int:
    """How many prompts' recorded runs fit into their share of the memory: clean, corrupted, donors', what is read."""
    cfg = model.cfg
    tokens = (len(model.tokenizer(p.clean, add_special_tokens=False)["input_ids"]) for p in pairs)
    length = 1 + max(tokens, default=0)
    groups = groups_of(cfg)
    kinds: set[Kind] = {"attention", "mlp", *(c.kind for i in interventions for c in i.components)}
    read = sum(KINDS[kind].size(cfg, length) for kind in kinds)
    runs = 2 + any(i.source == "resample" for i in interventions)
    per_layer = length * (runs * (cfg.d_model + 2 * groups * cfg.d_head) + read)
    each = cfg.dtype.itemsize * (cfg.n_layers * per_layer + 2 * cfg.d_vocab)
    return max(1, int(_SHARE * memory / each))
