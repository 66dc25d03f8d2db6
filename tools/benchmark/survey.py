"""Measure the per-prompt effects that `effects.py` describes: strong, random and weak components of every behaviour.

Per behaviour and model: attribution patching on exploration pairs ranks the components; the strongest at named
positions, some drawn at random, and the weakest heads at the last token are patched one by one (denoising, logit
difference), on exploration and on confirmation pairs. The same on re-initialised weights, and with labels shuffled,
says how often the e-value confirms what is not there. On re-initialised weights the means need not be exactly zero
(with tied embeddings a token raises its own logit), so there the count beyond a tenth of the gap is the one to read.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Sequence
from typing import Any

from lakatos.tools.behaviour import Behaviour
from lakatos.tools.benchmark.effects import (
    GROUPS,
    Group,
    Measured,
    Row,
    add_counts,
    describe,
    false_positives,
    shuffled,
    summarise,
)
from lakatos.tools.component import Component
from lakatos.tools.errors import UserError
from lakatos.tools.exploration import Attribution, attribution_patching
from lakatos.tools.intervention import Intervention, Runs, run_interventions
from lakatos.tools.model import LoadedModel, Say
from lakatos.tools.statistics import MIN_EXPLORATION

_ATTRIBUTED = 32  # exploration pairs that rank the components


def survey_document(
    model: LoadedModel,
    null: LoadedModel | None,
    behaviours: Sequence[Behaviour],
    *,
    components: int,
    pairs: int,
    shuffles: int,
    seed: int,
    say: Say = lambda _: None,
) -> dict[str, Any]:
    """Everything `lakatos bench effects` says, JSON-ready; figures that are not defined are null.

    The figures of a behaviour's components are columns: a name, and a list with a figure for each component.

    Args:
        null: the same architecture with new weights; None: leave that part out.
        components: how many of each behaviour, a third of each group.
        pairs: confirmation pairs, at least 16. Exploration pairs are 64, as in a test.
        shuffles: how often labels are shuffled.
        say: is told what has been done.

    Raises:
        UserError: fewer than three components, or a behaviour without answers.
    """
    if components < 3:
        raise UserError(f"components = {components}: there are three groups, so ask for 3 at least")
    started = time.perf_counter()
    rows: list[Row] = []
    entries: list[dict[str, Any]] = []
    for behaviour in behaviours:
        if behaviour.kind == "text":
            raise UserError(f"{behaviour.name} is plain text: effects need pairs with answers")
        begun = time.perf_counter()
        measured = measure_effects(model, behaviour, components=components, pairs=pairs, seed=seed)
        found = {"shuffled": add_counts(false_positives(shuffled(measured, seed + 1 + k)) for k in range(shuffles))}
        if null is not None:
            empty = measure_effects(null, behaviour, components=components, pairs=pairs, seed=seed)
            found["reinitialised"] = false_positives(empty)
        described = describe(measured)
        rows += described
        seconds = time.perf_counter() - begun
        entries.append(_entry(behaviour, measured, described, found, seconds))
        say(f"{behaviour.name}: {len(described)} components, {seconds:.0f} s")
    document = {
        "model": model.name,
        "weights": model.weight_hash,
        "null": None if null is None else null.name,
        "pairs": {"exploration": MIN_EXPLORATION, "confirmation": pairs},
        "shuffles": shuffles,
        "seed": seed,
        "seconds": time.perf_counter() - started,
        "summary": summarise(rows),
        "false_positives": _added([entry["false_positives"] for entry in entries]),
        "behaviours": entries,
    }
    rounded: dict[str, Any] = _rounded(document)
    return rounded


def _entry(
    behaviour: Behaviour, measured: Measured, described: Sequence[Row], found: dict[str, Any], seconds: float
) -> dict[str, Any]:
    """What the document says of one behaviour."""
    return {
        "behaviour": behaviour.name,
        "version": behaviour.version,
        "hash": behaviour.hash,
        "gap": measured.gap,
        "templates": [len(set(measured.templates_explored)), len(set(measured.templates_confirmed))],
        "seconds": seconds,
        "summary": summarise(described),
        "false_positives": found,
        "components": {name: [getattr(row, name) for row in described] for name in Row.__dataclass_fields__},
    }


def _added(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """By kind of false positive: the counts of all behaviours."""
    kinds = {kind for counts in found for kind in counts}
    return {kind: add_counts(counts[kind] for counts in found) for kind in sorted(kinds)}


def measure_effects(model: LoadedModel, behaviour: Behaviour, *, components: int, pairs: int, seed: int) -> Measured:
    """Rank components on exploration pairs and patch the chosen ones on both splits.

    Raises:
        UserError: the behaviour does not fit the model, or has too few pairs.
    """
    explored = behaviour.sample(MIN_EXPLORATION, seed, "exploration")
    confirmed = behaviour.sample(pairs, seed, "confirmation")
    ranked = attribution_patching(model.bridge, explored[:_ATTRIBUTED])
    chosen = choose_components(ranked, components, seed)
    plan = [Intervention(name, "clean") for name in chosen]
    before, after = (run_interventions(model.bridge, Runs(model.bridge, p), plan) for p in (explored, confirmed))
    return Measured(
        behaviour=behaviour.name,
        components=tuple(chosen),
        groups=tuple(chosen.values()),
        explored=before.values - before.corrupted,
        confirmed=after.values - after.corrupted,
        clean=before.clean,
        corrupted=before.corrupted,
        templates_explored=tuple(pair.template for pair in explored),
        templates_confirmed=tuple(pair.template for pair in confirmed),
    )


def choose_components(ranked: Sequence[Attribution], components: int, seed: int) -> dict[str, Group]:
    """A third of each group; none twice, and none whose attribution is the same (zero) on every pair.

    Where clean and corrupted do not yet differ, no effect is possible and nothing is to be learned.

    Args:
        ranked: attributions, strongest first.

    Returns:
        component -> its group, in the order of the groups. Fewer where the model has not as many.
    """
    third = components // len(GROUPS)
    left = [row.component for row in ranked if row.sd > 0 and Component.parse(row.component).position is not None]
    strongest = left[:third]
    at_end = [name for name in left[third:] if (c := Component.parse(name)).kind == "head" and c.position == "END"]
    weakest = at_end[::-1][:third]
    others = sorted(set(left) - {*strongest, *weakest})
    drawn = random.Random(seed).sample(others, min(third, len(others)))
    groups: tuple[list[str], ...] = (strongest, drawn, weakest)
    return {name: group for group, names in zip(GROUPS, groups, strict=True) for name in names}


def _rounded(value: Any) -> Any:
    """Four significant digits; None for what is not finite."""
    if isinstance(value, float):
        return float(f"{value:.4g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value
