"""What interventions do on exploration prompts, beside what random components do."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Final

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from lakatos.agent.toolbox.desk import Desk, Refusal
from lakatos.agent.toolbox.table import Table
from lakatos.tools.claim.opponents import near
from lakatos.tools.claim.vocabulary import AnyIntervention, patch
from lakatos.tools.component import Component
from lakatos.tools.errors import UserError

if TYPE_CHECKING:
    from lakatos.tools.intervention import Base, Intervention

_MOST: Final = 40  # interventions at once
_RANDOM: Final = 10  # random components that each kind of intervention is held against
_BLOCKS: Final = 4  # neighbouring layers that are held against the same ones


class Wanted(BaseModel):
    """An intervention."""

    model_config = ConfigDict(extra="forbid")

    components: list[str] = Field(min_length=1, max_length=16, description="replaced together: a9.h6@END, m5, r3@S2")
    intervention: AnyIntervention = Field(
        "denoising",
        description="denoising: clean activations into the corrupted run; noising: the reverse; resample or zero: "
        "ablation in the clean run",
    )
    to: list[str] = Field(
        default=[], max_length=16, description="only along direct paths into these: a9.h6.q, a9.g2.v, m5, or logits"
    )


def effects(desk: Desk, interventions: Annotated[list[Wanted], Field(min_length=1, max_length=_MOST)]) -> Table:
    """Measure interventions on exploration prompts: how much of the gap each restores (denoising) or costs (others).

    Ask for many at once, with rivals among them. Each is held against random components of the same kinds in near
    layers, treated the same way: an effect that most random ones reach says nothing of this component.
    """
    from lakatos.tools.intervention import Intervention

    asked = []
    for wanted in interventions:
        own = tuple(desk.component(text) for text in wanted.components)
        to = tuple(text if text == "logits" else desk.component(text) for text in wanted.to)
        source, _ = patch(wanted.intervention)
        try:
            asked.append((wanted, Intervention(own, source, to=to)))
        except UserError as error:
            raise Refusal(str(error)) from error
    moved, beside = _measured(desk, asked)
    rows = []
    for (wanted, intervention), effect, others in zip(asked, moved, beside, strict=True):
        mean, sd = float(effect.mean()), float(effect.std(ddof=1))
        below = f"{np.mean(np.abs(others) < abs(mean)):.0%} of {len(others)}" if len(others) else "none to compare"
        names, to_names = tuple(wanted.components), tuple(wanted.to)
        claim = desk.effect_claim(names, wanted.intervention, to_names, mean)
        rows.append((f"{intervention} ({wanted.intervention})", mean, sd, below, claim))
    n = moved.shape[1]
    title = (
        f"Effect on {n} exploration pairs as a fraction of the gap: restored by denoising, lost by noising, resample "
        "and zero; negative works the other way. sd over pairs. `beyond random`: of random components with less effect."
    )
    rows.sort(key=lambda row: -abs(row[1]))
    return Table(title, ("intervention", "effect", "sd", "beyond random", "registers as"), rows, by=1)


def _measured(desk: Desk, asked: Sequence[tuple[Wanted, Intervention]]) -> tuple[np.ndarray, list[np.ndarray]]:
    """[n_interventions, n_pairs] effects, and for each intervention the mean effects of random ones like it."""

    moved: dict[int, np.ndarray] = {}
    beside: dict[int, np.ndarray] = {}
    bases: tuple[Base, ...] = ("corrupted", "clean")
    for base in bases:
        own = [k for k, (wanted, _) in enumerate(asked) if patch(wanted.intervention)[1] == base]
        if not own:
            continue
        arms = [asked[k][1] for k in own]
        groups = {k: _random(desk, asked[k][1]) for k in own}
        distinct = list(dict.fromkeys(i for group in groups.values() for i in group))
        found = desk.view.searching.effects([*arms, *distinct], base)
        means: dict[Intervention, float] = dict(zip(distinct, found[len(own) :].mean(1).tolist(), strict=True))
        for place, k in enumerate(own):
            moved[k] = found[place]
            beside[k] = np.array([means[i] for i in groups[k]])
    return np.stack([moved[k] for k in range(len(asked))]), [beside[k] for k in range(len(asked))]


def _random(desk: Desk, intervention: Intervention) -> list[Intervention]:
    """Interventions of the same form on random components of the same kinds; those of neighbours are the same ones."""
    from lakatos.tools.intervention import Intervention

    last = desk.view.shape.n_layers - 1
    like = [
        Component(min(c.layer // _BLOCKS * _BLOCKS, last), c.kind, None if c.index is None else 0, c.position)
        for c in intervention.components
    ]
    rng = random.Random(f"{desk.view.seed}:beside:{'+'.join(map(str, like))}:{intervention.receivers}")
    first = min((r.layer for r in intervention.receivers if isinstance(r, Component)), default=None)
    found: dict[tuple[Component, ...], None] = {}
    for _ in range(5 * _RANDOM):
        drawn = near(rng, like, desk.view.shape)
        if drawn is None or (first is not None and any(c.layer >= first for c in drawn)):
            continue
        found[tuple(drawn)] = None
        if len(found) == _RANDOM:
            break
    others = [drawn for drawn in found if not set(drawn) & set(intervention.components)]
    return [Intervention(drawn, intervention.source, to=intervention.receivers) for drawn in others]
