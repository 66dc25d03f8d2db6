"""What numbers say of a claim: the constants of a test, its e-values, its conclusion, and how it is tested again.

constants  what is fixed before any confirmation prompt exists;  prediction: the record of it, with the claim
battery    constants chosen, e-processes, the registered rule, the conclusion
sequential  the one loop of a sequential test
evidence   what a frozen test has shown
tolerance  when a re-run fails;  retest: what a re-run shows
"""

from __future__ import annotations

from lakatos.tools.evidence.battery import (
    PLANNED_D,
    Data,
    Reach,
    Values,
    conclude,
    e_process,
    fixed,
    gaps,
    parts_of,
    scale_of,
    stopped,
)
from lakatos.tools.evidence.constants import Battery, Unit
from lakatos.tools.evidence.evidence import Evidence, crashed
from lakatos.tools.evidence.prediction import Corpus, Prediction, seed_commitment, uses_up
from lakatos.tools.evidence.retest import Decision, LineFound, decide, decided_after
from lakatos.tools.evidence.sequential import run_test
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
    "Reach",
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
    "pairs_needed",
    "parts_of",
    "run_test",
    "scale_of",
    "seed_commitment",
    "short",
    "stopped",
    "tolerances",
    "uses_up",
]
