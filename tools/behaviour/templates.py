"""What a behaviour file is made of: templates, pairs written out, and lists of which either split has its own."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Generic, TypeVar

from pydantic import Field

from lakatos.tools.behaviour.markup import listed, parse_markup, plain
from lakatos.tools.behaviour.pairs import Split
from lakatos.tools.errors import UserError
from lakatos.tools.records import Frozen

T = TypeVar("T")


class BySplit(Frozen, Generic[T]):
    """The same thing for either split."""

    exploration: list[T] = Field(min_length=1)
    confirmation: list[T] = Field(min_length=1)

    def of(self, split: Split) -> list[T]:
        return self.exploration if split == "exploration" else self.confirmation

    def check_disjoint(self, field: str, key: Callable[[T], str]) -> None:
        """Raises UserError, blaming `field`, where both splits have something: what is compared is its `key`."""
        refuse_shared(field, {"exploration": map(key, self.exploration), "confirmation": map(key, self.confirmation)})


class Template(Frozen):
    id: str
    text: str


class GivenPair(Frozen):
    """A pair written out by the user; `clean` and `corrupted` may carry `[NAME:...]`, answers are literal."""

    clean: str
    corrupted: str
    answer: str
    wrong: str
    template: str = "given"


def check_templates(lists: Mapping[str, Sequence[Template]]) -> None:
    """Ids occur once, and no text is in two lists. Raises UserError.

    Args:
        lists: field -> its templates: "exploration", "confirmation", "families.NAME", ...
    """
    for field, templates in lists.items():
        ids = [template.id for template in templates]
        if not all_differ(ids):
            raise UserError(f"templates.{field}: an id occurs twice in {ids}; give each template its own")
    refuse_shared("templates (text)", {k: [plain(t.text) for t in templates] for k, templates in lists.items()})
    refuse_shared("templates (id)", {k: [t.id for t in templates] for k, templates in lists.items()})


def check_positions(name: str, templates: Sequence[Template], wanted: Sequence[str]) -> None:
    """Every template of the family `name` has the positions that all other prompts have. Raises UserError."""
    for template in templates:
        missing = [p for p in wanted if p not in [*parse_markup(template.text).names, "END"]]
        if missing:
            raise UserError(
                f"families.{name}.{template.id}: has no position {listed(missing)}, which every other prompt has, "
                f"so claims about it could not be tested here; mark it as [{missing[0]}:...]"
            )


def refuse_shared(field: str, lists: Mapping[str, Iterable[str]]) -> None:
    """Raises UserError, blaming `field`, where two of the lists have something in common."""
    for (one, here), (other, there) in itertools.combinations([(k, set(v)) for k, v in lists.items()], 2):
        if shared := sorted(here & there):
            kind = "split" if {one, other} == {"exploration", "confirmation"} else "list"
            raise UserError(f"{field}: {one} and {other} share {listed(shared)}; keep each in one {kind}")


def all_differ(values: Iterable[str]) -> bool:
    """Whether none occurs twice."""
    seen = list(values)
    return len(set(seen)) == len(seen)
