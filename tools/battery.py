"""From raw per-prompt values to evidence: pure functions, called when a test runs and again whenever it is verified.

Effects are oriented by the registered direction, so that every line reads "the mean effect exceeds delta". Clipping and
its scale are those of statistics.md, except that the scale is never below twice delta: so delta stays on the clipped
scale, and any scale that is fixed beforehand is valid. No torch here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lakatos.tools.evidence import Evidence, LineEvidence
from lakatos.tools.hypothesis import AnyClaim, Battery, Line, NodeEffect
from lakatos.tools.statistics import (
    BATCH,
    clip,
    clip_report,
    combine,
    confidence_interval,
    e_path,
    intraclass_correlation,
    sample_size,
    scale,
    sign_flip_p,
    standardised_effect,
    stop_reason,
)

Values = dict[str, NDArray[np.float64]]  # name -> [n] raw metric values per prompt

PLANNED_D = 0.5  # larger predicted effects plan as if they were this: exploration picks winners


def line_effects(claim: AnyClaim, battery: Battery, values: Values) -> Values:
    """The oriented effect of every line of the battery, per prompt: name -> [n], in the line's units."""
    if isinstance(claim, NodeEffect):
        sign = 1.0 if claim.direction == "supports" else -1.0
        sign *= 1.0 if claim.intervention == "denoising" else -1.0
        base = values["corrupted"] if claim.intervention == "denoising" else values["clean"]
        effect = sign * (values["intervened"] - base)
        others = [sign * (values[f"random.{k}"] - base) for k in range(len(battery.controls))]
        return {"effect": effect, "beyond matched random": effect - np.mean(others, axis=0)}
    damage = values["clean"] - values["intervened"]
    lines = {"effect": damage}
    for name, gap in battery.control_gaps.items():
        elsewhere = (values[f"control.{name}.intervened"] - values[f"control.{name}.clean"]) / gap
        lines[f"specific against {name}"] = damage / battery.gap - claim.specificity * elsewhere
    return lines


def gaps(values: Values, unigram: dict[str, float]) -> tuple[float, dict[str, float]]:
    """The denominators of fractions: the clean-corrupted gap, and unigram loss minus clean loss per control.

    Neither is ever smaller than the prompt-to-prompt sd of the clean run, so that where a model lacks the behaviour a
    tenth of nearly nothing does not become an effect of interest.

    Raises:
        ValueError: the metric is the same on every prompt, so that there is nothing to explain.
    """
    gap = max(float(np.mean(values["clean"] - values["corrupted"])), float(np.std(values["clean"], ddof=1)))
    controls = {}
    for name, ceiling in unigram.items():
        clean = values[f"control.{name}.clean"]
        controls[name] = max(ceiling - float(clean.mean()), float(clean.std(ddof=1)))
    if min(gap, *controls.values(), gap) <= 0:
        raise ValueError("the metric is the same on every exploration prompt: there is nothing to explain")
    return gap, controls


def with_lines(claim: AnyClaim, battery: Battery, values: Values, cap: int) -> Battery:
    """The battery with its lines' thresholds and scales, and the sample size they ask for."""
    effects = line_effects(claim, battery, values)
    deltas = {name: _delta(claim, battery, name) for name in effects}
    lines = tuple(
        Line(name=name, delta=deltas[name], scale=scale(x, margin=abs(deltas[name])), unit=_unit(claim, name))
        for name, x in effects.items()
    )
    predicted = min(standardised_effect(effects[line.name], line.delta) for line in lines)
    finite = float(np.clip(np.nan_to_num(predicted), -1e6, 1e6))
    n_max = sample_size(min(finite, PLANNED_D) if finite > 0 else PLANNED_D, cap)
    return battery.model_copy(update={"lines": lines, "predicted_d": finite, "n_max": n_max})


def e_process(claim: AnyClaim, battery: Battery, values: Values) -> NDArray[np.float64]:
    """The claim's e-value after each prompt: the minimum over the lines, [n]."""
    effects = line_effects(claim, battery, values)
    return combine(
        np.stack([e_path(clip(effects[line.name], line.scale), line.delta / line.scale) for line in battery.lines])
    )


def stopped(claim: AnyClaim, battery: Battery, threshold: float, done: Sequence[Values]) -> str | None:
    """Why the registered rule stops after these batches, or None: draw another."""
    if not done:
        return None
    path = e_process(claim, battery, stack(done))
    return stop_reason(float(path[-1]), len(path), battery.n_max, threshold)


def conclude(
    claim: AnyClaim,
    battery: Battery,
    threshold: float,
    values: Values,
    templates: Sequence[str],
    identity: str,
) -> Evidence:
    """Everything that follows from the stored values of a test that its own rule has stopped."""
    effects = line_effects(claim, battery, values)
    path = e_process(claim, battery, values)
    n = len(path)
    seed = int(hashlib.sha256(identity.encode()).hexdigest()[:15], 16)
    lines = []
    for line in battery.lines:
        x = effects[line.name]
        low, high = confidence_interval(x, line.scale)
        clipped = clip_report(x, line.scale)
        lines.append(
            LineEvidence(
                name=line.name,
                unit=line.unit,
                delta=line.delta,
                mean=clipped.raw_mean,
                standardised=_or_none(standardised_effect(x, line.delta)),
                e=float(e_path(clip(x, line.scale), line.delta / line.scale)[-1]),
                p=sign_flip_p(x, line.delta, seed=seed),
                low=low,
                high=high,
                clip_rate=clipped.rate,
                flagged=clipped.flagged,
            )
        )
    reason = stop_reason(float(path[-1]), n, battery.n_max, threshold)
    return Evidence(
        n=n,
        e=float(path[-1]),
        p=max(line.p for line in lines),
        e_by_batch=tuple(float(e) for e in path[BATCH - 1 :: BATCH]),
        stop=reason or "interrupted",
        lines=tuple(lines),
        templates=len(set(templates)),
        intraclass_correlation=_or_none(intraclass_correlation(effects["effect"], np.asarray(templates))),
    )


def stack(batches: Sequence[Values]) -> Values:
    """Batches joined in order."""
    return {name: np.concatenate([b[name] for b in batches]) for name in batches[0]} if batches else {}


def _delta(claim: AnyClaim, battery: Battery, line: str) -> float:
    return 0.0 if line.startswith("specific") else claim.threshold * battery.gap


def _unit(claim: AnyClaim, line: str) -> str:
    if line.startswith("specific"):
        return "fraction of baseline"
    return "logits" if claim.metric == "logit_diff" else "probability"


def _or_none(number: float) -> float | None:
    return float(number) if np.isfinite(number) else None
