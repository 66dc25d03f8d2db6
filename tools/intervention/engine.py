"""What happens to a metric when activations are replaced: the batched engine.

An intervention replaces the activations of some components during a base run:

    denoising   base="corrupted", source="clean"      what is enough to restore the behaviour
    noising     base="clean", source="corrupted"      what the behaviour cannot do without
    ablation    base="clean", source="resample"       ... against the activation on another prompt (a donor)
                              source="mean"           ... against the mean over a dataset at that position
                              source="zero"           ... against nothing
    path patching   to="a9.h6.q"                      only along the direct path into a receiver
    direct effect   to="logits"                       only what the component itself writes, all after it frozen
    circuit     keep=True                             everything but the components

`Effects.values` are the metric on the intervened run, per intervention and prompt pair: the effect is the caller's
difference. Nothing is averaged here.

How it is computed. What lies before an intervention's first block, or before the first position where anything
differs, is exactly what it was in the base run. So the base run is made once and kept at every block's input with its
keys and values; interventions are stacked along the batch, and each runs from its own block and position on; only the
answer's position, and for logit differences only the two answer tokens, are unembedded. The blocks are called with what
the model itself called them with, so nothing here knows an architecture. A model that cannot be driven so (tried once
per model, on a small batch) is measured by `reference.py`, one forward pass each, and `Effects.engine`
says it.

Calls are audited: a few random cells are measured by the reference too (`audit.py`). Where the two disagree, the whole
call is measured by the reference, `Effects.notices` names the cell, and the model is not driven any more.

Method: Vig et al. 2020; Meng et al. 2022; Wang et al. 2022 (paths); Chan et al. 2022 (resample ablation); Zhang & Nanda
2024.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch

from lakatos.tools.behaviour import PromptPairs
from lakatos.tools.errors import UserError
from lakatos.tools.forward import distrust, out_of_memory, settled
from lakatos.tools.forward.abilities import abilities
from lakatos.tools.intervention.audit import Audit, Audited, Disagreement
from lakatos.tools.intervention.checks import check_finite, check_interventions, check_texts
from lakatos.tools.intervention.intervention import Base, Intervention, everywhere
from lakatos.tools.intervention.plan import Plan
from lakatos.tools.intervention.reference import measure_by_forward
from lakatos.tools.intervention.runs import Runs
from lakatos.tools.intervention.stacks import Stacks, prompts_at_once
from lakatos.tools.metric import METRICS, Metric
from lakatos.tools.model import Bridge

Engine = Literal["suffix", "reference"]
Progress = Callable[[int, int], None]


class Effects(NamedTuple):
    """The metric per prompt pair, in the metric's own units (logits, probability, nats)."""

    values: np.ndarray  # [n_interventions, n_pairs] on the intervened runs
    clean: np.ndarray  # [n_pairs] on the clean run
    corrupted: np.ndarray  # [n_pairs] on the corrupted run
    engine: Engine
    forwards: float  # spent by the whole call, in forward passes of one prompt
    metric: Metric = "logit_diff"
    audited: Audited = Audited()  # what the reference measured too, and agreed on; part of `forwards`
    others: Mapping[str, Effects] = {}  # by the names of further metrics, and of controls (their loss)
    notices: tuple[str, ...] = ()  # what the caller should know, e.g. that memory did not suffice at first

    def of(self, name: str) -> Effects:
        """The same for another metric, or for a control, by its name."""
        return self if name == self.metric else self.others[name]


def run_interventions(
    model: Any,
    pairs: PromptPairs | Runs,
    interventions: Sequence[Intervention],
    *,
    base: Base = "corrupted",
    metric: Metric | Sequence[Metric] = "logit_diff",
    donors: PromptPairs | None = None,
    dataset: PromptPairs | None = None,
    controls: Mapping[str, PromptPairs | Runs] | None = None,
    memory: int | None = None,
    progress: Progress = lambda _done, _of: None,
) -> Effects:
    """Measure every intervention on every prompt pair.

    Args:
        model: a TransformerBridge, or a `LoadedModel`.
        pairs: prompt pairs, or `Runs` of them to reuse the base runs between calls.
        interventions: any mixture of layers, kinds, positions and sources.
        base: the run that is intervened on.
        metric: see `lakatos.tools.metric`; of several, the first is `Effects.values` and the others are
            `effects.of("kl")`, from the same pass. Plain text is always measured by `loss`.
        donors: prompts for `source="resample"`, aligned with `pairs`.
        dataset: prompts for `source="mean"`.
        controls: plain texts on which the same interventions are measured too, at all positions and on the clean run:
            `effects.of("plain_text")`. Give `Runs` where they need donors or a dataset of their own.
        memory: bytes that may be used beside the model, for recorded runs and for a stack of cells; `Runs` that you
            pass keep theirs. One prompt at least is run at once, however little that is.
        progress: is told how many cells (an intervention on a prompt) are done, of how many.

    Returns:
        Effects with values [n_interventions, n_pairs].

    Raises:
        UserError: a component, position or path that is not there, pairs of unequal length, missing donors, `Runs` of
            another model or of other weights, or a single prompt that does not fit into memory.
        FloatingPointError: the model produced NaN or infinity; names the intervention and the prompt.
    """
    bridge = getattr(model, "bridge", model)
    _check_asked(interventions, base)
    if not isinstance(pairs, Runs):
        at_once = None if memory is None else prompts_at_once(bridge, pairs, interventions, memory)
        runs = Runs(bridge, pairs, donors, dataset, at_once)
    else:
        runs = _given(bridge, pairs, donors, dataset)
    metrics = _metrics(metric, runs.pairs.kind == "text")
    if clash := {*metrics} & {*(controls or {})}:
        raise UserError(f"A control cannot have the name of a metric: {', '.join(clash)}.")
    if runs.pairs.kind == "text" or controls:
        check_texts(interventions)
    with torch.no_grad(), _edits_must_count(), settled(bridge):
        check_interventions(bridge, runs, interventions)
        effects = _measure(bridge, runs, interventions, base, metrics, memory, progress, keep=runs is pairs)
    if not controls:
        return effects
    anywhere = [everywhere(intervention) for intervention in interventions]
    found = {
        k: run_interventions(bridge, texts, anywhere, base="clean", memory=memory) for k, texts in controls.items()
    }
    return _joined(effects, found)


def _check_asked(interventions: Any, base: Any) -> None:
    if not isinstance(interventions, Sequence) or not all(isinstance(i, Intervention) for i in interventions):
        raise UserError('Give a list of interventions: [Intervention("a9.h6@END", "clean"), ...].')
    if base not in get_args(Base):
        raise UserError(f"base is one of {', '.join(get_args(Base))}, not {base!r}.")


def _given(model: Bridge, runs: Runs, donors: PromptPairs | None, dataset: PromptPairs | None) -> Runs:
    """Runs that the caller made, if they are of this model as it is."""
    if donors is not None or dataset is not None:
        raise UserError("donors= and dataset= belong to the Runs: pass them where you make these.")
    runs.check(model)
    return runs


def _joined(effects: Effects, others: Mapping[str, Effects]) -> Effects:
    """The effects with those on the control behaviours beside them."""
    return effects._replace(
        others={**effects.others, **others},
        forwards=effects.forwards + sum(other.forwards for other in others.values()),
        audited=sum((other.audited for other in others.values()), effects.audited),
        notices=effects.notices + tuple(notice for other in others.values() for notice in other.notices),
    )


def _shifted(progress: Progress, before: int, of: int, done: int) -> None:
    progress(before + done, of)


def _measure(
    model: Bridge,
    runs: Runs,
    interventions: Sequence[Intervention],
    base: Base,
    metrics: list[Metric],
    memory: int | None,
    progress: Progress,
    keep: bool,
) -> Effects:
    known = abilities(model)
    by_embedding = any(c.kind == "embedding" for i in interventions for c in i.components)
    measuring = _Measuring(model, runs, interventions, base, metrics, memory, progress, keep)
    if known.blocks and (known.embeddings or not by_embedding):
        try:
            return measuring.by("suffix")
        except Disagreement as found:
            distrust(model, f"the engine and the reference disagree: {found}")
    why = abilities(model).why or "its blocks are told of the embeddings by another way than the residual stream"
    measuring.notices.append(f"Measured by whole forward passes: {why}.")
    return measuring.by("reference")


@dataclass
class _Measuring:
    """One call: what is asked, and what came of it so far."""

    model: Any
    runs: Runs
    interventions: Sequence[Intervention]
    base: Base
    metrics: list[Metric]
    memory: int | None
    progress: Progress
    keep: bool  # the runs of a batch once it is measured
    notices: list[str] = field(default_factory=list)

    def by(self, engine: Engine) -> Effects:
        """Measure every batch.

        Raises:
            Disagreement: the audit found that the engine cannot be trusted with this model.
        """
        n, metrics, interventions = len(self.runs.pairs), self.metrics, self.interventions
        values = np.full((len(metrics), len(interventions), n), np.nan)
        clean, corrupted = np.full((2, len(metrics), n), np.nan)
        audit = Audit(self.model, interventions, self.base, metrics)
        done = 0
        for batch in self.runs.batches:
            where = batch.batch.index
            plan = Plan(self.model, batch, interventions, self.base)
            for k, of_both in enumerate(self._of_base_runs(plan)):
                clean[k, where], corrupted[k, where] = of_both
            if engine == "suffix":
                stacks = Stacks(plan, metrics, self.memory)
                cells = len(interventions) * n
                values[:, :, where] = found = stacks.measure(partial(_shifted, self.progress, done, cells))
                self.notices += stacks.notices
                audit.check(batch, found)
            else:
                values[:, :, where] = measure_by_forward(self.model, batch, interventions, self.base, metrics)
            done += len(interventions) * len(batch)
            self.progress(done, len(interventions) * n)
            if not self.keep:
                self.runs.forgotten += batch.take_forwards()
                batch.forget()
        for k, metric in enumerate(metrics):
            check_finite(metric, values[k], clean[k], corrupted[k], interventions, self.runs.pairs)
        spent, notices = self.runs.take_forwards(), tuple(self.notices)
        audit.done(spent)
        each = [
            Effects(values[k], clean[k], corrupted[k], engine, spent, metric, audit.audited, notices=notices)
            for k, metric in enumerate(metrics)
        ]
        return each[0]._replace(others={e.metric: e for e in each[1:]})

    def _of_base_runs(self, plan: Plan) -> list[tuple[np.ndarray, np.ndarray]]:
        """The base and source runs of a batch; each metric on the clean and on the corrupted one."""
        try:
            if plan.known.blocks:
                plan.prepare()
            return [
                (
                    plan.batch.base_metric("clean", metric, self.base),
                    plan.batch.base_metric("corrupted", metric, self.base),
                )
                for metric in self.metrics
            ]
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            raise UserError(
                f"The base and source runs of {len(plan.batch)} prompts do not fit into memory. Pass fewer, or "
                "memory=, the bytes that there are."
            ) from error


def _metrics(metric: Metric | Sequence[Metric], text: bool) -> list[Metric]:
    asked: list[Metric] = list(dict.fromkeys([metric] if isinstance(metric, str) else metric))
    known = [m for m in METRICS if text or m != "loss"]
    if not asked or not set(asked) <= set(known):
        raise UserError(f"metric is one of {', '.join(known)}, not {metric!r}; loss is of plain text alone.")
    return ["loss"] if text else asked


@contextmanager
def _edits_must_count() -> Iterator[None]:
    """TransformerLens warns where an edit has no effect; here it would be a wrong number."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=r"A hook on .* returned a modified tensor", category=UserWarning)
        try:
            yield
        except UserWarning as warning:
            where = re.match(r"A hook on (\S+)", str(warning))
            raise UserError(
                f"{where.group(1) if where else 'This hook'}: this model computes it inside one module, so it cannot "
                "be replaced."
            ) from warning
