"""Ways to propose, compared: each arm investigates in a study of its own, with the same budget and the same seeds.

arm      an arm by its name, as settings of a run
running  every arm with every seed, gone on with where it was stopped
table    what each arm came to, beside the first one
"""

from __future__ import annotations

from lakatos.agent.arms.arm import Arm, parse_arms
from lakatos.agent.arms.running import Outcome, run_arm, run_arms
from lakatos.agent.arms.table import Compared, Mean, compared, mean_of

__all__ = ["Arm", "Compared", "Mean", "Outcome", "compared", "mean_of", "parse_arms", "run_arm", "run_arms"]
