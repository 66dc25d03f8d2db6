"""What a mechanism's picture is made of: glyphs of components, columns of positions, rows of layers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from lakatos.tools.component import Component
from lakatos.tools.errors import UserError

EVERY: Final = "every position"
HALF: Final = 14.0  # half the height of a glyph
RING: Final = 3.5  # how far out the ring of a necessary one is
LANE: Final = 9.0  # height of the mark that says where a head looks
MARKS = 7.0  # beside a glyph, for its families
_CHARACTER = 5.7  # width of one in a label
_LONGEST = 9  # characters of a line of a column's heading
_SHORT = 6  # ... of one that is not divided

Box = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True)
class Glyph:
    """A component in the picture."""

    place: Component
    claims: tuple[int, ...] = ()
    effect: float | None = None
    opposes: bool = False
    necessary: bool = False
    lost: float | None = None
    families: tuple[str, ...] = ()
    unshown: tuple[str, ...] = ()
    faint: bool = True  # it is part of something confirmed, and no effect of its own is
    x: float = 0.0  # of its centre
    y: float = 0.0

    @property
    def key(self) -> tuple[int, str, int | None, str | int | None]:
        """What makes two of them the same."""
        return *atom(self.place), self.place.position

    @property
    def layer(self) -> int:
        """Its row; -1 for embeddings."""
        return self.place.layer if self.place.known.in_a_block else -1

    @property
    def label(self) -> str:
        """23.3 for a head, m5 for an MLP; the picture says where."""
        layer, kind, index = atom(self.place)
        if kind == "head":
            return f"{layer}.{index}"
        if kind == "key":
            return f"{layer}.g{index}"
        return str(replace(self.place, position=None))

    @property
    def half(self) -> float:
        """Half its width."""
        return max(HALF, _CHARACTER * len(self.label) / 2 + 3)

    @property
    def box(self) -> Box:
        """All that it covers: the ring and the marks of its families too."""
        right = MARKS if self.families or self.unshown else 0.0
        return (
            self.x - self.half - RING,
            self.y - HALF - RING,
            self.x + self.half + RING + right,
            self.y + HALF + RING,
        )


@dataclass(frozen=True)
class Column:
    """A token position."""

    position: str | int | None
    left: float
    right: float

    @property
    def name(self) -> str:
        """As it is written over it, in full."""
        return EVERY if self.position is None else f"token {self.position}" if self.counted else str(self.position)

    @property
    def heading(self) -> tuple[str, ...]:
        """Its name in a line or two, as far as there is room."""
        name = "every" if self.position is None else self.name
        cuts = [k for k, c in enumerate(name) if c == "_" and 0 < k < len(name) - 1]
        lines = [name]
        if len(name) > _SHORT and cuts:
            cut = min(cuts, key=lambda k: abs(2 * k - len(name)))
            lines = [name[: cut + 1], name[cut + 1 :]]
        return tuple(line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…" for line in lines)

    @property
    def needed(self) -> float:
        """The width of its heading: capitals are wide."""
        return max(sum(8.4 if c.isupper() else 6.8 for c in line) for line in self.heading)

    @property
    def counted(self) -> bool:
        return isinstance(self.position, int)

    @property
    def middle(self) -> float:
        return (self.left + self.right) / 2


@dataclass(frozen=True)
class Row:
    """A layer."""

    layer: int
    top: float
    bottom: float
    broken: bool  # layers between it and the next one above are left out
    lanes: int  # marks under its glyphs that say where heads look

    @property
    def middle(self) -> float:
        """That of its glyphs."""
        return (self.top + self.bottom - LANE * self.lanes) / 2


@dataclass(frozen=True)
class Layout:
    """The picture, before it is drawn."""

    glyphs: tuple[Glyph, ...]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    width: float
    height: float  # without a legend
    head: float = 0.0  # of the headings

    def find(self, text: str, near: str | int | None = None, n_groups: int = 0, n_heads: int = 0) -> Glyph | None:
        """The glyph of a component, or of the head that a query, key or value is of; the one at `near` first."""
        place = parsed(text)
        if place is None:
            return None
        same = [g for g in self.glyphs if atom(g.place) == atom(place)]
        if not same and place.kind in ("key", "value") and n_groups:
            size = n_heads // n_groups or 1
            same = [g for g in self.glyphs if atom(g.place)[:2] == (place.layer, "head")]
            same = [g for g in same if (g.place.index or 0) // size == place.index]
        wanted = place.position if place.position is not None else near
        same.sort(key=lambda g: (g.place.position != wanted, g.place.position is not None, g.faint))
        return same[0] if same else None

    def column(self, position: str | int | None) -> Column | None:
        """That of a position."""
        return next((column for column in self.columns if column.position == position), None)


def parsed(text: str) -> Component | None:
    """The component of a text; None of a text that is none."""
    try:
        return Component.parse(text)
    except UserError:
        return None


def atom(place: Component) -> tuple[int, str, int | None]:
    """What is drawn as one: a head with its query, a group with its keys and values, a neuron by itself."""
    kind = {"query": "head", "pattern": "head", "value": "key"}.get(place.kind, place.kind)
    return place.layer, kind, place.index
