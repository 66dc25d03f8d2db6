"""Where everything of a mechanism is drawn: token positions across, the layers that are used upwards.

Each component has a glyph of its own in the cell of its layer and position. A cell with several is divided, and its row
and column grow, so that no two glyphs touch.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from lakatos.experiments_db.mechanism import Backing, Mechanism
from lakatos.experiments_db.report.mechanism_glyphs import (
    HALF,
    LANE,
    MARKS,
    RING,
    Column,
    Glyph,
    Layout,
    Row,
    parsed,
)
from lakatos.tools.component import Component

_LEFT, _GAP, _TOP, _HEAD, _BETWEEN, _BREAK = 27.0, 8.0, 34.0, 24.0, 8.0, 12.0
_MOST_COLUMNS = 8  # beyond so many, only positions that something is at
_LINE = 13.0  # of a heading
LEAST_WIDTH: Final = 300.0
PHONE: Final = 358.0  # width that a phone has for a picture


def layout(found: Mechanism) -> Layout:
    """Glyphs, columns and rows of a mechanism."""
    glyphs = _glyphs(found)
    cells: dict[tuple[int, str | int | None], list[Glyph]] = defaultdict(list)
    for glyph in sorted(glyphs, key=lambda g: (g.place.kind != "head", g.place.kind, g.place.index or 0)):
        cells[glyph.layer, glyph.place.position].append(glyph)
    columns, slots = _columns(found, cells)
    head = _HEAD + _LINE * any(len(column.heading) > 1 for column in columns)
    rows = _rows(found, cells, slots, _TOP + head)
    placed = [
        glyph
        for column in columns
        for row in rows
        for glyph in _placed(cells.get((row.layer, column.position), []), column, row, slots[column.position])
    ]
    width = columns[-1].right + _GAP if columns else LEAST_WIDTH
    bottom = max((row.bottom for row in rows), default=_TOP + 20)
    return Layout(tuple(placed), columns, tuple(rows), max(width, LEAST_WIDTH), bottom + head, head)


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
        *((circuit, circuit.components) for circuit in found.circuits if not circuit.rival),
    ]
    named = [(place, part) for part, names in others for place in map(parsed, names) if place]
    for place, part in sorted(named, key=lambda pair: pair[0].kind in ("key", "value")):  # heads stand for theirs
        if not _drawn(known.values(), place, found):
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
    most = {at: max((len(cell) for (_, own), cell in cells.items() if own == at), default=1) for at in order}
    slots = {at: 1 if n == 1 else 2 if n <= 6 else 3 for at, n in most.items()}
    pairs = {at: sum(len(cell) == 2 for (_, own), cell in cells.items() if own == at) for at in order}
    columns = _side_by_side(order, slots, cells)
    for at in sorted((at for at, n in most.items() if n == 2), key=lambda at: pairs[at]):
        if columns and columns[-1].right + _GAP > PHONE:  # two above one another take less room
            slots[at] = 1
            columns = _side_by_side(order, slots, cells)
    return columns, slots


def _side_by_side(
    order: list[str | int | None],
    slots: dict[str | int | None, int],
    cells: dict[tuple[int, str | int | None], list[Glyph]],
) -> tuple[Column, ...]:
    """Columns as wide as their glyphs and headings need."""
    columns, left = [], _LEFT
    for at in order:
        column = Column(at, left, left)
        glyphs = [glyph for (_, own), cell in cells.items() if own == at for glyph in cell]
        slot = max((2 * (glyph.half + RING) + MARKS for glyph in glyphs), default=0.0)
        column = replace(column, right=left + max(slots[at] * slot, column.needed, 28.0))
        columns.append(column)
        left = column.right + _GAP
    return tuple(columns)


def _rows(
    found: Mechanism,
    cells: dict[tuple[int, str | int | None], list[Glyph]],
    slots: dict[str | int | None, int],
    top: float,
) -> list[Row]:
    """The layers that something is in, the last one at the top."""
    rows: list[Row] = []
    layers = sorted({layer for layer, _ in cells}, reverse=True)
    above = found.n_layers
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
        rows.append(Row(layer, top, top + height, broken, lanes))
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
