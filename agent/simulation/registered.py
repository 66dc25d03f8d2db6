"""A registered claim of a simulated world, with the constants of its test and what follows from its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lakatos.agent.simulation.world import BEHAVIOUR, World
from lakatos.tools.claim import NodeEffect
from lakatos.tools.evidence import Battery, Data, Evidence, Reach, conclude, e_process, fixed, gaps, stopped


@dataclass(frozen=True)
class Test:
    """A registered claim with the constants of its test."""

    claim: NodeEffect
    battery: Battery
    threshold: float
    identity: str

    __test__ = False  # it is not one of pytest's

    def e(self, so_far: Sequence[Data]) -> float:
        """The e-value after these batches."""
        return float(e_process(self.claim, self.battery, Data.join(so_far))[-1])

    def stopped(self, so_far: Sequence[Data], reach: Reach | None) -> str | None:
        """Why the rule stops the test after these batches, or None."""
        return stopped(self.claim, self.battery, self.threshold, so_far, reach)

    def conclude(self, data: Data, reach: Reach | None) -> Evidence:
        """What all numbers of the test come to."""
        return conclude(self.claim, self.battery, self.threshold, data, self.identity, reach)


def calibrated(
    world: World, claim: NodeEffect, matched: dict[str, tuple[str, ...]], places: Sequence[int], n_max: int
) -> tuple[Battery, Data]:
    """The constants of a claim's test, and the exploration numbers that they come from."""
    template = BEHAVIOUR.templates_of("exploration")[0]
    explored = Data(world.measure(claim, matched, places, "exploration"), (template,) * len(places))
    gap, control_gaps = gaps(explored.values, {})
    draft = Battery.draft(gap, control_gaps, matched)
    return fixed(claim, draft, explored, n_max, len(BEHAVIOUR.templates_of("confirmation"))), explored
