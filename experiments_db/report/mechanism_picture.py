"""A mechanism as a picture: what is confirmed, where it is in the model, and what acts on what.

    circle, square   a head, an MLP; the tint says how much of the gap it moves
    ring             the behaviour needs it
    dots beside it   prompt families: full where it holds too, hollow where it was tested and not shown
    arrow            a path; one that opposes ends in a bar
    dashed arrow     a backup, to what it stands in for
    fine line        where a head looks, to the position that it attends to
    faint            part of a path, role or circuit, without a confirmed effect of its own

Colours are those of static/mechanism.css, which follow light and dark; whatever a colour says, a shape or a <title>
says too. All text goes through Markup's escaping.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from markupsafe import Markup

from lakatos.experiments_db.mechanism import Backing, Looks, Mechanism
from lakatos.experiments_db.report.mechanism_curves import Curve, between, to_logits
from lakatos.experiments_db.report.mechanism_glyphs import HALF, LANE, RING, Glyph, Layout
from lakatos.experiments_db.report.mechanism_layout import layout
from lakatos.experiments_db.report.mechanism_legend import legend
from lakatos.experiments_db.report.resources import showable, static
from lakatos.experiments_db.report.svg import line, percent, text

Address = Callable[[int], str | None]
_LOGITS = (8.0, 28.0)  # top and bottom of their bar
_MOST_DOTS = 4


def mechanism_svg(found: Mechanism, address: Address = lambda _number: None) -> Markup:
    """The picture, in the style of the page that it stands on; nothing where nothing is confirmed.

    Args:
        address: from a claim's number to what its mark links to; None: to nothing.
    """
    if found.empty:
        return Markup("")
    return Markup(showable(_drawn(found, address, "")))


def standalone_svg(found: Mechanism) -> str:
    """The picture as a file of its own, with its own colours for light and for dark."""
    return showable(_drawn(found, lambda _number: None, style())) + "\n"


def style() -> Markup:
    """The style sheet with colours instead of variables, for viewers that know no variables."""
    sheet = static("mechanism.css")
    colours = re.findall(r"--([\w-]+): light-dark\(([^,]+), ([^)]+)\)", sheet)
    rules = re.search(r"/\* picture \*/(.*?)/\* end \*/", sheet, re.S)
    assert rules is not None
    light = dark = "svg.mechanism { background: var(--m-paper); font-family: sans-serif; }" + rules[1]
    for name, by_day, by_night in colours:
        light, dark = light.replace(f"var(--{name})", by_day), dark.replace(f"var(--{name})", by_night)
    return Markup("<style>{}\n@media (prefers-color-scheme: dark) {{{}}}</style>").format(Markup(light), Markup(dark))


def _drawn(found: Mechanism, address: Address, styled: str) -> Markup:
    place = layout(found)
    key, height = legend(found, place, place.height + 8)
    edges = [*_paths(found, place, address), *_backups(found, place, address)]
    parts = [
        *_frame(place),
        *_looks(found, place, address),
        *(mark for mark, _ in edges),
        *_headings(place),
        *(_glyph(glyph, address) for glyph in place.glyphs),
        *_letters(place, [(letter, curve) for _, curves in edges for letter, curve in curves]),
        *key,
    ]
    if found.empty:
        parts.append(text(place.width / 2, 70, "Nothing is confirmed.", "middle"))
    said = f"What is confirmed of how {found.model} does {found.behaviour}"
    opening = Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" class="mechanism" width="{}" height="{}" viewBox="0 0 {} {}" '
        'role="group" aria-label="{}">{}<title>{}</title>'
    )
    size = (round(place.width, 1), round(height, 1))
    return opening.format(*size, *size, said, styled, said) + Markup("").join(parts) + Markup("</svg>")


def _frame(place: Layout) -> Iterable[Markup]:
    """Columns, layers, and the logits above them."""
    foot = place.height
    for number, column in enumerate(place.columns):
        band = Markup('<rect x="{}" y="{}" width="{}" height="{}" class="column{}"/>')
        top = _LOGITS[1] + 4
        yield band.format(
            round(column.left - 4, 1), top, round(column.right - column.left + 8, 1), round(foot - top, 1), number % 2
        )
    for row in place.rows:
        if row.broken:
            yield text(13, row.top - 8, "⋮", "middle", "faint")
        yield text(18, row.middle + 4, "e" if row.layer < 0 else str(row.layer), "end", "layer")
        yield line(23, row.middle, place.width - 4, row.middle, "layer-line")
    top, bottom = _LOGITS
    bar = Markup('<rect x="23" y="{}" width="{}" height="{}" rx="4" class="logits"/>')
    yield bar.format(top, round(place.width - 27, 1), bottom - top)
    yield text((place.width + 19) / 2, bottom - 6, "logits", "middle", "heading")
    yield text(1, place.height - 8, "layer", "start", "tiny")


def _headings(place: Layout) -> Iterable[Markup]:
    """The names of positions, above and below."""
    for column in place.columns:
        lines = column.heading
        for top in (_LOGITS[1] + 19, place.height - 8 - 13 * (len(lines) - 1)):
            for number, told in enumerate(lines):
                name = Markup('<text x="{}" y="{}" text-anchor="middle" class="heading">{}<title>{}</title></text>')
                yield name.format(round(column.middle, 1), round(top + 13 * number, 1), told, column.name)


def _paths(found: Mechanism, place: Layout, address: Address) -> Iterable[tuple[Markup, list[tuple[str, Curve]]]]:
    """An arrow for each sender and receiver, and the letter of what is read: q, k or v."""
    beside: dict[float, int] = {}
    for path in found.paths:
        curves: list[tuple[str, Curve]] = []
        for sender in path.senders:
            start = place.find(sender)
            for receiver in path.receivers if start else ():
                assert start is not None
                if receiver == "logits":
                    curves.append(("", to_logits(place, start, _LOGITS[1], beside)))
                    continue
                end = place.find(receiver, start.place.position, found.n_groups, found.n_heads)
                if end is not None and end is not start:
                    letter = receiver.split("@")[0].rpartition(".")[2]
                    curves.append((letter if letter in ("q", "k", "v") else "", between(place, start, end)))
        said = f"{' + '.join(path.senders)} through {' + '.join(path.receivers)}: {path.direction}"
        if path.effect is not None:
            said += f", effect of the senders {percent(path.effect)} of the gap"
        said += f"; at least {percent(path.share, 0)} of it goes this way"
        kind = "edge opposes" if path.direction == "opposes" else "edge"
        yield _linked([_arrow(c, path.direction == "opposes") for _, c in curves], path, said, kind, address), curves


def _backups(found: Mechanism, place: Layout, address: Address) -> Iterable[tuple[Markup, list[tuple[str, Curve]]]]:
    for backup in found.backups:
        ends = [(place.find(one), place.find(other)) for one in backup.components for other in backup.of]
        curves = [between(place, a, b, right=True) for a, b in ends if a and b and a is not b]
        said = f"{' + '.join(backup.components)} steps in when {' + '.join(backup.of)} is missing"
        if backup.effect is not None:
            said += f": {percent(backup.effect)} of the gap"
        yield _linked([_arrow(curve, False) for curve in curves], backup, said, "edge backup", address), []


def _looks(found: Mechanism, place: Layout, address: Address) -> Iterable[Markup]:
    """From under a head, along the row, to a mark under the position that it attends to."""
    lanes: dict[int, int] = {}
    for role in found.looks:
        marks = []
        for head in role.heads:
            glyph, target = place.find(head, role.attends_from), place.column(role.attends_to)
            row = next((row for row in place.rows if glyph and row.layer == glyph.layer), None)
            if not (glyph and target and row):
                continue
            lane = lanes[row.layer] = lanes.get(row.layer, 0) + 1
            y, x, end = round(row.bottom - LANE * (lane - 0.5), 1), glyph.x, round(target.middle, 1)
            turn = 8 if end >= x else -8
            shape = Markup('<path d="M{} {}Q{} {} {} {}L{} {}" class="way"/>')
            marks.append(shape.format(x, glyph.y, x, y, x + turn, y, end, y))
            marks.append(Markup('<circle cx="{}" cy="{}" r="3" class="eye"/>').format(end, y))
        said = f"{' + '.join(role.heads)} attends from {role.attends_from} to {role.attends_to}"
        if role.margin is not None:
            said += f": {percent(role.margin, 0)} more of its attention than to any other position"
        yield _linked(marks, role, said, "look", address)


def _glyph(glyph: Glyph, address: Address) -> Markup:
    strength = 0.0 if glyph.faint or glyph.effect is None else round(0.12 + 0.5 * min(1.0, abs(glyph.effect)) ** 0.7, 3)
    marks = [_shape(glyph, 0.0, "base")]
    if glyph.necessary:
        marks.append(_shape(glyph, RING, "ring"))
    marks.append(_shape(glyph, 0.0, "tint", strength))
    marks.append(text(glyph.x, glyph.y + 3.6, glyph.label, "middle", "name"))
    if glyph.opposes:
        minus = round(glyph.y - HALF + 4, 1)
        marks.append(line(glyph.x - 3, minus, glyph.x + 3, minus, "minus"))
    dots = [*(("held", name) for name in glyph.families), *(("unshown", name) for name in glyph.unshown)]
    for number, (kind, _) in enumerate(dots[:_MOST_DOTS]):
        dot = Markup('<circle cx="{}" cy="{}" r="2.4" class="{}"/>')
        marks.append(dot.format(round(glyph.x + glyph.half + RING + 3.5, 1), round(glyph.y - 9 + 6 * number, 1), kind))
    kind = "node faint" if glyph.faint else "node opposes" if glyph.opposes else "node"
    return _linked(marks, glyph, _said(glyph), kind, address)


def _shape(glyph: Glyph, out: float, kind: str, opacity: float | None = None) -> Markup:
    """Round for heads, square for MLPs and their neurons, slightly rounded for what else there is."""
    half, tall = glyph.half + out, HALF + out
    radius = tall if glyph.place.known.shown_as == "head" else 2 + out if glyph.place.known.branch == "mlp" else 6 + out
    shade = Markup("") if opacity is None else Markup(' fill-opacity="{}"').format(opacity)
    return Markup('<rect x="{}" y="{}" width="{}" height="{}" rx="{}" class="{}"{}/>').format(
        round(glyph.x - half, 1), round(glyph.y - tall, 1), round(2 * half, 1), round(2 * tall, 1), radius, kind, shade
    )


def _said(glyph: Glyph) -> str:
    """All that is known of a component, in a line."""
    told = [f"{glyph.place} {'opposes' if glyph.opposes else 'carries'}: {percent(glyph.effect)} of the gap"]
    if glyph.effect is None:
        told = [f"{glyph.place}" + (": no effect of its own is confirmed" if glyph.faint else "")]
    if glyph.necessary:
        told.append("necessary" + (f", its ablation costs {percent(glyph.lost)} of the gap" if glyph.lost else ""))
    if glyph.families:
        told.append(f"holds on {', '.join(glyph.families)} too")
    if glyph.unshown:
        told.append(f"tested on {', '.join(glyph.unshown)} and not shown")
    return "; ".join(told)


def _arrow(curve: Curve, opposes: bool) -> Markup:
    """A curve and its head: a triangle, or a bar where it opposes. A wide unseen line makes it easy to hit."""
    end = Markup('<path d="{}" class="{}"/>').format(
        curve.bar if opposes else curve.triangle, "bar" if opposes else "tip"
    )
    return Markup('<path d="{}" class="hit"/><path d="{}" class="way"/>').format(curve.d, curve.d) + end


def _letters(place: Layout, curves: Sequence[tuple[str, Curve]]) -> Iterable[Markup]:
    """q, k or v at each arrow that has room for it."""
    taken = [glyph.box for glyph in place.glyphs]
    for letter, curve in curves:
        for share in (0.6, 0.7, 0.5, 0.8, 0.4, 0.3) if letter else ():
            x, y = curve.at(share)
            box = (x - 5, y - 6, x + 5, y + 6)
            if x > place.columns[0].left and not any(
                box[0] < b[2] and b[0] < box[2] and box[1] < b[3] and b[1] < box[3] for b in taken
            ):
                taken.append(box)
                yield text(x, y + 3.5, letter, "middle", "letter")
                break


def _linked(marks: Sequence[Markup], part: Backing | Glyph | Looks, said: str, kind: str, address: Address) -> Markup:
    """Marks with what they mean, leading to the first claim that they rest on."""
    claims = ", ".join(map(str, part.claims))
    title = f"{said} [{claims}]" if claims else said
    inner = Markup("").join(marks) + Markup("<title>{}</title>").format(title)
    target = address(part.claims[0]) if part.claims else None
    if target is None or not marks:
        return Markup('<g class="{}">{}</g>').format(kind, inner)
    return Markup('<a href="{}" class="{}" aria-label="{}">{}</a>').format(target, kind, title, inner)
