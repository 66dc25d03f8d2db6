"""What interventions may not ask for, and what no model may answer: errors that name the culprit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lakatos.tools.behaviour import PromptPairs
from lakatos.tools.component import Component, Kind
from lakatos.tools.errors import UserError
from lakatos.tools.forward.abilities import abilities
from lakatos.tools.intervention.intervention import Intervention
from lakatos.tools.intervention.paths import check_path
from lakatos.tools.intervention.runs import Runs
from lakatos.tools.metric import Metric
from lakatos.tools.model import Bridge

_KEPT: tuple[tuple[Kind, int | None], ...] = (("head", 0), ("mlp", None))  # what keep= replaces, of each layer


def check_interventions(model: Bridge, runs: Runs, interventions: Sequence[Intervention]) -> None:
    """Refuse what the model or the prompts do not have, naming it.

    Raises:
        UserError
    """
    for intervention in interventions:
        check_path(model, intervention)
        if intervention.keep and any(not c.known.in_circuits for c in intervention.components):
            raise UserError(f"{intervention}: keep= takes heads (a9.h6), attentions (a9) and MLPs (m5).")
    named = [place for i in interventions for place in (*i.components, *i.receivers) if isinstance(place, Component)]
    names = set(runs.batches[0].batch.positions)  # those that all pairs have
    lengths = [run.batch.lengths for run in runs.batches]
    shortest, longest = min(int(n.min()) for n in lengths), max(int(n.max()) for n in lengths)
    for component in dict.fromkeys(named):
        component.check(model.cfg, names)
        _check_hook(model, component)
        if isinstance(component.position, int) and component.position >= shortest:
            raise UserError(f"{component}: the shortest prompt has {shortest} tokens, counted from 0.")
    kept = next((i for i in interventions if i.keep), None)
    everything = [Component(layer, kind, index) for layer in range(int(model.cfg.n_layers)) for kind, index in _KEPT]
    for component in everything if kept else ():
        try:
            _check_hook(model, component)
        except UserError as error:
            raise UserError(f"{kept}: keep= replaces every other head and MLP. {error}") from error
    averaged = [i for i in interventions if i.source == "mean"]
    if averaged and runs.means is None:
        raise UserError(f"{averaged[0]}: mean ablation needs prompts to average over: pass dataset=.")
    for component in dict.fromkeys(c for i in averaged for c in (everything if i.keep else i.components)):
        assert runs.means is not None
        runs.means.check(component, longest)


def _check_hook(model: Bridge, component: Component) -> None:
    hook, known = component.hook_name(int(model.cfg.n_layers)), abilities(model)
    if hook not in model.hook_dict:
        raise UserError(f"{component}: this model has no hook {hook}, so it cannot be patched.")
    if component.known.each == "neuron" and model.hook_dict[hook] is model.hook_dict[_mlp_output(component.layer)]:
        raise UserError(f"{component}: the MLP of layer {component.layer} is a mixture of experts.")
    if known.shapes:
        component.check_shape(model.cfg, known.shapes.get(hook), known.trial)


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
