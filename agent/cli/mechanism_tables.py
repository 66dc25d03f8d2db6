"""A mechanism in a terminal: layers upwards, token positions across; its sentences; what is open."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from rich.console import Console

from lakatos.agent.watch import showable
from lakatos.experiments_db.mechanism import Mechanism
from lakatos.experiments_db.report.mechanism_glyphs import Glyph, Layout
from lakatos.experiments_db.report.mechanism_layout import layout

_OPEN = 8  # claims that are listed
_AXIS, _CELL = 6, 11  # characters of a layer's number, and of the least cell
_MOST = 88  # characters of a line of prose, however wide the terminal


def print_mechanism(console: Console, found: Mechanism) -> None:
    """All of it."""
    _line(console, f"{found.behaviour} on {found.model}: {_runs(found.runs)}")
    place = layout(found)
    grid = list(_grid(place, min(console.width, 120)))
    for row in ["", *grid] if grid else [""]:
        console.print(row.rstrip(), markup=False, highlight=False, no_wrap=True, overflow="ignore", crop=False)
    if grid:
        needed = "* necessary; " if any(glyph.necessary for glyph in place.glyphs) else ""
        _line(console, f"{needed}per cent: of the clean-corrupted gap, negative opposes\n")
    print_sentences(console, found)
    if found.open:
        _line(console, "\nOpen:")
    for left in found.open[:_OPEN]:
        number = "" if left.claim is None else f" [{left.claim}]"
        _line(console, f"- {left.why}: {left.text}{number}", indent="  ")
    if len(found.open) > _OPEN:
        where = "--behaviour " + found.behaviour if len(found.runs) > 1 else str(found.runs[0])
        _line(console, f"and {len(found.open) - _OPEN} more: lakatos mechanism {where} --json")


def print_sentences(console: Console, found: Mechanism) -> None:
    """The sentences, each with the claims that it rests on; the share that is explained is one of them."""
    for sentence in found.sentences:
        _line(console, str(sentence), indent="  ")


def _line(console: Console, text: str, indent: str = "") -> None:
    """A paragraph, its further lines indented; line breaks at its ends are kept."""
    width, lines, line = min(console.width, _MOST), [], ""
    for word in showable(text.strip("\n")).split(" "):
        if line.strip() and len(line) + 1 + len(word) > width:
            lines.append(line)
            line = indent + word
        else:
            line = f"{line} {word}" if line else word
    before, after = text.startswith("\n"), text.endswith("\n")
    for row in [*[""] * before, *lines, line, *[""] * after]:
        console.print(row, markup=False, highlight=False, soft_wrap=True)


def _runs(runs: tuple[int, ...]) -> str:
    return f"run{'' if len(runs) == 1 else 's'} {', '.join(map(str, runs))}"


def _grid(place: Layout, width: int) -> Iterator[str]:
    """A line for each layer that is used, the last one first; as a list where the columns do not fit."""
    cells: dict[tuple[int, str | int | None], list[str]] = defaultdict(list)
    for glyph in place.glyphs:
        if not glyph.faint:
            cells[glyph.layer, glyph.place.position].append(_cell(glyph))
    if not cells:
        return
    used = [column for column in place.columns if any(at == column.position for _, at in cells)]
    names = [showable("every" if column.position is None else column.name) for column in used]
    texts = names + [text for own in cells.values() for text in own]
    size = max(_CELL, *(len(text) + 2 for text in texts))
    layers = sorted({layer for layer, _ in cells}, reverse=True)
    if _AXIS + size * len(used) > width:
        yield from _list(place, cells, layers, width)
    else:
        yield "layer".ljust(_AXIS) + "".join(name.ljust(size) for name in names)
        for layer in layers:
            own = [cells.get((layer, column.position), []) for column in used]
            for line in range(max(map(len, own))):
                texts = [cell[line] if line < len(cell) else "" for cell in own]
                yield _layer(layer, line) + "".join(text.ljust(size) for text in texts)


def _list(
    place: Layout, cells: dict[tuple[int, str | int | None], list[str]], layers: list[int], width: int
) -> Iterator[str]:
    """Each component with its position, as many in a line as fit."""
    for layer in layers:
        line, number = _layer(layer, 0), 0
        for column in place.columns:
            for text in cells.get((layer, column.position), []):
                name, _, effect = text.partition(" ")
                told = f"{name}{'' if column.position is None else f'@{column.position}'} {effect}".strip()
                if len(line) > _AXIS and len(line) + len(told) + 2 > width:
                    yield line
                    number += 1
                    line = _layer(layer, number)
                line += told + "  "
        yield line


def _layer(layer: int, line: int) -> str:
    name = "e" if layer < 0 else str(layer)
    return ("" if line else name).rjust(_AXIS - 2) + "  "


def _cell(glyph: Glyph) -> str:
    """h3 +33%*: the layer and the position stand beside and above it."""
    name = glyph.label
    if glyph.place.known.shown_as == "head" and "." in name:
        name = f"h{name.split('.')[1]}"
    effect = "" if glyph.effect is None else f" {glyph.effect:+.0%}"
    return f"{name}{effect}{'*' if glyph.necessary else ''}"
