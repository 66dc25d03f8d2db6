"""How far a confirmed effect may fall before its claim counts as lost, and how many prompts it takes to tell.

Each line of a battery that decides gets two levels, between its confirmed mean m and the zero z of what it says:

    lost    z + .5 (m - z)      half of it is gone: a claim whose effect fell this far must fail
    kept    z + .7 (m - z)      a claim whose effect is at least this must not fail

What is bet on is a prompt, also where the confirmation bet on templates: a retest asks whether the claim still holds
of prompts like those that confirmed it, and draws the template of each anew. It does not ask about other templates.

z is 0, or the margin of an equivalence line (delta < 0), whose mean is its distance from that margin. m is the mean of
the *clipped* confirmation effects, because that is what an e-value speaks of: with the raw mean a claim whose outliers
were clipped would seem to have lost something on the first day. Both levels are inside the registered scale.

That something "has no effect on a behaviour" is vacuous in a model without the behaviour, so an equivalence claim has
one line more: the clean-corrupted difference, held to the same tolerance.

What it does not give. m was selected for being large (winner's curse), the more so the fewer prompts it comes from:
the room between kept and m is for that, and `benchmarks/regression_errors.py` measures whether it is enough. Between
lost and kept nothing is promised. A line whose mean is small beside its spread needs very many prompts; with fewer the
claim is undecided, not decided wrongly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from lakatos.tools.claim import AnyClaim, Floats, Part
from lakatos.tools.claim.measures import CLEAN, CORRUPTED
from lakatos.tools.evidence.battery import parts_of, scale_of
from lakatos.tools.evidence.constants import Battery
from lakatos.tools.evidence.data import Data
from lakatos.tools.statistics import BATCH, FRACTIONS, clip

ALPHA: Final = 0.001  # a claim that is as true as when it was confirmed fails at most so often
MISSED: Final = 0.002  # ... and one that lost half of its effect holds at most so often
LOST: Final = 0.5
KEPT: Final = 0.7
BEHAVIOUR: Final = "the behaviour itself"
MOST_PAIRS: Final = 4096  # of a test that was not told how many
_QUANTILE: Final = 2.58  # .995 of a normal distribution: with MISSED, at least .99 in all
_SPARE: Final = 1.5  # the confirmation's sd is an estimate, and of a selected sample
_STAKES: Final = np.array(FRACTIONS)


class Tolerance(BaseModel):
    """What one line of a battery showed when it was confirmed, and what it may come to. Raw units of the line."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    line: str = Field(max_length=300)
    unit: str = Field(max_length=100)
    scale: float = Field(gt=0)  # effects are clipped to +-scale
    confirmed: float  # mean of the clipped effects
    kept: float  # from here on the claim must not fail
    lost: float  # down from here it must not hold

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not -self.scale < self.lost < self.kept < self.confirmed <= self.scale:
            raise ValueError("must hold: -scale < lost < kept < confirmed <= scale")
        return self


def effects_of(claim: AnyClaim, battery: Battery, data: Data) -> dict[str, Floats]:
    """The oriented effects of every line that a retest decides on: line -> [n], one per prompt, raw units."""
    return {part.name: part.effect for part in _parts(claim, battery, data)}


def tolerances(claim: AnyClaim, battery: Battery, explored: Data, confirmed: Data) -> tuple[Tolerance, ...]:
    """The tolerance of each line that decides, the main effect's first.

    Args:
        explored: the exploration values that the battery's constants come from: scales are theirs.
        confirmed: the values that confirmed the claim.

    Raises:
        ValueError: a line's confirmed mean does not exceed its zero: the claim was not confirmed.
    """
    scales = [scale_of(part, explored.templates, "prompt") for part in _parts(claim, battery, explored)]
    return tuple(_tolerance(part, s) for part, s in zip(_parts(claim, battery, confirmed), scales, strict=True))


def pairs_needed(claim: AnyClaim, battery: Battery, found: Sequence[Tolerance], confirmed: Data) -> int:
    """Prompts, in whole batches, after which half of the effect being gone shows with probability .995 in every line.

    From the spread of the confirmation effects, with half as many again to spare. At the confirmed mean as many prompts
    show that the effect is still there. What is needed may be far more than anybody wants to spend.
    """
    effects = effects_of(claim, battery, confirmed)
    prompts = 1.0
    for tolerance in found:
        s = tolerance.scale
        c = clip(effects[tolerance.line], s)
        halved = np.clip(c - (tolerance.confirmed - tolerance.lost) / s, -1, 1)
        to_fail = _bets(-halved, -tolerance.kept / s, math.log(len(_STAKES) * fail_bar(len(found))))
        prompts = max(prompts, to_fail, _bets(c, tolerance.lost / s, math.log(len(_STAKES) / MISSED)))
    return max(2 * BATCH, BATCH * math.ceil(min(_SPARE * prompts, 1e9) / BATCH))


def fail_bar(lines: int, alpha: float = ALPHA) -> float:
    """The e-value that fails a claim of so many lines, each of which may be the one that errs (union bound)."""
    return lines / alpha


def _parts(claim: AnyClaim, battery: Battery, data: Data) -> list[Part]:
    found = [part for part in parts_of(claim, battery, data.values) if part.decides]
    if any(part.delta < 0 for part in found):
        gap = data.values[CLEAN] - data.values[CORRUPTED]
        found.append(Part(BEHAVIOUR, gap, 0.0, found[0].unit))
    return found


def _tolerance(part: Part, s: float) -> Tolerance:
    m, zero = s * float(clip(part.effect, s).mean()), min(part.delta, 0.0)
    size = m - zero
    if size <= 0:
        raise ValueError(f"{part.name}: the confirmed mean {m:g} does not exceed {zero:g}")
    confirmed, kept, lost = (short(zero + share * size) for share in (1.0, KEPT, LOST))
    return Tolerance(line=part.name, unit=part.unit, scale=s, confirmed=confirmed, kept=kept, lost=lost)


def short(level: float) -> float:
    """Six digits: as many as anybody reads in a diff."""
    return float(f"{level:.6g}")


def _bets(c: Floats, null: float, bar: float) -> float:
    """After how many bets on scores like these the capital of the best single stake has reached exp(bar)."""
    gains = np.log1p(_STAKES[:, None] * ((c - null) / (1 + null)))
    growth, spread = gains.mean(axis=1), gains.std(axis=1, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        root = (_QUANTILE * spread + np.sqrt((_QUANTILE * spread) ** 2 + 4 * growth * bar)) / (2 * growth)
    found = np.where(growth > 0, root**2, np.inf)
    return float(found.min())
