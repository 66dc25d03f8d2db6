"""The recorded runs of one batch, and the metrics of these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from lakatos.tools.behaviour import TokenBatch
from lakatos.tools.errors import UserError
from lakatos.tools.forward import Recording, unembed, unembed_columns
from lakatos.tools.forward.abilities import abilities
from lakatos.tools.intervention.means import Means
from lakatos.tools.metric import Metric, pair_metric, text_loss

_TEXT_TOKENS = 512  # of plain text unembedded at once


@dataclass
class BatchRuns:
    """The runs of pairs that go through the model together, made when first asked for."""

    model: Any
    batch: TokenBatch
    is_text: bool
    donors: tuple[np.ndarray, dict[str, np.ndarray]] | None = None
    means: Means | None = None
    forwards: float = 0.0
    _recordings: dict[str, Recording] = field(default_factory=dict)
    _logits: dict[str, torch.Tensor] = field(default_factory=dict)
    _metrics: dict[tuple[str, Metric, str], np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.batch.index)

    def ids(self, which: str) -> np.ndarray:
        """[n, pos] token ids of the clean, corrupted or donor ("resample") prompts."""
        if which == "resample" and self.donors is None:
            raise UserError("Resample ablation needs donor prompts: pass donors= (see draw_donors).")
        donors = None if self.donors is None else self.donors[0]
        ids = {"clean": self.batch.clean, "corrupted": self.batch.corrupted, "resample": donors}[which]
        assert ids is not None
        return ids

    def tokens(self, which: str) -> torch.Tensor:
        """The same, on the model's device."""
        return torch.from_numpy(self.ids(which)).to(self.model.cfg.device)

    def same(self, which: str) -> str:
        """The name under which a run is kept: plain text has no corrupted run of its own."""
        return "clean" if self.is_text and which == "corrupted" else which

    def recording(self, which: str, names: Mapping[str, int] | None = None, layers: int | None = None) -> Recording:
        """The run of these prompts with the activations at the hook points `names` (name -> block).

        Args:
            layers: stop after so many blocks where that is enough.
        """
        which, names = self.same(which), names or {}
        wanted = self.model.cfg.n_layers if layers is None else layers
        known = self._recordings.get(which)
        if known is None or known.layers < wanted:
            if known is not None:
                self._spend(known)
                names = {**dict.fromkeys(known.activations, 0), **names}
            roles = abilities(self.model).roles
            known = Recording.record(self.model, self.tokens(which), roles, layers=wanted, names=list(names))
            self._recordings[which] = known
        known.collect(names)
        return known

    @torch.no_grad()
    def logits(self, which: str) -> torch.Tensor:
        """[n, vocab] at the answer position; [n, pos, vocab] for plain text."""
        which = self.same(which)
        if which not in self._logits:
            if abilities(self.model).blocks:
                final = self.recording(which).hidden[-1]
                found = unembed(self.model, final if self.is_text else self._at_end(final).unsqueeze(1))
            else:
                self.forwards += len(self)
                found = self.model(self.tokens(which), return_type="logits")
                found = found if self.is_text else self._at_end(found).unsqueeze(1)
            self._logits[which] = found if self.is_text else found.squeeze(1)
        return self._logits[which]

    def measure(
        self, metrics: Sequence[Metric], residual: torch.Tensor, rows: torch.Tensor, base: str
    ) -> list[torch.Tensor]:
        """Metrics [cell] each of the last residual stream: [cell, d_model] at END, [cell, pos, d_model] of plain text.

        Args:
            rows: [cell] which prompt of the batch each cell is.
        """
        if self.is_text:
            step = max(1, _TEXT_TOKENS // residual.shape[1])
            parts = zip(torch.split(residual, step), torch.split(rows, step), strict=True)
            loss = torch.cat([self._loss(unembed(self.model, part), row) for part, row in parts])
            return [loss for _ in metrics]
        answer, wrong = (torch.from_numpy(a).to(rows.device)[rows] for a in (self.batch.answer, self.batch.wrong))
        if all(metric == "logit_diff" for metric in metrics) and abilities(self.model).columns:
            found = unembed_columns(self.model, residual, torch.stack([answer, wrong], 1))
            return [found[:, 0] - found[:, 1] for _ in metrics]
        return self.read(metrics, unembed(self.model, residual.unsqueeze(1)).squeeze(1), rows, base)

    def read(
        self, metrics: Sequence[Metric], logits: torch.Tensor, rows: torch.Tensor, base: str
    ) -> list[torch.Tensor]:
        """Metrics [cell] each of logits [cell, vocab] at END, or [cell, pos, vocab] of plain text."""
        if self.is_text:
            return [self._loss(logits, rows) for _ in metrics]
        answer, wrong = (torch.from_numpy(a).to(rows.device)[rows] for a in (self.batch.answer, self.batch.wrong))
        own = self.logits(base)[rows].float() if "kl" in metrics else None
        return [pair_metric(metric, logits.float(), answer, wrong, own) for metric in metrics]

    @torch.no_grad()
    def base_metric(self, which: str, metric: Metric, base: str) -> np.ndarray:
        """[n] on the clean or the corrupted run itself; `kl` is from the run `base`."""
        key = (self.same(which), metric, self.same(base))
        if key not in self._metrics:
            rows = torch.arange(len(self), device=self.model.cfg.device)
            if abilities(self.model).blocks:
                final = self.recording(which).hidden[-1]
                found = self.measure([metric], final if self.is_text else self._at_end(final), rows, base)
            else:
                found = self.read([metric], self.logits(which), rows, base)
            self._metrics[key] = found[0].cpu().double().numpy()
        return self._metrics[key]

    def alone(self, row: int) -> BatchRuns:
        """One prompt by itself, with runs of its own, as long as it is and no longer."""
        batch = self.batch.part(slice(row, row + 1))
        donors = None
        if self.donors is not None:
            ids, named = self.donors
            donors = ids[row : row + 1, : batch.clean.shape[1]], {name: at[row : row + 1] for name, at in named.items()}
        return BatchRuns(self.model, batch, self.is_text, donors, self.means)

    def largest_logit(self, which: str) -> float:
        """The largest of a run's logits where metrics are read: what rounding errors are proportional to."""
        return float(self.logits(which).float().abs().nan_to_num(0.0, 0.0, 0.0).max())

    def positions(self, position: str | int, which: str = "clean") -> np.ndarray:
        """[n] token indices of a position in the clean/corrupted or the donor prompts."""
        if isinstance(position, int):
            return np.full(len(self), position)
        named = self.batch.positions if which != "resample" or self.donors is None else self.donors[1]
        if position not in named:
            raise UserError(f"The donor prompts have no position {position!r}; they have {', '.join(sorted(named))}.")
        return named[position]

    def take_forwards(self) -> float:
        """Forward passes of one prompt spent since the last call."""
        for recording in self._recordings.values():
            self._spend(recording)
        spent, self.forwards = self.forwards, 0.0
        return spent

    def forget(self) -> None:
        """Give back the memory of the recorded runs."""
        for recording in self._recordings.values():
            self._spend(recording)
        self._recordings.clear()
        self._logits.clear()

    def _spend(self, recording: Recording) -> None:
        self.forwards += recording.passes / self.model.cfg.n_layers
        recording.passes = 0.0

    def _at_end(self, values: torch.Tensor) -> torch.Tensor:
        return values[torch.arange(len(values)), torch.from_numpy(self.batch.positions["END"])]

    def _loss(self, logits: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        lengths = torch.from_numpy(self.batch.lengths).to(logits.device)[rows]
        return text_loss(logits.float(), self.tokens("clean")[rows], lengths)
