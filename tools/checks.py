"""What interventions may not ask for, and what no model may answer: errors that name the culprit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lakatos.tools.abilities import abilities
from lakatos.tools.component import Component
from lakatos.tools.errors import UserError
from lakatos.tools.metric import Metric
from lakatos.tools.pairs import PromptPairs
from lakatos.tools.paths import check_path
from lakatos.tools.plan import Intervention
from lakatos.tools.runs import Runs


def check_interventions(model: Any, runs: Runs, interventions: Sequence[Intervention]) -> None:
    """Refuse what the model or the prompts do not have, naming it.

    Raises:
        UserError
    """
    for intervention in interventions:
        check_path(model, intervention)
        if intervention.keep and any(c.kind not in ("head", "attention", "mlp") for c in intervention.components):
            raise UserError(f"{intervention}: keep= takes heads (a9.h6), attentions (a9) and MLPs (m5).")
    named = [place for i in interventions for place in (*i.components, *i.receivers) if isinstance(place, Component)]
    n_layers, known = int(model.cfg.n_layers), abilities(model)
    names = set(runs.batches[0].batch.positions)  # those that all pairs have
    length = min(int(run.batch.lengths.min()) for run in runs.batches)
    for component in dict.fromkeys(named):
        component.check(model.cfg, names)
        hook = component.hook_name(n_layers)
        if hook not in model.hook_dict:
            raise UserError(f"{component}: this model has no hook {hook}, so it cannot be patched.")
        if component.kind == "neuron" and model.hook_dict[hook] is model.hook_dict[_mlp_output(component.layer)]:
            raise UserError(f"{component}: the MLP of layer {component.layer} is a mixture of experts.")
        if known.shapes:
            component.check_shape(model.cfg, known.shapes.get(hook), known.trial)
        if isinstance(component.position, int) and component.position >= length:
            raise UserError(f"{component}: the shortest prompt has {length} tokens, counted from 0.")


def check_texts(interventions: Sequence[Intervention]) -> None:
    """Refuse, on plain text, what has no meaning there.

    Raises:
        UserError
    """
    for intervention in interventions:
        if intervention.source in ("clean", "corrupted"):
            raise UserError(
                f"{intervention}: plain text has no corrupted run to patch from: use resample, mean or zero."
            )


def check_finite(
    metric: Metric,
    values: np.ndarray,
    clean: np.ndarray,
    corrupted: np.ndarray,
    interventions: Sequence[Intervention],
    pairs: PromptPairs,
) -> None:
    """Refuse NaN and infinity, naming the run or the intervention, and the prompt.

    Args:
        values: [n_interventions, n_pairs].
        clean, corrupted: [n_pairs].

    Raises:
        FloatingPointError
    """
    for label, numbers in (("clean", clean), ("corrupted", corrupted)):
        bad = np.flatnonzero(~np.isfinite(numbers))
        if bad.size:
            raise FloatingPointError(
                f"The {label} run of {pairs[int(bad[0])].clean!r} gave {numbers[bad[0]]} ({metric})."
            )
    for row, column in np.argwhere(~np.isfinite(values)):
        raise FloatingPointError(
            f"Intervening on {interventions[row]} in {pairs[int(column)].clean!r} gave {values[row, column]} "
            f"({metric})."
        )


def _mlp_output(layer: int) -> str:
    return f"blocks.{layer}.mlp.hook_out"
