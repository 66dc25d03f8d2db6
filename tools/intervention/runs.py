"""What interventions on the same prompts share: their tokens, recorded base and source runs, and metrics of these."""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np

from lakatos.tools.behaviour import PromptPairs, TokenBatch, encode
from lakatos.tools.errors import UserError
from lakatos.tools.forward import together, users_hooks
from lakatos.tools.intervention.batch_runs import BatchRuns
from lakatos.tools.intervention.means import Means
from lakatos.tools.model import Bridge


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
        model: Bridge,
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
        donor_rows = None if donors is None else _donor_rows(donors, pairs, model)
        batches = together(model, encode(pairs, model.tokenizer))
        self.forgotten = 0.0  # forward passes of batches that were given up
        self.means = None if dataset is None else Means(Runs(model, dataset, at_once=at_once))
        text = pairs.kind == "text"
        self.batches = [
            BatchRuns(model, part, text, _donors_of(part, donor_rows), self.means)
            for batch in batches
            for part in batch.parts(at_once)
        ]

    def with_donors(self, donors: PromptPairs) -> Runs:
        """These runs, recorded once for both, with donors for resample ablation.

        Raises:
            UserError: the donors do not fit the pairs.
        """
        rows, found = _donor_rows(donors, self.pairs, self.model), copy(self)
        found.batches = [replace(own, donors=_donors_of(own.batch, rows), forwards=0.0) for own in self.batches]
        found.forgotten = 0.0
        return found

    def check(self, model: Bridge) -> None:
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


def _state(model: Bridge) -> tuple[float, frozenset[Any]]:
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


Row = tuple[np.ndarray, dict[str, int]]


def _donor_rows(donors: PromptPairs, pairs: PromptPairs, model: Bridge) -> dict[int, Row]:
    if len(donors) != len(pairs):
        raise UserError(f"{len(pairs)} pairs need as many donor prompts, not {len(donors)}.")
    return _rows(encode(donors, model.tokenizer))


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
