"""Whether the model shows the behaviour, and where in the model to look: on exploration pairs alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from lakatos.agent.run.context import Context
from lakatos.agent.run.registering import may_need_donors
from lakatos.tools.behaviour import readiness_problems, told
from lakatos.tools.experiment import Presence, measure_presence


def check(run: Context) -> None:
    """Does the model show the behaviour at all? The figures are logged either way.

    Raises:
        UserError: it does not, and the run was not told to go on all the same.
    """
    if run.store.event_of(run.run_id, "checked") is None:
        began = run.interruptions.clock()
        problems = readiness_problems(
            run.behaviour,
            {control.name: control for control in run.controls},
            run.model.tokenizer,
            max_pairs=run.config.max_pairs,
            explored=run.config.attribution_pairs,
            donors=may_need_donors(run),
        )
        if problems:
            listed = "\n- ".join(told(problems))
            run.fail(f"{run.behaviour.name} cannot be investigated on {run.row.model}:\n- {listed}", final=True)
        try:
            presence, forwards = measure_presence(run.model.bridge, run.exploration(donors=False).runs)
        except FloatingPointError as error:
            run.fail(f"{run.row.model} cannot be measured on {run.behaviour.name}: {error}", final=True)
        run.log("checked", presence._asdict(), forwards, began)
    presence = Presence(**run.payload("checked"))
    run.watcher.say(f"{run.behaviour.name} on {run.row.model}: {presence.text}")
    if not presence.present and not run.config.allow_absent:
        run.fail(
            f"{run.row.model} does not show {run.behaviour.name}: {presence.text}. "
            "A mechanism for it would be a story about noise. --allow-absent goes on all the same.",
            final=True,
        )


def explore(run: Context) -> None:
    """Attribution patching, direct logit attribution and attention by role, on exploration pairs."""
    from lakatos.tools.exploration import attention_by_role, attribution_patching, direct_logit_attribution

    if run.store.event_of(run.run_id, "explored") is not None:
        return
    began = run.interruptions.clock()
    bridge = run.model.bridge
    pairs = run.behaviour.sample(run.config.attribution_pairs, run.seed("attribution"), "exploration")
    attributions = attribution_patching(
        bridge, pairs, progress=lambda done, of: run.going("attribution patching", done, of)
    )
    run.watcher.phase("direct logit attribution", 0, 1)
    try:
        direct = [row.as_dict() for row in direct_logit_attribution(bridge, pairs)]
        unavailable = None
    except (ValueError, NotImplementedError, RuntimeError, KeyError, AttributeError) as error:
        direct, unavailable = [], f"{type(error).__name__}: {str(error).splitlines()[0]}"
        run.watcher.say(f"direct logit attribution is not available for this model: {unavailable}")
    payload = {
        "pairs": len(pairs),
        "attributions": [row.as_dict() for row in attributions],
        "direct": direct,
        "direct_unavailable": unavailable,
        "attention": [row.as_dict() for row in attention_by_role(bridge, pairs)[:400]],
        "exemplars": _exemplars(run),
    }
    run.log("explored", payload, forwards=6.0 * len(pairs), began=began)  # 3 forwards, a backward worth 2, a cache
    run.watcher.say(f"explored {len(pairs)} pairs: {len(attributions)} attributions")


def _exemplars(run: Context) -> list[dict[str, Any]]:
    """Exploration pairs to look at: a random draw, and some by quantile of the metric. Never only the best."""
    runs = run.exploration(donors=False).runs
    clean = np.concatenate([b.base_metric("clean", "logit_diff", "clean") for b in runs.batches])
    places = np.concatenate([b.batch.index for b in runs.batches])
    ranked = places[np.argsort(clean)]
    metric = dict(zip(places.tolist(), clean.tolist(), strict=True))
    quantiles = {"hardest": 0, "lower quartile": len(ranked) // 4, "median": len(ranked) // 2, "easiest": -1}
    chosen = [("random", place) for place in range(4)]  # the stream is a random draw: its first four are one
    chosen += [(name, int(ranked[k])) for name, k in quantiles.items()]
    return [
        {
            "choice": choice,
            "clean": runs.pairs[place].clean,
            "corrupted": runs.pairs[place].corrupted,
            "answer": runs.pairs[place].answer,
            "wrong": runs.pairs[place].wrong,
            "clean_metric": float(metric[place]),
        }
        for choice, place in chosen
    ]
