"""The frozen record of what a test showed. Kept apart from the measuring, so that reading a log loads no torch."""

from __future__ import annotations

from lakatos.tools.records import Frozen


class LineEvidence(Frozen):
    """One null hypothesis of the battery, and what the confirmation prompts say of it."""

    name: str
    unit: str
    delta: float  # the null: mean effect <= delta
    decides: bool  # must be rejected for the claim; otherwise it belongs to a reading
    mean: float  # of the unclipped effects
    standardised: float | None  # (mean - delta) / sd; None where sd is zero
    e: float
    p: float  # sign-flip, one-sided; reported beside, never decides
    low: float  # 95 % interval for the mean, the e-process inverted; not adjusted for selection
    high: float
    clip_rate: float
    flagged: bool  # clipped above 2 %, or an effect below -scale, or the mean's sign changed by it


class Evidence(Frozen):
    """A finished test. `e` is frozen: the minimum over the lines when the registered rule stopped the test."""

    n: int  # prompts
    bets: int  # prompts, or templates where these are the unit
    e: float
    p: float
    e_by_batch: tuple[float, ...]
    stop: str  # success | futility | exhausted | crashed
    lines: tuple[LineEvidence, ...]
    readings: dict[str, float]  # what else the numbers may say, with its own e-value
    templates: int
    intraclass_correlation: float | None  # of the main effect, by template
    error: str | None = None  # what a crashed test died of

    @property
    def effect(self) -> LineEvidence | None:
        """The main effect's line; None for a test that crashed."""
        return self.lines[0] if self.lines else None

    def reading(self, threshold: float) -> str | None:
        """What the numbers say where the claim itself is not confirmed; None: nothing that holds.

        The readings of a claim exclude one another and share its slot: each is held to their number times the slot's
        threshold, so that over a study, whatever the dependence, alpha bounds the chance of any false one.
        """
        shown = {name: e for name, e in self.readings.items() if e >= len(self.readings) * threshold}
        return max(shown, key=lambda name: shown[name]) if shown else None


def crashed(error: str, n: int) -> Evidence:
    """A test that failed: its slot stays spent, and its e-value is 0."""
    return Evidence(
        n=n,
        bets=0,
        e=0.0,
        p=1.0,
        e_by_batch=(),
        stop="crashed",
        lines=(),
        readings={},
        templates=0,
        intraclass_correlation=None,
        error=error,
    )
