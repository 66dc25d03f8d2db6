"""What is true of a model whose mechanism is known, as data."""

from __future__ import annotations

from typing import Literal, NamedTuple

Reading = Literal["specific", "backed up", "necessary, not specific", "inert", "none"]


class Truth(NamedTuple):
    """What is true of a model by construction. Components as text; heads and MLPs only, each in one of the first seven.

    Ablation is resample ablation of a component at all of its positions.
    """

    behaviour: str  # the question that the mechanism answers, by the name of its file
    controls: tuple[str, ...]  # what else the model does
    necessary: tuple[str, ...] = ()  # ablated, the behaviour fails, and the controls do not suffer
    non_specific: tuple[str, ...] = ()  # ablated, the controls fail; and so does the behaviour, where there is any
    backed_up: tuple[tuple[str, str], ...] = ()  # (component, backup): ablated, another makes up for it
    backups: tuple[
        str, ...
    ] = ()  # ablated alone, nothing happens; together with what they back up, the behaviour fails
    redundant: tuple[str, ...] = ()  # ablated alone, nothing happens, directly neither; restored alone, it is all there
    negative: tuple[str, ...] = ()  # ablated, the behaviour gets stronger
    inert: tuple[str, ...] = ()  # whatever is done to them, nothing happens
    edges: tuple[tuple[str, str], ...] = ()  # (sender, receiver) that patching shows: receivers as in path patching
    silent: tuple[tuple[str, str], ...] = ()  # edges that are there, and that patching their sender alone does not show
    circuits: tuple[tuple[str, ...], ...] = ()  # all smallest sets that show the behaviour when all else is replaced
    roles: tuple[tuple[str, str, str], ...] = ()  # (head, from, to): where a head of the mechanism looks
    spares: tuple[tuple[tuple[str, ...], str], ...] = ()  # (backups, of): second-order ablation shows these together

    @property
    def null(self) -> bool:
        """Whether there is no mechanism."""
        return not self.circuits

    @property
    def used(self) -> frozenset[str]:
        """All that takes part: what a finding may name. Of a null model nothing."""
        if self.null:
            return frozenset()
        backed_up = {component for component, _ in self.backed_up}
        return frozenset(
            {*self.necessary, *self.non_specific, *backed_up, *self.backups, *self.redundant, *self.negative}
        )

    @property
    def sought(self) -> frozenset[str]:
        """What there is to be found: all that takes part, but for what everything else needs as well."""
        return self.used - set(self.non_specific)

    @property
    def readings(self) -> dict[str, Reading]:
        """What the battery of necessity should read for each head and MLP alone; a negative one has no reading."""
        by_reading: dict[Reading, tuple[str, ...]] = {
            "specific": self.necessary,
            "necessary, not specific": () if self.null else self.non_specific,
            "backed up": tuple(component for component, _ in self.backed_up),
            "inert": (*self.backups, *self.redundant, *self.inert),
            "none": self.negative,
        }
        return {component: reading for reading, components in by_reading.items() for component in components}
