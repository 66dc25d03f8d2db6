"""One picture of the benchmark: what each arm finds of what is there, and how much of what it finds is not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from markupsafe import Markup

from lakatos.experiments_db.report.svg import Scale

_ROW, _TOP, _LEFT, _PANEL, _GAP = 24, 58, 190, 250, 40
_OURS, _OTHERS = "#0b6e99", "#8a5a00"
_PANELS: Final = (
    ("recall", "found, of what takes part"),
    ("component_fdr", "false, of what was found"),
)


def figure(document: dict[str, Any]) -> str:
    """An SVG file: a row an arm, a dot for the mean with Student's 95 % interval.

    Args:
        document: as `summary` returns it.
    """
    rows = [*(arm for arm in document["arms"] if arm["ours"]), *(arm for arm in document["arms"] if not arm["ours"])]
    height = _TOP + _ROW * len(rows) + 58
    width = _LEFT + 2 * _PANEL + _GAP + 30
    parts = Markup("").join(_parts(rows))
    opening = Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="img" '
        'aria-label="Recall and false discoveries of each arm" font-family="system-ui, sans-serif" font-size="13">'
        '<rect width="{w}" height="{h}" fill="#ffffff"/>'
    ).format(w=width, h=height)
    return str(opening + parts + Markup("</svg>\n"))


def _parts(rows: list[dict[str, Any]]) -> Iterator[Markup]:
    bottom = _TOP + _ROW * len(rows)
    for panel, (measure, title) in enumerate(_PANELS):
        left = _LEFT + panel * (_PANEL + _GAP)
        scale = Scale(0.0, 1.0, left, left + _PANEL)
        yield _text(left + _PANEL / 2, 24, title, "middle", weight="600")
        for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
            yield _line(scale(tick), _TOP - 14, scale(tick), bottom, "#dddddd")
            yield _text(scale(tick), bottom + 18, f"{tick:g}", "middle", fill="#555555")
        for number, row in enumerate(rows):
            y = _TOP + _ROW * number
            colour = _OURS if row["ours"] else _OTHERS
            if panel == 0:
                yield _text(_LEFT - 14, y + 4, row["arm"], "end", fill=colour)
            if found := row[measure]:
                yield _line(scale(found["low"]), y, scale(found["high"]), y, colour, 2)
                yield Markup('<circle cx="{}" cy="{}" r="4.5" fill="{}"/>').format(scale(found["mean"]), y, colour)
    yield _text(
        _LEFT,
        bottom + 42,
        "blue: registered and tested by lakatos; brown: what people do today",
        "start",
        fill="#555555",
    )


def _text(x: float, y: float, text: str, anchor: str, *, fill: str = "#222222", weight: str = "400") -> Markup:
    return Markup('<text x="{}" y="{}" text-anchor="{}" fill="{}" font-weight="{}">{}</text>').format(
        round(x, 1), round(y, 1), anchor, fill, weight, text
    )


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, width: float = 1) -> Markup:
    return Markup('<line x1="{}" y1="{}" x2="{}" y2="{}" stroke="{}" stroke-width="{}"/>').format(
        x1, y1, x2, y2, colour, width
    )
