"""Drift as a picture: for each claim its effect at the confirmation and in every re-run, in the order of time.

An SVG file that stands by itself. Whiskers are 95 % intervals; the dashed lines are the levels `kept` and `lost`. What
became of a re-run is said by colour and by the shape of the point: a dot held or confirmed, a cross failed, a ring is
undecided.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from lakatos.experiments_db.report.svg import Scale, line, number, percent, text

_WIDTH, _PANEL, _LEFT, _TOP, _STEP = 760, 190, 70, 34, 56
_STYLE = """text{font:11px sans-serif;fill:#333}.title{font-weight:bold}.bar{stroke:#555;stroke-width:1.5}
.axis,.zero{stroke:#999}.level{stroke:#b36b00;stroke-dasharray:4 3}.held{fill:#1a7f37;stroke:#1a7f37}
.failed{stroke:#c62828;stroke-width:2.5;fill:none}.undecided{fill:#fff;stroke:#b36b00;stroke-width:2}"""
_CLASSES = {"confirmed": "held", "held": "held", "failed": "failed", "undecided": "undecided"}


def drift_svg(histories: Sequence[dict[str, Any]]) -> str:
    """The whole picture, a panel for each claim.

    Args:
        histories: `drift.drift_document`.
    """
    width = max(_WIDTH, _LEFT + _STEP * (1 + max((len(h["rows"]) for h in histories), default=1)) + 40)
    height = _PANEL * len(histories)
    opening = Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" width="{}" height="{}" viewBox="0 0 {} {}" role="img" '
        'aria-label="Effects of {} confirmed claims over their re-runs"><style>{}</style>'
        '<rect width="100%" height="100%" fill="#fff"/>'
    ).format(width, height, width, height, len(histories), _STYLE)
    panels = [_panel(h, _PANEL * k, width) for k, h in enumerate(histories)]
    return str(opening + Markup("").join(panels) + Markup("</svg>\n"))


def _panel(history: dict[str, Any], top: float, width: float) -> Markup:
    gap = history["gap"] or 1.0
    shown = percent if history["gap"] else number
    levels = {name: history[name] / gap for name in ("kept", "lost")}
    rows = [[row[k] / gap for k in ("effect", "low", "high")] for row in history["rows"]]
    every = [0.0, *levels.values(), *(value for row in rows for value in row)]
    spare = 0.05 * (max(every) - min(every) or 1.0)
    bottom = top + _PANEL - 46
    y = Scale(min(every) - spare, max(every) + spare, bottom, top + _TOP)
    unit = "share of the gap" if history["gap"] else history["unit"]
    parts = [text(8, top + 18, f"{history['title']}: effect, {unit}", "start", "title")]
    for tick in y.ticks(4):
        parts.append(text(_LEFT - 8, y(tick) + 4, shown(tick), "end"))
    parts.append(line(_LEFT, y.left, _LEFT, y.right, "axis"))
    parts.append(line(_LEFT, y(0), width - 60, y(0), "zero"))
    for name, level in levels.items():
        parts += [line(_LEFT, y(level), width - 60, y(level), "level"), text(width - 56, y(level) + 4, name, "start")]
    for place, (row, (effect, low, high)) in enumerate(zip(history["rows"], rows, strict=True)):
        x = _LEFT + _STEP * (place + 0.6)
        parts.append(line(x, y(low), x, y(high), "bar"))
        said = f"{row['at'][:16]} {row['model']}: {row['outcome']}, {shown(effect)}, {row['n']} pairs"
        parts.append(_point(x, y(effect), row["outcome"], said))
        parts.append(text(x, bottom + 14, row["outcome"], "middle"))
        parts.append(text(x, bottom + 27, row["weights"][7:13] + ("" if row["same_weights"] else " *"), "middle"))
    parts.append(text(_LEFT, bottom + 41, "below: weights; * others than those that were confirmed", "start"))
    return Markup("").join(parts)


def _point(x: float, y: float, outcome: str, said: str) -> Markup:
    kind = _CLASSES[outcome]
    if outcome == "failed":
        shape = Markup('<path d="M{} {}l9 9m0 -9l-9 9" class="{}"><title>{}</title></path>')
        return shape.format(round(x - 4.5, 2), round(y - 4.5, 2), kind, said)
    shape = Markup('<circle cx="{}" cy="{}" r="4.5" class="{}"><title>{}</title></circle>')
    return shape.format(round(x, 2), y, kind, said)
