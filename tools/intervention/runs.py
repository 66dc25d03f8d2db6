"""What interventions on the same prompts share: their tokens, recorded base and source runs, and metrics of these."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from lakatos.tools.behaviour import PromptPairs, TokenBatch, encode
from lakatos.tools.component import Component
from lakatos.tools.errors import UserError
from lakatos.tools.forward import Recording, together, unembed, unembed_columns, users_hooks
from lakatos.tools.forward.abilities import abilities
from lakatos.tools.metric import Metric, pair_metric, text_loss

_TEXT_TOKENS = 512  # of plain text unembedded at once


class Runs:
    """Everything about some prompt pairs that interventions share. Reuse it between calls: runs are recorded once.

    What was recorded is kept as long as this object, and `memory=` does not bound it. Weights and hooks must stay as
    they are meanwhile (`check`).

    Args:
        model: a TransformerBridge.
        pairs: what is run.
        donors: as many prompts of the same shapes, whose clean runs are the source of resample ablation.
        dataset: prompts whose clean runs are averaged for mean ablation. Give prompts that are not among `pairs`.
        at_once: the most prompts of one batch, of the pairs and of the dataset.

    Raises:
        UserError: there are no prompts, or clean, corrupted and donor prompts do not fit each other.
    """

    def __init__(
        self,
        model: Any,
        pairs: PromptPairs,
        donors: PromptPairs | None = None,
        dataset: PromptPairs | None = None,
        at_once: int | None = None,
    ) -> None:
        if not len(pairs):
            raise UserError("There are no prompts to run.")
        if dataset is not None and not len(dataset):
            raise UserError("There are no prompts to average over: dataset= is empty.")
        self.model = model
        self.pairs = pairs
        self._state = _state(model)
        tokenizer = model.tokenizer
        donor_rows = None if donors is None else _rows(encode(donors, tokenizer))
        if donors is not None and len(donors) != len(pairs):
            raise UserError(f"{len(pairs)} pairs need as many donor prompts, not {len(donors)}.")
        batches = together(model, encode(pairs, tokenizer))
        self.forgotten = 0.0  # forward passes of batches that were given up
        self.means = None if dataset is None else Means(model, dataset, at_once)
        text = pairs.kind == "text"
        self.batches = [
            BatchRuns(model, part, text, _donors_of(part, donor_rows), self.means)
            for batch in batches
            for part in batch.parts(at_once)
        ]

    def check(self, model: Any) -> None:
        """Ask whether these are runs of this model as it is.

        Raises:
            UserError
        """
        if self.model is not model:
            raise UserError("These Runs are of another model: make them with the one that you measure.")
        if self._state != _state(model):
            raise UserError("The model's weights or hooks were changed since these Runs were made: make new ones.")

    def take_forwards(self) -> float:
        """Forward passes of one prompt spent since the last call."""
        spent, self.forgotten = self.forgotten + sum(batch.take_forwards() for batch in self.batches), 0.0
        return spent + (self.means.take_forwards() if self.means else 0.0)

    def forget(self) -> None:
        """Give back the memory of the recorded runs."""
        for batch in self.batches:
            batch.forget()


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


class Means:
    """Mean activations of a dataset's clean prompts: at each token index, and at each named position."""

    def __init__(self, model: Any, dataset: PromptPairs, at_once: int | None = None) -> None:
        self.dataset = dataset
        self._runs = Runs(model, dataset, at_once=at_once)
        self._tables: dict[str, torch.Tensor] = {}
        batches = [run.batch for run in self._runs.batches]
        self.length = max(batch.clean.shape[1] for batch in batches)
        self.names = sorted(set.intersection(*(set(batch.positions) for batch in batches)))

    def table(self, component: Component) -> torch.Tensor:
        """[length + names, ...]: the mean over prompts that reach a token index; then the mean at each name.

        The rows of an attention pattern are as long as the longest prompt.
        """
        self.collect([component])
        return self._tables[component.hook_name(self._runs.model.cfg.n_layers)]

    @torch.no_grad()
    def collect(self, components: Iterable[Component]) -> None:
        """Average what is not known yet of these components; the dataset is run once for all of them."""
        model, n_layers = self._runs.model, self._runs.model.cfg.n_layers
        wanted = {c.hook_name(n_layers): c for c in components if c.hook_name(n_layers) not in self._tables}
        if not wanted:
            return
        totals: dict[str, torch.Tensor] = {}
        count = torch.zeros(self.length + len(self.names))
        for run in self._runs.batches:
            places = [torch.from_numpy(run.batch.positions[name]) for name in self.names]
            real = torch.arange(run.batch.clean.shape[1]) < torch.from_numpy(run.batch.lengths)[:, None]
            count[: real.shape[1]] += real.sum(0)
            count[self.length :] += len(run)
            recording = run.recording("clean", {name: c.block(n_layers) for name, c in wanted.items()})
            for name, component in wanted.items():
                values = by_position(component, recording.activations[name]).float()
                if component.known.heads_first:
                    values = torch.nn.functional.pad(values, (0, self.length - values.shape[-1]))
                total = totals.setdefault(name, values.new_zeros(len(count), *values.shape[2:]))
                total[: values.shape[1]] += torch.where(_wide(real, values), values, 0).sum(0)
                for k, at in enumerate(places):
                    total[self.length + k] += values[torch.arange(len(run)), at].sum(0)
            self._runs.forgotten += run.take_forwards()
            run.forget()
        self._tables |= {name: (total / _wide(count, total)).to(model.cfg.dtype) for name, total in totals.items()}

    def check(self, component: Component, longest: int) -> None:
        """Ask whether there is a mean for the component wherever it is to be replaced.

        Args:
            longest: tokens of the longest prompt in which it is.

        Raises:
            UserError: the dataset has no prompt that is long enough; what is beyond it has no mean.
        """
        position = component.position
        needed = longest if position is None else position + 1 if isinstance(position, int) else 0
        if needed > self.length:
            raise UserError(f"{component}: the dataset to average over has no prompt of {needed} tokens or more.")

    def row(self, component: Component, batch: TokenBatch) -> int | None:
        """The row of the table for the component's named position; None where the token index itself is meant.

        Raises:
            UserError: a prompt of the dataset has no such position, or it is elsewhere and a pattern would look there.
        """
        position = component.position
        if not isinstance(position, str):
            return None
        if position not in self.names:
            raise UserError(f"{component}: the dataset to average over has no position {position!r} in every prompt.")
        places = [run.batch.positions[position] for run in self._runs.batches] + [batch.positions[position]]
        if component.known.heads_first and len(np.unique(np.concatenate(places))) > 1:
            raise UserError(
                f"{component}: {position} is at several token indices, and a mean of attention patterns from different "
                "places looks nowhere in particular. Take prompts of one length."
            )
        return int(self.length + self.names.index(position))

    def take_forwards(self) -> float:
        """Forward passes of one prompt spent since the last call."""
        return self._runs.take_forwards()


def _state(model: Any) -> tuple[float, frozenset[Any]]:
    """Changes when weights are written to, by whatever way, and when hooks are put on or taken off.

    Weights are what a saved model has. The other buffers are a model's own notes: some rotary embeddings write there
    how long the last prompt was.
    """
    samples = []
    for tensor in model.original_model.state_dict().values():
        values = tensor.detach().reshape(-1)
        samples.append(values[:: max(1, len(values) // 64)].double().nan_to_num().sum().cpu())
    weighted = sum(float(sample) * (k + 1) for k, sample in enumerate(samples))
    return weighted, users_hooks(model)


def by_position(component: Component, activation: torch.Tensor) -> torch.Tensor:
    """[n, pos, ...], with heads after positions: a pattern comes as [n, head, pos, source]."""
    return activation.transpose(1, 2) if component.known.heads_first else activation


def _wide(mask: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    return mask.to(values.device).reshape(*mask.shape, *[1] * (values.dim() - mask.dim()))


Row = tuple[np.ndarray, dict[str, int]]


def _rows(batches: Iterable[TokenBatch]) -> dict[int, Row]:
    """Each prompt's clean tokens and named positions, by its place among the pairs."""
    return {
        int(place): (batch.clean[k], {name: int(at[k]) for name, at in batch.positions.items()})
        for batch in batches
        for k, place in enumerate(batch.index)
    }


def _donors_of(batch: TokenBatch, rows: dict[int, Row] | None) -> tuple[np.ndarray, dict[str, np.ndarray]] | None:
    if rows is None:
        return None
    chosen = [rows[int(place)] for place in batch.index]
    if any(len(tokens) != length for (tokens, _), length in zip(chosen, batch.lengths, strict=True)):
        raise UserError("A donor prompt must have as many tokens as the prompt it replaces (see draw_donors).")
    names = [name for name in batch.positions if all(name in at for _, at in chosen)]
    positions = {name: np.array([at[name] for _, at in chosen]) for name in names}
    width = batch.clean.shape[1]
    return np.stack([np.pad(tokens, (0, width - len(tokens)), mode="edge") for tokens, _ in chosen]), positions
