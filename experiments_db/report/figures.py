"""The larger figures of the review site as inline SVG: what stands beside an effect, and two sides compared.

lines       every null hypothesis of a battery: mean and interval, in units of its clipping scale, beside its bound
seen        the effect on exploration pairs and on confirmation pairs, one above the other
versus      pairs of claims, one dot each: the share of the gap on one side against that on the other
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from lakatos.experiments_db.documents import HypothesisDocument
from lakatos.experiments_db.report.svg import Scale, line, number, percent, signed, svg, text

_LABEL = 25  # characters beside a line of the battery
_WIDTH = 400
_NARROW = 270  # in a column at the side


def lines(h: HypothesisDocument) -> Markup:
    """Each line's mean with its 95 % interval over its bound, all divided by the line's clipping scale."""
    shown = h.evidence.lines if h.evidence else ()
    scales = {line["name"]: float(line["scale"]) for line in h.record["battery"]["lines"]}
    rows = [
        (ln, [(value - ln.delta) / scales[ln.name] for value in (ln.mean, ln.low, ln.high)])
        for ln in shown
        if scales.get(ln.name)
    ]
    if not rows:
        return Markup("")
    values = [0.0, *(v for _, three in rows for v in three)]
    low, high = min(values), max(values)
    margin = 0.06 * (high - low or 1.0)
    left, top, row = 156, 18, 24
    bottom = top + row * len(rows)
    x = Scale(low - margin, high + margin, left, _WIDTH - 10)
    parts = [line(x(tick), top - 4, x(tick), bottom, "grid") for tick in x.ticks()]
    parts += [line(x(0), top - 8, x(0), bottom, "delta"), text(x(0), top - 10, "null", "middle", "delta")]
    for place, (ln, (mean, below, above)) in enumerate(rows):
        y = top + row * place + row / 2
        rejected = "v-confirmed" if below > 0 else "v-refuted" if above < 0 else "v-inconclusive"
        name = ln.name if ln.decides else f"reading: {ln.name}"
        said = f"{ln.name}: {signed(ln.mean)} {ln.unit}, bound {number(ln.delta)}, e = {number(ln.e)}"
        parts.append(_label(left - 10, y + 4, name))
        parts.append(line(x(below), y, x(above), y, f"bar {rejected}"))
        dot = Markup('<circle cx="{}" cy="{}" r="4.2" class="dot {}"><title>{}</title></circle>')
        parts.append(dot.format(x(mean), y, rejected, said))
    parts.append(line(left, bottom, _WIDTH - 10, bottom, "axis"))
    parts += [text(x(tick), bottom + 15, number(tick, short=True), "middle") for tick in x.ticks()]
    parts.append(
        text((left + _WIDTH - 10) / 2, bottom + 31, "above its null, in units of the clipping scale", "middle")
    )
    return svg(_WIDTH, bottom + 38, f"{len(rows)} lines of the battery beside their nulls", parts, "figure")


def seen(h: HypothesisDocument) -> Markup:
    """The main effect before registration and after it: a dot a prompt pair, a bar at each mean."""
    main = h.record["battery"]["lines"][0]
    explored = h.explored.effects
    confirmed = [prompt.main for prompt in h.prompts]
    delta = float(main["delta"])
    every = [0.0, delta, *explored, *confirmed]
    margin = 0.05 * (max(every) - min(every) or 1.0)
    left, top, row = 84, 24, 46
    x = Scale(min(every) - margin, max(every) + margin, left, _WIDTH - 10)
    bottom = top + 2 * row
    parts = [line(x(tick), top - 4, x(tick), bottom, "grid") for tick in x.ticks()]
    parts += [line(x(0), top - 4, x(0), bottom, "zero"), line(x(delta), top - 8, x(delta), bottom, "delta")]
    parts.append(text(x(delta), top - 11, f"null: at most {number(delta)}", "start", "delta"))
    for place, (name, values, kind) in enumerate((("exploration", explored, "t0"), ("confirmation", confirmed, "t2"))):
        middle = top + row * place + row / 2
        parts.append(text(left - 10, middle + 4, name, "end"))
        for k, value in enumerate(values):
            wobble = ((k * 7) % 11 - 5) * 2.6
            circle = Markup('<circle cx="{}" cy="{}" r="2.9" class="prompt {}{}"><title>{}</title></circle>')
            fails = "" if value > delta else " fails"
            parts.append(circle.format(x(value), round(middle + wobble, 2), kind, fails, signed(value)))
        if values:
            mean = sum(values) / len(values)
            parts.append(line(x(mean), middle - 19, x(mean), middle + 19, "middle"))
            parts.append(text(x(mean) + 5, middle - 12, signed(mean), "start", "value"))
    parts.append(line(left, bottom, _WIDTH - 10, bottom, "axis"))
    parts += [text(x(tick), bottom + 15, number(tick, short=True), "middle") for tick in x.ticks()]
    parts.append(text((left + _WIDTH - 10) / 2, bottom + 31, f"effect on one prompt pair, in {main['unit']}", "middle"))
    said = f"main effect on {len(explored)} exploration pairs and {len(confirmed)} confirmation pairs"
    return svg(_WIDTH, bottom + 38, said, parts, "figure")


def versus(pairs: Sequence[tuple[dict[str, Any], dict[str, Any]]], first: str, second: str) -> Markup:
    """Share of the gap on the second side against that on the first; on the diagonal both agree."""
    known = [(a, b) for a, b in pairs if a["fraction"] is not None and b["fraction"] is not None]
    if not known:
        return Markup("")
    values = [0.0, *(side["fraction"] for pair in known for side in pair)]
    margin = 0.07 * (max(values) - min(values) or 1.0)
    size, left, top = 330, 58, 12
    x = Scale(min(values) - margin, max(values) + margin, left, left + size)
    y = Scale(x.low, x.high, top + size, top)
    parts = []
    for tick in x.ticks():
        parts += [line(x(tick), top, x(tick), top + size, "grid"), line(left, y(tick), left + size, y(tick), "grid")]
        parts.append(text(x(tick), top + size + 16, percent(tick, 0), "middle"))
        parts.append(text(left - 8, y(tick) + 4, percent(tick, 0), "end"))
    parts += [line(x(0), top, x(0), top + size, "zero"), line(left, y(0), left + size, y(0), "zero")]
    parts.append(line(x(x.low), y(x.low), x(x.high), y(x.high), "delta"))
    for a, b in known:
        state = a["state"] if a["state"] == b["state"] else "inconclusive"
        same = "" if a["state"] == b["state"] else " fails"
        said = f"{a['text']}: {percent(a['fraction'])} {a['state']}, {percent(b['fraction'])} {b['state']}"
        circle = Markup('<circle cx="{}" cy="{}" r="4.4" class="pair v-{}{}"><title>{}</title></circle>')
        parts.append(circle.format(x(a["fraction"]), y(b["fraction"]), state, same, said))
    parts.append(text(left + size / 2, top + size + 34, f"of the gap in {first}", "middle"))
    up = Markup('<text transform="translate({} {}) rotate(-90)" text-anchor="middle">{}</text>')
    parts.append(up.format(14, top + size / 2, f"of the gap in {second}"))
    return svg(left + size + 12, top + size + 42, f"{len(known)} pairs of claims", parts, "scatter")


def history(drift: dict[str, Any]) -> Markup:
    """The main effect over time with its 95 % intervals, beside the levels at which a re-run holds and is lost.

    Args:
        drift: of one claim, see `drift.drift_document`.
    """
    rows = drift["rows"]
    values = [0.0, drift["kept"], drift["lost"], *(row[name] for row in rows for name in ("low", "high"))]
    margin = 0.08 * (max(values) - min(values) or 1.0)
    left, top, bottom = 46, 12, 150
    y = Scale(min(values) - margin, max(values) + margin, bottom, top)
    step = (_NARROW - left - 30) / max(len(rows), 2)
    parts = []
    for tick in y.ticks():
        parts.append(line(left, y(tick), _NARROW - 10, y(tick), "grid"))
        parts.append(text(left - 7, y(tick) + 4, number(tick, short=True), "end"))
    for name, kind in (("kept", "success"), ("lost", "futile")):
        parts.append(line(left, y(drift[name]), _NARROW - 10, y(drift[name]), kind))
        parts.append(text(_NARROW - 12, y(drift[name]) - 4, name, "end", kind))
    for place, row in enumerate(rows):
        x = left + 24 + step * place
        kind = {"failed": "v-refuted", "undecided": "v-inconclusive"}.get(row["outcome"], "v-confirmed")
        said = f"{row['at'][:10]} {row['model']}: {signed(row['effect'])} {drift['unit']}, {row['outcome']}"
        parts.append(line(x, y(row["low"]), x, y(row["high"]), f"bar {kind}"))
        dot = Markup('<circle cx="{}" cy="{}" r="4.4" class="dot {}"><title>{}</title></circle>')
        parts.append(dot.format(round(x, 2), y(row["effect"]), kind, said))
        if len(rows) <= 4:
            parts.append(text(x, bottom + 16, row["outcome"], "middle"))
    parts.append(line(left, bottom, _NARROW - 10, bottom, "axis"))
    return svg(_NARROW, bottom + 24, f"effect over {len(rows)} tests, {drift['unit']}", parts, "figure")


def _label(x: float, y: float, name: str) -> Markup:
    shown = name if len(name) <= _LABEL else name[: _LABEL - 1] + "…"
    return Markup('<text x="{}" y="{}" text-anchor="end">{}<title>{}</title></text>').format(x, y, shown, name)
