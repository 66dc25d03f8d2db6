"""From per-prompt effects to an e-value, a p-value and an interval: the betting test of one registered mean.

An effect X_i is measured once per prompt pair, in raw metric units, and oriented by the registered direction,
so that every claim reads "the mean effect exceeds delta". The effects are divided by a scale s fixed from
exploration data and clipped, c_i = clip(X_i / s, -1, 1); with d' = delta / s the null is E[c] <= d', and

    E_n = mean over the stakes f of prod_{i<=n} (1 + f/(1+d') (c_i - d'))

is the capital of a gambler who starts with 1 and bets against the null. Under the null every factor is
nonnegative with expectation at most 1, so E_n is a nonnegative supermartingale: by Ville's inequality the
probability that it ever reaches 1/alpha is at most alpha, however often one looks (Waudby-Smith & Ramdas,
"Estimating means of bounded random variables by betting", JRSS-B 2024). Large E is evidence for "mean >
delta"; small E is no evidence for the opposite, which is a claim of its own on the mirrored effects.

What it does not show. It speaks of the mean of the *clipped* effect, over prompts drawn after registration,
each bet on once, independent at the level of the betting unit. A rare large opposite effect that exploration
never met is clipped away: -10 on 1 % of prompts against +.1 on the rest has mean 0, is confirmed half of the
time, and `clip_report` can only flag those in which such a prompt turned up. `intraclass_correlation` says when
independence is in doubt.
`sign_flip_p` and `standardised_effect` are reported beside it and decide nothing.

Everything here is a pure function of arrays, in float64; the cost is 12 logarithms per prompt.

constants  the constants of a test
inputs     effects and scores as they come in
clipping   scales, and what clipping did
betting    e-values
intervals  confidence intervals
summaries  what is reported beside the e-value
stopping   planned samples, and when a test stops
"""

from __future__ import annotations

from lakatos.tools.statistics.betting import combine, e_path, e_value, log_e_path
from lakatos.tools.statistics.clipping import ClipReport, clip, clip_report, scale
from lakatos.tools.statistics.constants import (
    BATCH,
    ENOUGH_TEMPLATES,
    FRACTIONS,
    FUTILE_BELOW,
    MAX_CLIP_RATE,
    MIN_EXPLORATION,
    MIN_FOR_FUTILITY,
    PER_TEMPLATE,
    TEMPLATES_DIFFER,
)
from lakatos.tools.statistics.inputs import Floats
from lakatos.tools.statistics.intervals import confidence_interval
from lakatos.tools.statistics.stopping import StopReason, sample_size, stop_reason
from lakatos.tools.statistics.summaries import intraclass_correlation, sign_flip_p, standardised_effect

__all__ = [
    "BATCH",
    "ENOUGH_TEMPLATES",
    "FRACTIONS",
    "FUTILE_BELOW",
    "MAX_CLIP_RATE",
    "MIN_EXPLORATION",
    "MIN_FOR_FUTILITY",
    "PER_TEMPLATE",
    "TEMPLATES_DIFFER",
    "ClipReport",
    "Floats",
    "StopReason",
    "clip",
    "clip_report",
    "combine",
    "confidence_interval",
    "e_path",
    "e_value",
    "intraclass_correlation",
    "log_e_path",
    "sample_size",
    "scale",
    "sign_flip_p",
    "standardised_effect",
    "stop_reason",
]
