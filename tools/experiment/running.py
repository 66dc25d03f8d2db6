"""Where claim, prompts, model and statistics meet.

`calibrate` turns a claim into a battery: what is measured, and the constants that are fixed before any confirmation
prompt exists. `run_experiment` draws batches, measures the whole battery on each, updates the e-process and stops by
the registered rule. What follows from the numbers is in `battery.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lakatos.tools.claim import AnyClaim
from lakatos.tools.evidence import Battery, Data, e_process, stopped
from lakatos.tools.experiment.measuring import Measurement, measure
from lakatos.tools.experiment.sampling import Sample


def run_experiment(
    claim: AnyClaim,
    battery: Battery,
    threshold: float,
    model: Any,
    draw: Callable[[int], Sample],
    done: Sequence[Data],
    on_batch: Callable[[int, Sample, Measurement, float], None],
) -> str:
    """Draw and measure batches until the registered rule stops the test.

    Args:
        threshold: the e-value at which the slot is confirmed whatever the others do.
        draw: from a batch's number to its prompts.
        done: batches measured before (a resumed test continues after them).
        on_batch: stores a batch; is given its number, prompts, measurement and the e-value after it. May raise `Stop`.

    Returns:
        Why it stopped: "success", "futility" or "exhausted".
    """
    so_far = list(done)
    while (reason := stopped(claim, battery, threshold, so_far)) is None:
        number = len(so_far)
        sample = draw(number)
        measured = measure(claim, battery.matched, model, sample)
        so_far.append(Data(measured.values, sample.templates))
        on_batch(number, sample, measured, float(e_process(claim, battery, Data.join(so_far))[-1]))
    return reason
