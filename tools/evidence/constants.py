"""What is fixed for a test before any confirmation prompt exists."""

from __future__ import annotations

from typing import Literal

from lakatos.tools.records import Frozen

Unit = Literal["prompt", "template"]


class Line(Frozen):
    """One null hypothesis of a battery: E[effect] <= delta, tested after division by `scale` and clipping to +-1."""

    name: str
    delta: float  # raw units of the line
    scale: float  # raw units; s of the protocol
    unit: str  # what the raw units are
    decides: bool  # must be rejected for the claim; otherwise it belongs to a reading


class Battery(Frozen):
    """The constants of a test, fixed at registration from exploration pairs."""

    gap: float  # what thresholds are fractions of: max(mean clean - corrupted, sd of clean), in metric units
    control_gaps: dict[str, float]  # per control behaviour: unigram loss - clean loss, in nats
    matched: dict[str, tuple[str, ...]]  # random, shuffled: components joined by "+"; positions: names of roles
    lines: tuple[Line, ...]
    unit: Unit  # what is bet on: each prompt, or the mean of each template's prompts
    intraclass_correlation: float | None  # by template, of the first line on the exploration pairs
    predicted_d: float  # standardised effect of the weakest line on the exploration pairs
    n_max: int
    explored: int  # exploration pairs used

    @classmethod
    def draft(cls, gap: float, control_gaps: dict[str, float], matched: dict[str, tuple[str, ...]]) -> Battery:
        """What is compared with what, before `battery.fixed` adds all that follows from the exploration values."""
        return cls(
            gap=gap,
            control_gaps=control_gaps,
            matched=matched,
            lines=(),
            unit="prompt",
            intraclass_correlation=None,
            predicted_d=0.0,
            n_max=0,
            explored=0,
        )

    @property
    def deciding(self) -> tuple[Line, ...]:
        """The lines that must all be rejected."""
        return tuple(line for line in self.lines if line.decides)
