"""The draws of a stream as data, and the function that measures them.

A stream is a sequence of confirmation prompts for all claims that ask about the same behaviour, prompt family and unit
of betting: its members. A `Draw` holds all that a process with the model needs to draw sixteen of its prompts, and
neither the log nor the study's secret. Which prompts it gives does not depend on the members.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, NamedTuple

from lakatos.tools.behaviour import Behaviour, PromptPair
from lakatos.tools.claim import AnyClaim
from lakatos.tools.evidence import Battery, Data, Unit, Values, join_values, split_values
from lakatos.tools.experiment.measuring import TEST_FAILURES, Asked, measure_together
from lakatos.tools.experiment.sampling import Drawn, Sample, draw_prompts, needs_controls, needs_donors, streams
from lakatos.tools.model import LoadedModel
from lakatos.tools.statistics import BATCH


@dataclass(frozen=True)
class Member:
    """A claim of a stream, with the constants of its test."""

    claim: AnyClaim
    battery: Battery

    def names(self, controls: Sequence[str]) -> list[str]:
        """The names of all numbers that its battery gives for a prompt."""
        wanted = self.claim.tested.measured(self.battery.matched)
        return wanted.names(controls if needs_controls(self.claim) else ())


@dataclass(frozen=True)
class Draw:
    """Sixteen confirmation prompts of a stream, before they are drawn."""

    behaviour: Behaviour
    controls: tuple[Behaviour, ...]
    family: str | None
    unit: Unit  # where templates are bet on, prompts come in blocks of one template
    number: int  # 0, 1, ...
    seeds: dict[str, int]  # purpose -> seed: of this draw's streams and of no others
    donors: bool  # whether every prompt gets a donor
    without: frozenset[str]  # uids, or ids of templates, that are passed over

    @classmethod
    def of(
        cls,
        members: Sequence[Member],
        behaviour: Behaviour,
        controls: Sequence[Behaviour],
        number: int,
        seed: Callable[[str], int],
        *,
        unit: Unit | None = None,
        without: frozenset[str] = frozenset(),
    ) -> Draw:
        """A draw with the seeds that its prompts, donors and control texts need.

        Args:
            seed: from a purpose to a seed.
            unit: None: what the members bet on.
            without: see `Behaviour.stream`.

        Raises:
            ValueError: no members, or members that differ in family or in unit.
        """
        family, own = _shared([(m.claim.family, unit or m.battery.unit) for m in members])
        donors = any(needs_donors(member.claim) for member in members)
        seeds = {purpose: seed(purpose) for purpose in streams(controls, BATCH * number, donors)}
        return cls(behaviour, tuple(controls), family, own, number, seeds, donors, without)

    def draw(self, tokenizer: Any) -> Drawn:
        """Its prompts.

        Raises:
            Exhausted: the behaviour has no more to give.
        """
        return draw_prompts(
            self.behaviour,
            self.controls,
            tokenizer,
            n=BATCH,
            skip=BATCH * self.number,
            split="confirmation",
            seeds=self.seeds.__getitem__,
            donors=self.donors,
            family=self.family,
            unit=self.unit,
            without=self.without,
        )


def _shared(asked: Sequence[tuple[str | None, Unit]]) -> tuple[str | None, Unit]:
    if len(set(asked)) != 1:
        raise ValueError(
            f"the members of a stream have one family and one unit of betting, not {sorted(set(asked), key=str)}"
        )
    return asked[0]


class _Numbers(NamedTuple):
    """All numbers of one draw, and what they cost."""

    prompts: tuple[PromptPair, ...]
    common: Values
    own: tuple[Values | Exception, ...]
    engines: tuple[str, ...]
    forwards: float


@dataclass(frozen=True)
class MeasuredDraw:
    """A draw that was measured: its prompts, and the batteries of all members on each."""

    draw: Draw
    members: tuple[Member, ...]
    prompts: tuple[PromptPair, ...]  # none where every member failed before there were any
    common: Values  # what is no member's own, under common names (`lakatos.tools.claim.measures.common_name`)
    own: tuple[Values | Exception, ...]  # by member: its own numbers, or what it died of
    engines: tuple[str, ...]  # by member; "" where it failed
    forwards: float  # of all members, in forward passes of one prompt
    seconds: float  # of drawing and measuring

    def data(self, place: int, /) -> Data | Exception:
        """What the rule of the place-th member reads, under its battery's names; or what it died of."""
        member, own = self.members[place], self.own[place]
        if isinstance(own, Exception):
            return own
        names = member.names([control.name for control in self.draw.controls])
        values = join_values(member.claim, names, self.common, own)
        return Data(values, tuple(pair.template for pair in self.prompts))


def measure_draws(draws: Sequence[Draw], members: Sequence[Member], model: LoadedModel) -> list[MeasuredDraw]:
    """Draw prompts and measure every member's battery on them: a function of the arguments and the weights alone.

    All draws go through the model together. Where that fails, each member is measured by itself on one draw after the
    other, and only what fails so is a failure: that member's, of that draw. What is none of `TEST_FAILURES` is raised.

    Args:
        draws: consecutive ones of one stream.

    Returns:
        One for each draw.
    """
    began = time.monotonic()
    with suppress(*TEST_FAILURES):
        found = _together(draws, members, model)
        seconds = (time.monotonic() - began) / len(draws)
        return [MeasuredDraw(draw, tuple(members), *own, seconds) for draw, own in zip(draws, found, strict=True)]
    measured = []
    for draw in draws:
        began = time.monotonic()
        own = _each_alone(draw, members, model)
        measured.append(MeasuredDraw(draw, tuple(members), *own, time.monotonic() - began))
    return measured


def _together(draws: Sequence[Draw], members: Sequence[Member], model: LoadedModel) -> list[_Numbers]:
    """All members on all draws at once."""
    first, *others = [draw.draw(model.tokenizer) for draw in draws]
    for other in others:
        first = first.and_those(other)
    sample = first.on(model.bridge)
    common, own, engines, forwards = _numbers_of(members, model, sample)
    parts = [slice(BATCH * k, BATCH * (k + 1)) for k in range(len(draws))]
    return [
        _Numbers(
            tuple(sample.runs.pairs[part]),
            _rows(common, part),
            tuple(_rows(values, part) for values in own),
            tuple(engines),
            forwards / len(draws),
        )
        for part in parts
    ]


def _each_alone(draw: Draw, members: Sequence[Member], model: LoadedModel) -> _Numbers:
    """Every member by itself on the same prompts, with the donors and the control texts that it needs."""

    @cache
    def drawn(donors: bool, controls: bool) -> Sample:
        needed = replace(draw, donors=donors, controls=draw.controls if controls else ())
        return needed.draw(model.tokenizer).on(model.bridge)

    prompts: tuple[PromptPair, ...] = ()
    common: Values = {}
    forwards = 0.0
    own: list[Values | Exception] = []
    engines = []
    for member in members:
        try:
            sample = drawn(needs_donors(member.claim), needs_controls(member.claim))
            prompts = tuple(sample.runs.pairs)
            shared, (values,), (engine,), spent = _numbers_of([member], model, sample)
        except TEST_FAILURES as error:
            own.append(error.with_traceback(None))  # which would keep the sample's recorded runs alive
            engines.append("")
        else:
            own.append(values)
            engines.append(engine)
            common, forwards = shared | common, forwards + spent
    return _Numbers(prompts, common, tuple(own), tuple(engines), forwards)


def _numbers_of(
    members: Sequence[Member], model: LoadedModel, sample: Sample
) -> tuple[Values, list[Values], list[str], float]:
    """What is common, what is each member's own, the engines, and the cost."""
    asked = [Asked(member.claim, member.battery.matched) for member in members]
    found = measure_together(asked, model.bridge, sample)
    common: Values = {}
    own = []
    for member, values in zip(members, found.values, strict=True):
        shared, rest = split_values(member.claim, values)
        common = shared | common
        own.append(rest)
    return common, own, found.engines, found.forwards


def _rows(values: Values, part: slice) -> Values:
    return {name: column[part] for name, column in values.items()}
