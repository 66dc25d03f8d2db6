"""Does a model show a behaviour at all? Asked before anything is explained."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from lakatos.tools.intervention import Runs, run_interventions

MIN_ACCURACY = 0.7


class Presence(NamedTuple):
    """How a model does on the exploration pairs of a behaviour."""

    n: int
    accuracy: float  # share of clean prompts with logit(answer) > logit(wrong)
    clean: float  # mean logit difference on clean prompts
    corrupted: float  # ... and on corrupted ones
    gap: float  # mean clean - corrupted
    present: bool

    @property
    def text(self) -> str:
        """The figures in a line."""
        return (
            f"pair accuracy {self.accuracy:.2f}, mean logit difference {self.clean:+.2f} clean and "
            f"{self.corrupted:+.2f} corrupted, over {self.n} pairs"
        )


def measure_presence(model: Any, runs: Runs) -> tuple[Presence, float]:
    """Measure a behaviour: present means an accuracy of at least .7 and a positive gap. Also the forwards spent."""
    effects = run_interventions(model, runs, [], base="clean")
    clean, corrupted = effects.clean, effects.corrupted
    accuracy, gap = float(np.mean(clean > 0)), float(np.mean(clean - corrupted))
    present = accuracy >= MIN_ACCURACY and gap > 0 and float(clean.mean()) > 0
    return Presence(len(clean), accuracy, float(clean.mean()), float(corrupted.mean()), gap, present), effects.forwards
