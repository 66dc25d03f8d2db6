"""A mechanism as a graph in Graphviz's DOT language: `dot -Tpdf` makes a figure of it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from lakatos.experiments_db.mechanism import Mechanism
from lakatos.experiments_db.report.mechanism_glyphs import Glyph, Layout
from lakatos.experiments_db.report.mechanism_layout import layout

_BLUE, _ORANGE, _GREEN, _GREY = "#2b5fae", "#b0541a", "#2d7a52", "#5b6069"


def mechanism_dot(found: Mechanism) -> str:
    """The graph: components by layer from the bottom up, paths as arrows, backups dashed, attention dotted."""
    place = layout(found)
    lines = [
        "digraph mechanism {",
        "  rankdir=BT;",
        f"  label={quoted(f'{found.behaviour} on {found.model}')};",
        '  node [fontname="Helvetica", fontsize=11, margin="0.05,0.03"];',
        '  edge [fontname="Helvetica", fontsize=9];',
        f'  "logits" [shape=box, color="{_GREY}"];',
    ]
    for _, group in groupby(sorted(place.glyphs, key=lambda g: g.layer), key=lambda g: g.layer):
        row = list(group)
        lines += [f"  {_name(glyph)} [{_look(glyph)}];" for glyph in row]
        lines.append(f"  {{ rank=same; {' '.join(f'{_name(glyph)};' for glyph in row)} }}")
    return "\n".join([*lines, *_paths(found, place), *_others(found, place), "}"]) + "\n"


def quoted(text: str) -> str:
    """A DOT string: quotes and backslashes escaped, so that no text ends it or means anything."""
    plain = "".join(c if c.isprintable() else " " for c in text)
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _name(glyph: Glyph) -> str:
    return quoted(str(glyph.place))


def _look(glyph: Glyph) -> str:
    shape = "ellipse" if glyph.place.known.shown_as == "head" else "box"
    if glyph.faint:
        return f'shape={shape}, style=dashed, color="{_GREY}", fontcolor="{_GREY}"'
    told = f'shape={shape}, color="{_ORANGE if glyph.opposes else _BLUE}"'
    if glyph.effect is not None:
        told += f', label="{_name(glyph)[1:-1]}\\n{glyph.effect:+.0%}"'
    return told + (", peripheries=2" if glyph.necessary else "")


def _paths(found: Mechanism, place: Layout) -> Iterator[str]:
    for path in found.paths:
        colour, head = (_ORANGE, "tee") if path.direction == "opposes" else (_BLUE, "normal")
        for start in filter(None, map(place.find, path.senders)):
            for receiver in path.receivers:
                end = place.find(receiver, start.place.position, found.n_groups, found.n_heads)
                what = receiver.partition("@")[0].rpartition(".")[2] if "." in receiver else ""
                if end is not None or receiver == "logits":
                    target = '"logits"' if end is None else _name(end)
                    yield f'  {_name(start)} -> {target} [color="{colour}", arrowhead={head}, label={quoted(what)}];'


def _others(found: Mechanism, place: Layout) -> Iterator[str]:
    """Backups and attention."""
    for backup in found.backups:
        look = f'color="{_GREEN}", style=dashed, label="backs up", constraint=false'
        for one in filter(None, map(place.find, backup.components)):
            for other in filter(None, map(place.find, backup.of)):
                yield f"  {_name(one)} -> {_name(other)} [{look}];"
    for looks in found.looks:
        label = quoted(f"{looks.attends_from} to {looks.attends_to}")
        for head in filter(None, (place.find(head, looks.attends_from) for head in looks.heads)):
            yield f'  {_name(head)} -> {_name(head)} [color="{_GREY}", style=dotted, label={label}];'
