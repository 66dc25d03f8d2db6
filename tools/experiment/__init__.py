"""Where claim, prompts and model meet.

sampling     prompts, donors and controls, drawn and run
measuring    the whole batteries of claims on a sample, and what that may fail of
calibrating  the constants of tests, from exploration prompts
running      draws of a stream as data, and the function that measures them
probing      what claims would show, on exploration prompts
attention    what heads attend to, by role
presence     whether a model shows a behaviour
"""

from __future__ import annotations

from lakatos.tools.experiment.calibrating import Calibrated, Uncalibrated, calibrate, calibrate_all
from lakatos.tools.experiment.measuring import CLAIM_FAILURES, TEST_FAILURES, Measurement, measure
from lakatos.tools.experiment.presence import Presence, measure_presence
from lakatos.tools.experiment.probing import Probed, probe
from lakatos.tools.experiment.running import Draw, MeasuredDraw, Member, measure_draws
from lakatos.tools.experiment.sampling import EXPLORED, Drawn, Sample, draw_prompts, needs_controls, needs_donors

__all__ = [
    "CLAIM_FAILURES",
    "EXPLORED",
    "TEST_FAILURES",
    "Calibrated",
    "Draw",
    "Drawn",
    "MeasuredDraw",
    "Measurement",
    "Member",
    "Presence",
    "Probed",
    "Sample",
    "Uncalibrated",
    "calibrate",
    "calibrate_all",
    "draw_prompts",
    "measure",
    "measure_draws",
    "measure_presence",
    "needs_controls",
    "needs_donors",
    "probe",
]
