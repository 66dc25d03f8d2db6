"""What is true of a model whose mechanism is known, as data."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, NamedTuple

from lakatos.tools.component import Component

Reading = Literal["specific", "backed up", "necessary, not specific", "inert", "none"]


class Truth(NamedTuple):
    """What is true of a model. Components as text; heads and MLPs only, each in one of `necessary` to `unclear`.

    Ablation is resample ablation of a component at all of its positions.
    """

    behaviour: str  # the question that the mechanism answers, by the name of its file
    controls: tuple[str, ...]  # what else the model does
    necessary: tuple[str, ...] = ()  # ablated, the behaviour fails, and the controls do not suffer
    non_specific: tuple[str, ...] = ()  # ablated, the controls fail; and so does the behaviour, where there is any
    backed_up: tuple[tuple[str, str], ...] = ()  # (component, backup): ablated, another makes up for it
    backups: tuple[str, ...] = ()  # ablated alone, nothing happens; with what they back up, the behaviour fails
    redundant: tuple[str, ...] = ()  # ablated alone, little happens, directly too; restored alone, much comes back
    negative: tuple[str, ...] = ()  # ablated, the behaviour gets stronger
    inert: tuple[str, ...] = ()  # whatever is done to them, nothing happens
    unclear: tuple[str, ...] = ()  # of trained models: they do too little to be a finding, and too much to be false
    edges: tuple[tuple[str, str], ...] = ()  # (sender, receiver) that patching shows: receivers as in path patching
    silent: tuple[tuple[str, str], ...] = ()  # edges that are there, and that patching their sender alone does not show
    circuits: tuple[tuple[str, ...], ...] = ()  # all smallest sets that show the behaviour when all else is replaced
    roles: tuple[tuple[str, str, str], ...] = ()  # (head, from, to): where a head of the mechanism looks

    @property
    def null(self) -> bool:
        """Whether there is no mechanism."""
        return not self.circuits

    @property
    def components(self) -> frozenset[str]:
        """Every head and MLP of the model."""
        backed_up = {component for component, _ in self.backed_up}
        active = {*self.necessary, *self.non_specific, *self.backups, *self.redundant, *self.negative}
        return frozenset({*active, *backed_up, *self.inert, *self.unclear})

    @property
    def used(self) -> frozenset[str]:
        """All that takes part: what a finding may name. Of a null model nothing."""
        return frozenset() if self.null else self.components - set(self.inert) - set(self.unclear)

    @property
    def allowed(self) -> frozenset[str]:
        """What a finding may name without being false."""
        return self.used | set(self.unclear)

    @property
    def sought(self) -> frozenset[str]:
        """What there is to be found: all that takes part, but for what everything else needs as well."""
        return self.used - set(self.non_specific)

    @property
    def moves(self) -> frozenset[str]:
        """What activation patching of one component alone may show."""
        backed_up = {component for component, _ in self.backed_up}
        shown = {*self.necessary, *self.redundant, *self.negative, *backed_up, *(sender for sender, _ in self.edges)}
        return frozenset() if self.null else frozenset(shown)

    @property
    def stand_ins(self) -> frozenset[tuple[str, str]]:
        """(component, later component): ablated together more is lost than apart."""
        pairs = ((a, b) for a in self.redundant for b in self.redundant)
        return frozenset(
            {*self.backed_up, *((a, b) for a, b in pairs if Component.parse(a).layer < Component.parse(b).layer)}
        )

    def needs(self, components: Collection[str]) -> bool | None:
        """Whether the behaviour fails once all of these are ablated: no circuit is left whole.

        None where that was not measured: of several that share the work in a model with one circuit.
        """
        if self.null:
            return False
        if set(components) & {*self.necessary, *self.non_specific}:
            return True
        if len(self.circuits) == 1 and set(components) & set(self.redundant):
            return None if len(components) > 1 else False
        return not any(set(components).isdisjoint(circuit) for circuit in self.circuits)

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
