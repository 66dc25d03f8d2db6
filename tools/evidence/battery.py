"""From raw per-prompt values to evidence: pure functions, called when a test runs and again whenever it is verified.

What is bet on is a prompt, or the mean over a template's prompts where exploration showed that templates differ and
there are enough of them to bet on (`choose_unit`). Clipping and its scale are those of statistics.md, except that the
scale is never below twice delta: so delta stays on the clipped scale, and any scale that is fixed beforehand is valid.
No torch here.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from lakatos.tools.claim import AnyClaim, Part
from lakatos.tools.claim.measures import CLEAN, CORRUPTED, of_control
from lakatos.tools.errors import UserError
from lakatos.tools.evidence.constants import Battery, Line, Unit
from lakatos.tools.evidence.data import Data, Values
from lakatos.tools.evidence.evidence import Evidence, LineEvidence
from lakatos.tools.statistics import (
    BATCH,
    ENOUGH_TEMPLATES,
    PER_TEMPLATE,
    TEMPLATES_DIFFER,
    StopReason,
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

PLANNED_D = 0.5  # larger predicted effects plan as if they were this: exploration picks winners


def parts_of(claim: AnyClaim, battery: Battery, values: Mapping[str, NDArray[np.float64]]) -> list[Part]:
    """The claim's null hypotheses with their oriented effects, in the order of the battery's lines."""
    return claim.tested.parts(battery, values)


def gaps(values: Values, unigram: Mapping[str, float]) -> tuple[float, dict[str, float]]:
    """The denominators of fractions: the clean-corrupted gap, and unigram loss minus clean loss per control.

    Neither is ever smaller than the prompt-to-prompt sd of the clean run, so that where a model lacks the behaviour a
    tenth of nearly nothing does not become an effect of interest. Where no metric was measured, shares are of one.

    Raises:
        UserError: the metric is the same on every prompt, so that there is nothing to explain.
    """
    gap = 1.0
    if CLEAN in values:
        gap = max(float(np.mean(values[CLEAN] - values[CORRUPTED])), float(np.std(values[CLEAN], ddof=1)))
    controls = {}
    for name, ceiling in unigram.items():
        clean = values[of_control(name)]
        controls[name] = max(ceiling - float(clean.mean()), float(clean.std(ddof=1)))
    if min(gap, *controls.values(), gap) <= 0:
        raise UserError("The metric is the same on every exploration prompt: there is nothing to explain.")
    return gap, controls


def choose_unit(correlation: float | None, templates: int) -> Unit:
    """The registered rule for what is bet on.

    Args:
        correlation: intraclass correlation by template of the main effect on exploration pairs.
        templates: how many the confirmation prompts come from.
    """
    differ = correlation is not None and correlation > TEMPLATES_DIFFER
    return "template" if differ and templates >= ENOUGH_TEMPLATES else "prompt"


def fixed(claim: AnyClaim, draft: Battery, explored: Data, cap: int, templates: int) -> Battery:
    """The battery with everything that follows from the exploration values: unit, lines, scales, sample size.

    Args:
        draft: gaps and matched components are taken from it.
        cap: the most prompts that a test may use.
        templates: how many the confirmation prompts come from.
    """
    parts = parts_of(claim, draft, explored.values)
    correlation = _or_none(intraclass_correlation(parts[0].effect, np.asarray(explored.templates)))
    unit = choose_unit(correlation, templates)
    lines = tuple(
        Line(name=p.name, delta=p.delta, scale=scale_of(p, explored.templates, unit), unit=p.unit, decides=p.decides)
        for p in parts
    )
    predicted = min(standardised_effect(p.effect, p.delta) for p in parts if p.decides)
    finite = float(np.clip(np.nan_to_num(predicted), -1e6, 1e6))
    most = min(cap, PER_TEMPLATE * templates) if unit == "template" else cap
    n_max = sample_size(min(finite, PLANNED_D) if finite > 0 else PLANNED_D, most)
    return draft.model_copy(
        update={
            "lines": lines,
            "unit": unit,
            "intraclass_correlation": correlation,
            "predicted_d": finite,
            "n_max": n_max,
            "explored": len(explored),
        }
    )


def e_process(claim: AnyClaim, battery: Battery, data: Data) -> NDArray[np.float64]:
    """The claim's e-value after each bet: the minimum over the lines that decide, [bets]."""
    paths = _paths(battery, parts_of(claim, battery, data.by(battery.unit).values))
    return combine(np.stack([paths[line.name] for line in battery.deciding]))


def stopped(
    claim: AnyClaim, battery: Battery, threshold: float, done: Sequence[Data], *, since: int = 0
) -> StopReason | None:
    """Why the registered rule stops after these batches, or None: draw another.

    Args:
        since: see `stop_reason`.
    """
    if not done:
        return None
    data = Data.join(done)
    return stop_reason(float(e_process(claim, battery, data)[-1]), len(data), battery.n_max, threshold, since=since)


def looks_ahead(claim: AnyClaim, battery: Battery, threshold: float, done: Sequence[Data], *, since: int = 0) -> int:
    """After how many further batches the registered rule can stop at the earliest, whatever they bring: at least 1.

    E grows with every c of its product, so after these batches and k more it lies between what it is where all new
    bets have c = -1 and where all have c = 1.

    Args:
        since: see `stop_reason`.
    """
    data = Data.join(done)
    most = max(1, math.ceil((battery.n_max - len(data)) / BATCH))
    least, largest = (_reached(claim, battery, data, most, c) for c in (-1.0, 1.0))
    for k, bounds in enumerate(zip(least, largest, strict=True), 1):
        n = len(data) + BATCH * k
        if any(stop_reason(float(e), n, battery.n_max, threshold, since=since) for e in bounds):
            return k
    return most


def _reached(claim: AnyClaim, battery: Battery, data: Data, batches: int, c: float) -> NDArray[np.float64]:
    """[batches] the e-value after each further batch if all of its bets have this c."""
    per_batch = BATCH if battery.unit == "prompt" else BATCH // PER_TEMPLATE
    bets = data.by(battery.unit)
    effects = {part.name: part.effect for part in parts_of(claim, battery, bets.values)} if len(bets) else {}
    paths = []
    for line in battery.deciding:
        past = clip(effects[line.name], line.scale) if effects else np.zeros(0)
        path = e_path(np.concatenate([past, np.full(per_batch * batches, c)]), line.delta / line.scale)
        paths.append(path[len(bets) :][per_batch - 1 :: per_batch])
    return combine(np.stack(paths))


def conclude(
    claim: AnyClaim, battery: Battery, threshold: float, data: Data, identity: str, *, since: int = 0
) -> Evidence:
    """Everything that follows from the stored values of a test that its own rule has stopped.

    Args:
        since: see `stop_reason`.
    """
    bets = data.by(battery.unit)
    parts = parts_of(claim, battery, bets.values)
    paths = _paths(battery, parts)
    path = combine(np.stack([paths[line.name] for line in battery.deciding]))
    seed = int(hashlib.sha256(identity.encode()).hexdigest()[:15], 16)
    final = {name: float(p[-1]) for name, p in paths.items()}
    lines = tuple(
        _line(line, part.effect, final[line.name], seed) for line, part in zip(battery.lines, parts, strict=True)
    )
    first = parts_of(claim, battery, data.values)[0].effect
    per_batch = BATCH * len(bets) // len(data)
    return Evidence(
        n=len(data),
        bets=len(bets),
        e=float(path[-1]),
        p=max(line.p for line in lines if line.decides),
        e_by_batch=tuple(float(e) for e in path[per_batch - 1 :: per_batch]),
        stop=stop_reason(float(path[-1]), len(data), battery.n_max, threshold, since=since) or "interrupted",
        lines=lines,
        readings=claim.tested.readings(final),
        templates=len(set(data.templates)),
        intraclass_correlation=_or_none(intraclass_correlation(first, np.asarray(data.templates))),
    )


def _line(line: Line, x: NDArray[np.float64], e: float, seed: int) -> LineEvidence:
    low, high = confidence_interval(x, line.scale)
    clipped = clip_report(x, line.scale)
    return LineEvidence(
        name=line.name,
        unit=line.unit,
        delta=line.delta,
        decides=line.decides,
        mean=clipped.raw_mean,
        standardised=_or_none(standardised_effect(x, line.delta)),
        e=e,
        p=sign_flip_p(x, line.delta, seed=seed),
        low=low,
        high=high,
        clip_rate=clipped.rate,
        flagged=clipped.flagged,
    )


def _paths(battery: Battery, parts: Sequence[Part]) -> dict[str, NDArray[np.float64]]:
    return {
        line.name: e_path(clip(part.effect, line.scale), line.delta / line.scale)
        for line, part in zip(battery.lines, parts, strict=True)
    }


def scale_of(part: Part, templates: Sequence[str], unit: Unit) -> float:
    """s for what is bet on. Means of a template's prompts vary less: theirs is from such means of exploration pairs.

    There are only 32 of these, so it is never below what the prompts' own would come to if templates did not differ.
    """
    margin = abs(part.delta)
    s = scale(part.effect, margin=margin)
    if unit == "prompt":
        return s
    means = []
    for template in sorted(set(templates)):
        own = part.effect[np.asarray(templates) == template]
        means += [float(own[k : k + PER_TEMPLATE].mean()) for k in range(0, len(own) - PER_TEMPLATE + 1, PER_TEMPLATE)]
    spread = max(3 * float(np.std(means, ddof=1)), 1.1 * float(np.abs(means).max())) if len(means) > 1 else s
    return max(spread, s / math.sqrt(PER_TEMPLATE), 2 * margin)


def _or_none(number: float) -> float | None:
    return float(number) if np.isfinite(number) else None
