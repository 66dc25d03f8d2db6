"""What numbers say of a claim: the constants of a test, its e-values, its conclusion, and how it is tested again.

constants  what is fixed before any confirmation prompt exists;  prediction: the record of it, with the claim
data       numbers per prompt, of one claim or shared by several
battery    constants chosen, e-processes, the registered rule, the conclusion
sequential  the one loop of sequential tests
evidence   what a frozen test has shown
tolerance  when a re-run fails;  retest: what a re-run shows
"""

from __future__ import annotations

from lakatos.tools.evidence.battery import (
    PLANNED_D,
    conclude,
    e_process,
    fixed,
    gaps,
    looks_ahead,
    parts_of,
    scale_of,
    stopped,
)
from lakatos.tools.evidence.constants import Battery, Unit
from lakatos.tools.evidence.data import Data, Values, join_values, split_values
from lakatos.tools.evidence.evidence import Evidence, crashed
from lakatos.tools.evidence.prediction import Corpus, Prediction, seed_commitment, uses_up
from lakatos.tools.evidence.retest import Decision, LineFound, decide, decided_after
from lakatos.tools.evidence.sequential import run_tests
from lakatos.tools.evidence.tolerance import (
    ALPHA,
    BEHAVIOUR,
    MISSED,
    MOST_PAIRS,
    Tolerance,
    effects_of,
    fail_bar,
    pairs_needed,
    short,
    tolerances,
)

__all__ = [
    "ALPHA",
    "BEHAVIOUR",
    "MISSED",
    "MOST_PAIRS",
    "PLANNED_D",
    "Battery",
    "Corpus",
    "Data",
    "Decision",
    "Evidence",
    "LineFound",
    "Prediction",
    "Tolerance",
    "Unit",
    "Values",
    "conclude",
    "crashed",
    "decide",
    "decided_after",
    "e_process",
    "effects_of",
    "fail_bar",
    "fixed",
    "gaps",
    "join_values",
    "looks_ahead",
    "pairs_needed",
    "parts_of",
    "run_tests",
    "scale_of",
    "seed_commitment",
    "short",
    "split_values",
    "stopped",
    "tolerances",
    "uses_up",
]
