"""The legend of a mechanism's picture: the marks that occur in it, as many in a line as fit."""

from __future__ import annotations

from collections.abc import Iterator

from markupsafe import Markup

from lakatos.experiments_db.mechanism import Mechanism
from lakatos.experiments_db.report.mechanism_glyphs import Layout
from lakatos.experiments_db.report.svg import text

_LINE, _LEFT, _SIGN, _CHARACTER, _SPACE = 19.0, 8.0, 24.0, 5.9, 14.0

_BOX = '<rect x="1" y="-7" width="14" height="14" rx="{0}"'
_NODE = f'{_BOX} class="base"/>{_BOX} class="tint" fill-opacity="0.35"/>'
_LINE_TO = '<path d="M0 0H{}" class="way"/>'
_SIGNS = {
    "head": ("node", Markup(_NODE.format(7))),
    "mlp": ("node", Markup(_NODE.format(2))),
    "opposes": ("node opposes", Markup(_NODE.format(7) + '<path d="M5 0H11" class="minus"/>')),
    "ring": ("node", Markup('<rect x="2" y="-6" width="12" height="12" rx="6" class="base"/>'
                            '<rect x="-1" y="-9" width="18" height="18" rx="9" class="ring"/>')),
    "path": ("edge", Markup(_LINE_TO.format(12) + '<path d="M18 0L11 -3.4V3.4Z" class="tip"/>')),
    "against": ("edge opposes", Markup(_LINE_TO.format(15) + '<path d="M16 -5V5" class="bar"/>')),
    "backup": ("edge backup", Markup(_LINE_TO.format(12) + '<path d="M18 0L11 -3.4V3.4Z" class="tip"/>')),
    "look": ("look", Markup(_LINE_TO.format(13) + '<circle cx="15" cy="0" r="3" class="eye"/>')),
    "held": ("node", Markup('<circle cx="9" cy="0" r="2.8" class="held"/>')),
    "unshown": ("node", Markup('<circle cx="9" cy="0" r="2.8" class="unshown"/>')),
    "faint": ("node faint", Markup(_NODE.format(7))),
}  # fmt: skip


def legend(found: Mechanism, place: Layout, top: float) -> tuple[list[Markup], float]:
    """The marks of a picture with their meanings, from `top` downwards; and where they end."""
    parts: list[Markup] = []
    x, y = _LEFT, top + _LINE / 2
    for sign, meaning in _meanings(found, place):
        wide = _SIGN + _CHARACTER * len(meaning)
        if x > _LEFT and x + wide > place.width - 4:
            x, y = _LEFT, y + _LINE
        kind, mark = _SIGNS[sign]
        group = Markup('<g class="{}" transform="translate({} {})">{}</g>')
        parts += [
            group.format(kind, round(x, 1), round(y, 1), mark),
            text(x + _SIGN, y + 4, meaning, "start", "meaning"),
        ]
        x += wide + _SPACE
    return parts, y + _LINE


def _meanings(found: Mechanism, place: Layout) -> Iterator[tuple[str, str]]:
    """What occurs, and what it means."""
    nodes = [glyph for glyph in place.glyphs if not glyph.faint]
    if any(glyph.place.known.shown_as == "head" for glyph in nodes):
        yield "head", "head, tint: share of the gap"
    if any(glyph.place.known.branch == "mlp" for glyph in nodes):
        yield "mlp", "MLP"
    if any(glyph.opposes for glyph in nodes):
        yield "opposes", "opposes"
    if any(glyph.necessary for glyph in nodes):
        yield "ring", "necessary"
    if any(path.direction == "supports" for path in found.paths):
        yield "path", "path"
    if any(path.direction == "opposes" for path in found.paths):
        yield "against", "opposing path"
    if found.backups:
        yield "backup", "steps in for"
    if found.looks:
        yield "look", "attends to"
    if any(glyph.families for glyph in nodes):
        yield "held", "holds on another prompt family"
    if any(glyph.unshown for glyph in nodes):
        yield "unshown", "not shown on one"
    if any(glyph.faint for glyph in place.glyphs):
        yield "faint", "takes part; no effect confirmed"
