"""What a behaviour's file says: its fields, and what can be read off them without drawing a prompt."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from lakatos.tools.behaviour.markup import Filler, listed, parse_markup
from lakatos.tools.behaviour.pairs import SPLITS, Split
from lakatos.tools.behaviour.templates import BySplit, GivenPair, Template
from lakatos.tools.errors import UserError
from lakatos.tools.records import Frozen


class Definition(Frozen):
    """The fields of a behaviour's file."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="the file's stem, by convention")
    version: int = Field(ge=1, description="raised with every change to the prompts")
    kind: Literal["pairs", "text"] = Field(default="pairs", description="text: a control that has no answers")
    question: str = Field(description="what is asked about the model, in a sentence")
    selected_because: str = Field(description="why this behaviour, and what is known of it")
    considered: list[str] = Field(default=[], description="what else was looked at, and why it was dropped")
    changelog: list[str] = Field(default=[], description="one line a version")
    bos: str | None = Field(default=None, description='prepended as one token: a text, "model", or nothing')
    fillers: dict[str, BySplit[Filler]] = Field(default={}, description="kind -> split -> strings or records")
    draw: dict[str, str] = Field(default={}, description="variable -> filler kind; none twice in a pair")
    distinct: list[list[str]] = Field(default=[], description="expressions whose values differ within a pair")
    clean: dict[str, str] = Field(default={}, description="derived variable -> format string, when clean")
    corrupted: dict[str, str] = Field(default={}, description="the same variables in the corrupted prompt")
    answer: str | None = Field(default=None, description="format string; the token that clean should prefer")
    wrong: str | None = Field(default=None, description="format string; the token it is compared with")
    templates: BySplit[Template] | None = Field(default=None, description="id and text of each template")
    families: dict[str, list[Template]] = Field(default={}, description="name -> templates for claims that name it")
    pairs: BySplit[GivenPair] | None = Field(default=None, description="in place of templates: every pair")
    controls: list[str] = Field(default=["plain_text"], description="behaviours that measure specificity")

    @property
    def finite(self) -> bool:
        """Whether the pairs are a given list, so that claims are about that list and not beyond it."""
        return self.pairs is not None

    @property
    def named_positions(self) -> list[str]:
        """The positions that every prompt has, in order, and "END"."""
        names = [parse_markup(text).names for split in SPLITS for text in self.texts(split).values()]
        return [name for name in names[0] if all(name in others for others in names)] + ["END"]

    @property
    def origins(self) -> list[tuple[Split, str | None]]:
        """All that pairs can be drawn from: either split's own templates or pairs (None), then the families."""
        return [(split, None) for split in SPLITS] + [("confirmation", family) for family in self.families]

    def texts(self, split: Split, family: str | None = None) -> dict[str, str]:
        """What the clean prompts are rendered from: template id, or pair number -> text with markup."""
        if self.pairs is not None:
            return {f"pair {i}": pair.clean for i, pair in enumerate(self.pairs.of(split))}
        return {template.id: template.text for template in self.templates_in(split, family)}

    def templates_in(self, split: Split, family: str | None) -> list[Template]:
        """Of a split, or of a family; [] where pairs are given. Raises UserError."""
        if family is None:
            return self.templates.of(split) if self.templates else []
        if family not in self.families:
            raise UserError(f"{self.name} has no family {family!r}; its families are: {listed(self.families)}")
        if split != "confirmation":
            raise UserError(f"the family {family!r} takes no part in exploration: draw it with split='confirmation'")
        return self.families[family]
