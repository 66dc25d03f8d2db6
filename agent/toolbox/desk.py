"""What a tool has at hand, and what it may say."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

from lakatos.tools.claim import AnyClaim, Mediation, Necessity, NodeEffect, NoEffect, describe
from lakatos.tools.component import Component
from lakatos.tools.errors import UserError

if TYPE_CHECKING:
    from lakatos.agent.toolbox.table import Table
    from lakatos.agent.view import Called, Proposal, View


CALLS: Final = 16  # of one answer of a language model that are made
CRITIC: Final = "critic"  # who argues against what others confirmed
_SMALL: Final = 0.25  # of the threshold: less suggests that there is no effect
_LARGEST_NULL: Final = 0.2  # margin of a claim that there is none
_OF_INVESTIGATORS: Final = 0.8  # of a run's hypotheses, where a critic comes after them


class Refusal(Exception):
    """A call that cannot be answered as it is. Its message says what would be accepted: the agent may mend it."""


class Answer(NamedTuple):
    """What a tool says, beside text: what it puts forward, or that the agent has finished."""

    said: Table | str
    proposals: tuple[Proposal, ...] = ()
    over: bool = False


class Desk(NamedTuple):
    """A run as its tools see it."""

    view: View
    by: str = ""  # which investigator calls

    @property
    def left(self) -> int:
        """How many claims this investigator may still register: each has a share of the run's, the critic the rest."""
        view, several = self.view, self.view.config.investigators
        limit = view.how_many
        if view.config.proposer == "llm" and several > 1 and self.by != CRITIC:
            limit = math.floor(_OF_INVESTIGATORS * limit * int(self.by) / several + 1e-9)
        return max(0, limit - view.proposed)

    @property
    def notes(self) -> list[str]:
        """What this investigator has noted, the oldest first."""
        return [str(c.arguments["text"]) for c in self.own("note")]

    def own(self, name: str) -> list[Called]:
        """This investigator's answered calls of a tool."""
        return [c for c in self.view.calls if c.by == self.by and c.name == name and not c.refused]

    def component(self, text: str, *, kinds: tuple[str, ...] = (), placed: bool | None = None) -> Component:
        """A component that the model has.

        Args:
            kinds: the kinds that are asked for; by default any.
            placed: whether it must have a position (True), or must have none (False).

        Raises:
            Refusal: it is none of these; says what would be accepted.
        """
        try:
            found = Component.parse(text)
        except UserError as error:
            raise Refusal(str(error)) from error
        if kinds and found.kind not in kinds:
            raise Refusal(f"{text} is a {found.kind}; this tool takes: {', '.join(kinds)}")
        try:
            found.check(self.view.shape, set(self.view.behaviour.named_positions))
        except UserError as error:
            raise Refusal(str(error)) from error
        if placed is False and found.position is not None:
            raise Refusal(f"{text}: leave out the position, as in {text.partition('@')[0]}")
        return found

    def sentence(self, claim: AnyClaim) -> str:
        """A claim as the text that registers it."""
        return describe(claim, self.view.behaviour.name)

    def _nothing(self, components: tuple[str, ...], how: str) -> str:
        """The claim that components do nothing."""
        margin = min(self.view.threshold, _LARGEST_NULL)
        fields = {"components": components, "intervention": how, "threshold": margin}
        try:
            return self.sentence(NoEffect.model_validate(fields))
        except ValueError:
            return ""

    def effect_claim(self, components: tuple[str, ...], how: str, to: tuple[str, ...], moved: float) -> str:
        """The claim that an effect suggests, as the text that registers it; "" where there is none of that form.

        Args:
            how: denoising, noising, resample or zero.
            to: the receivers of a path; none: the whole effect.
            moved: the effect, as a fraction of the gap; a small one suggests that there is none.
        """
        if abs(moved) < _SMALL * self.view.threshold:
            return self._nothing(components, how) if not to else ""
        threshold, direction = self.view.threshold, "supports" if moved >= 0 else "opposes"
        claim: AnyClaim
        try:
            if to and how in ("denoising", "noising"):
                claim = Mediation.model_validate(
                    {"components": components, "receivers": to, "intervention": how, "direction": direction}
                    | {"threshold": threshold}
                )
            elif to:
                return ""
            elif how in ("denoising", "noising"):
                claim = NodeEffect.model_validate(
                    {"components": components, "intervention": how, "direction": direction, "threshold": threshold}
                )
            else:
                claim = Necessity.model_validate({"components": components, "ablation": how, "threshold": threshold})
        except ValueError:
            return ""
        return self.sentence(claim)
