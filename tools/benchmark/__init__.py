"""What the instrument itself can do.

speed    sweeps timed beside plain forward passes;  tasks: what is swept
peer     the same by the standard tools;  operations: what a sweep computes
effects  how large effects are, and how often tests err;  survey: the same over built-in behaviours
"""

from __future__ import annotations

from lakatos.tools.benchmark.operations import timed
from lakatos.tools.benchmark.speed import sweep_document
from lakatos.tools.benchmark.survey import survey_document
from lakatos.tools.benchmark.tasks import PAIRS

__all__ = ["PAIRS", "survey_document", "sweep_document", "timed"]
