"""Where everything of a mechanism is drawn: token positions across, the layers that are used upwards.

Each component has a glyph of its own in the cell of its layer and position. A cell with several is divided, and its row
and column grow, so that no two glyphs touch.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from lakatos.experiments_db.mechanism import Backing, Mechanism
from lakatos.tools.component import Component
from lakatos.tools.errors import UserError

EVERY: Final = "every position"
HALF: Final = 14.0  # half the height of a glyph
RING: Final = 3.5  # how far out the ring of a necessary one is
LANE: Final = 9.0  # height of the mark that says where a head looks
_MARKS = 7.0  # beside a glyph, for its families
_CHARACTER = 5.7  # width of one in a label
_LEFT, _GAP, _TOP, _HEAD, _BETWEEN, _BREAK = 27.0, 8.0, 34.0, 24.0, 8.0, 12.0
_MOST_COLUMNS = 8  # beyond so many, only positions that something is at
_LONGEST = 9  # characters of a column's heading
LEAST_WIDTH: Final = 300.0

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
        right = _MARKS if self.families or self.unshown else 0.0
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
    def heading(self) -> str:
        """As much of its name as there is room for."""
        name = "every" if self.position is None else self.name
        return name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"

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

    @property
    def middle(self) -> float:
        return (self.top + self.bottom) / 2


@dataclass(frozen=True)
class Layout:
    """The picture, before it is drawn."""

    glyphs: tuple[Glyph, ...]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    width: float
    height: float  # without a legend

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


def layout(found: Mechanism) -> Layout:
    """Glyphs, columns and rows of a mechanism."""
    glyphs = _glyphs(found)
    cells: dict[tuple[int, str | int | None], list[Glyph]] = defaultdict(list)
    for glyph in sorted(glyphs, key=lambda g: (g.place.kind != "head", g.place.kind, g.place.index or 0)):
        cells[glyph.layer, glyph.place.position].append(glyph)
    columns, slots = _columns(found, cells)
    rows = _rows(found, cells, slots)
    placed = [
        glyph
        for column in columns
        for row in rows
        for glyph in _placed(cells.get((row.layer, column.position), []), column, row, slots[column.position])
    ]
    width = columns[-1].right + _GAP if columns else LEAST_WIDTH
    bottom = max((row.bottom for row in rows), default=_TOP + 20)
    return Layout(tuple(placed), columns, tuple(rows), max(width, LEAST_WIDTH), bottom + _HEAD)


def _glyphs(found: Mechanism) -> list[Glyph]:
    """Of nodes; faint ones of whatever else takes part."""
    known: dict[tuple[int, str, int | None, str | int | None], Glyph] = {}

    def add(glyph: Glyph) -> None:
        known.setdefault(glyph.key, glyph)

    for node in found.nodes:
        if place := parsed(node.component):
            own = {name: getattr(node, name) for name in ("claims", "effect", "necessary", "lost", "families")}
            opposes = node.direction == "opposes"
            add(Glyph(place, opposes=opposes, unshown=node.unshown, faint=False, **own))
    for looks in found.looks:
        for head in looks.heads:
            _add_at(known, head, looks, looks.attends_from)
    others: list[tuple[Backing, Iterable[str]]] = [
        *((path, (*path.senders, *(r for r in path.receivers if r != "logits"))) for path in found.paths),
        *((backup, (*backup.components, *backup.of)) for backup in found.backups),
        *((circuit, circuit.components) for circuit in found.circuits if not getattr(circuit, "rival", False)),
    ]
    for part, names in others:
        for name in names:
            if (place := parsed(name)) and not _drawn(known.values(), place, found):
                add(Glyph(place, part.claims))
    return list(known.values())


def _add_at(
    known: dict[tuple[int, str, int | None, str | int | None], Glyph], head: str, part: Backing, at: str
) -> None:
    """A head where it looks from, unless its own glyph is there."""
    if place := parsed(head):
        glyph = Glyph(replace(place, kind="head", position=at), part.claims)
        known.setdefault(glyph.key, glyph)


def _drawn(glyphs: Iterable[Glyph], place: Component, found: Mechanism) -> bool:
    bare = Layout(tuple(glyphs), (), (), 0, 0)
    glyph = bare.find(str(place), n_groups=found.n_groups, n_heads=found.n_heads)
    return glyph is not None and place.position in (None, glyph.place.position)


def _columns(
    found: Mechanism, cells: dict[tuple[int, str | int | None], list[Glyph]]
) -> tuple[tuple[Column, ...], dict[str | int | None, int]]:
    """Named positions in their order, then others that are used, then every position; how many glyphs fit across."""
    used = dict.fromkeys(position for _, position in cells)
    looked = {position for role in found.looks for position in (role.attends_from, role.attends_to)}
    order: list[str | int | None] = list(dict.fromkeys([*found.positions, *sorted(looked)]))
    order += sorted((p for p in used if p is not None and p not in order), key=lambda p: (isinstance(p, int), str(p)))
    order += [None] if None in used else []
    if len(order) > _MOST_COLUMNS:
        order = [p for p in order if p in used or p in looked]
    slots, columns, left = {}, [], _LEFT
    for position in order:
        own = [cell for (_, at), cell in cells.items() if at == position]
        most = max(map(len, own), default=1)
        slots[position] = 1 if most == 1 else 2 if most <= 6 else 3
        column = Column(position, left, left)
        slot = max((2 * (g.half + RING) + _MARKS for cell in own for g in cell), default=0.0)
        column = replace(column, right=left + max(slots[position] * slot, 6.8 * len(column.heading), 28.0))
        columns.append(column)
        left = column.right + _GAP
    return tuple(columns), slots


def _rows(
    found: Mechanism,
    cells: dict[tuple[int, str | int | None], list[Glyph]],
    slots: dict[str | int | None, int],
) -> list[Row]:
    """The layers that something is in, the last one at the top."""
    rows: list[Row] = []
    layers = sorted({layer for layer, _ in cells}, reverse=True)
    above, top = found.n_layers, _TOP + _HEAD
    for layer in layers:
        broken = above - layer > 1
        top += _BREAK if broken else 0.0
        deep = max(-(-len(cell) // slots[at]) for (own, at), cell in cells.items() if own == layer)
        heads = {g.place.index for (own, _), cell in cells.items() if own == layer for g in cell}
        lanes = sum(
            1
            for role in found.looks
            for head in role.heads
            if (place := parsed(head)) and place.layer == layer and place.index in heads
        )
        height = deep * (2 * (HALF + RING) + 2) + lanes * LANE
        rows.append(Row(layer, top, top + height, broken))
        above, top = layer, top + height + _BETWEEN
    return rows


def _placed(cell: list[Glyph], column: Column, row: Row, slots: int) -> Iterable[Glyph]:
    """The glyphs of a cell, side by side and then below one another."""
    across = min(slots, len(cell)) or 1
    width, height = (column.right - column.left) / max(slots, 1), 2 * (HALF + RING) + 2
    for number, glyph in enumerate(cell):
        line, place = divmod(number, across)
        alone = min(across, len(cell) - line * across)
        x = column.middle + (place - (alone - 1) / 2) * width
        yield replace(glyph, x=round(x, 1), y=round(row.top + (line + 0.5) * height, 1))
