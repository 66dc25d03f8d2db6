"""Where claim, prompts and model meet.

sampling     prompts, donors and controls, drawn and run
measuring    the whole battery of a claim on a sample
calibrating  the constants of a test, from exploration prompts
running      batches of a test as data, and the function that measures one
attention    what heads attend to, by role
presence     whether a model shows a behaviour
"""

from __future__ import annotations

from lakatos.tools.experiment.calibrating import calibrate
from lakatos.tools.experiment.measuring import Measurement, measure
from lakatos.tools.experiment.presence import Presence, measure_presence
from lakatos.tools.experiment.running import Batch, Measured, measure_batch
from lakatos.tools.experiment.sampling import EXPLORED, Drawn, Sample, draw_prompts, needs_donors

__all__ = [
    "EXPLORED",
    "Batch",
    "Drawn",
    "Measured",
    "Measurement",
    "Presence",
    "Sample",
    "calibrate",
    "draw_prompts",
    "measure",
    "measure_batch",
    "measure_presence",
    "needs_donors",
]
