"""Small charts as inline SVG, drawn from the numbers of `documents`. Nothing is computed here that decides anything.

    interval    an effect and its interval as a share of the gap, beside the smallest effect of interest
    e_path      the e-value after each prompt and batch, on a log scale, with the lines at which a test stops
    strip       the effect on every single prompt, by template: failures as visible as successes

All text goes through Markup's escaping. Colours are classes of the style sheet, so that they follow light and dark, and
whatever a colour says is also said by a shape, a word or a <title>.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from lakatos.experiments_db.documents import HypothesisDocument, Line
from lakatos.experiments_db.report.svg import Scale, anchored, line, number, percent, signed, svg, text
from lakatos.tools.component import KINDS, Component
from lakatos.tools.statistics import BATCH, FUTILE_BELOW, MIN_FOR_FUTILITY

MARKS = {"confirmed": "✓", "refuted": "✕", "inconclusive": "?", "testing": "…", "registered": "…"}
SHOWN_AS: dict[str, str] = {kind: known.shown_as for kind, known in KINDS.items()}
_MAX_ROWS = 24  # templates that get a row of their own in a strip
_LABEL = 17  # characters of a template's name that fit beside a strip


def common_scale(hypotheses: Sequence[Line]) -> tuple[float, float]:
    """The range, as a share of the gap, that shows every interval, threshold and prediction of a run."""
    values = [0.0]
    for h in hypotheses:
        values.append(float(h.margin))
        if h.predicted is not None:
            values.append(float(h.predicted))
        values += [v for v in shares(h) if v is not None]
    low, high = min(values), max(values)
    margin = 0.06 * (high - low or 1.0)
    return low - margin, high + margin


def shares(h: Line) -> tuple[float | None, float | None, float | None]:
    """Effect, low and high as shares of the gap; None for a test without evidence."""
    if h.fraction is None or h.low is None or h.high is None:
        return None, None, None
    return h.fraction, h.low / h.gap, h.high / h.gap


def level(h: Line) -> str:
    """The confidence level of a hypothesis's interval; higher than 95 % where it is adjusted for selection."""
    return "" if h.level is None else f"{100 * h.level:.4g} %"


def interval(h: Line, scale: tuple[float, float], *, axis: bool = False) -> Markup:
    """Effect and interval of a hypothesis; with an axis, the large form."""
    width, height = (400, 66) if axis else (190, 26)
    x = Scale(*scale, 12, width - 12)
    middle = 16.0 if axis else 13.0
    threshold = float(h.margin)
    effect, low, high = shares(h)
    said = f"null hypothesis: at most {percent(threshold)} of the gap"
    if h.predicted is not None:
        said = f"predicted {percent(h.predicted)}; " + said
    if effect is not None and low is not None and high is not None:
        said = f"effect {percent(effect)} of the gap, {level(h)} interval {percent(low)} to {percent(high)}; " + said
    top, bottom = middle - 11, middle + 11
    parts = [line(x(0), top, x(0), bottom, "zero"), line(x(threshold), top, x(threshold), bottom, "delta")]
    if effect is not None and low is not None and high is not None:
        parts.append(line(x(low), middle, x(high), middle, f"bar v-{h.state}"))
        parts += [line(x(end), middle - 4, x(end), middle + 4, f"cap v-{h.state}") for end in (low, high)]
        parts.append(Markup('<circle cx="{}" cy="{}" r="4.2" class="dot v-{}"/>').format(x(effect), middle, h.state))
    if h.predicted is not None:
        at = x(h.predicted)
        parts.append(Markup('<path d="M{} {}l4 4l-4 4l-4 -4z" class="predicted"/>').format(at, round(middle - 4, 2)))
    if axis:
        parts.append(line(12, bottom + 5, width - 12, bottom + 5, "axis"))
        for tick in x.ticks():
            parts.append(line(x(tick), bottom + 5, x(tick), bottom + 9, "axis"))
            parts.append(text(x(tick), bottom + 21, percent(tick, 0), "middle"))
    return svg(width, height, said, parts, "interval wide" if axis else "interval")


def difference(row: dict[str, Any], rows: Sequence[dict[str, Any]]) -> Markup:
    """How far a claim's effect is above another's, with its interval; on the scale of all rows."""
    width, height, middle = 190, 26, 13.0
    ends = [0.0, *(row[end] for row in rows for end in ("low", "high"))]
    x = Scale(min(ends), max(ends), 12, width - 12)
    unit, low, mean, high = row["unit"], *(x(row[name]) for name in ("low", "mean", "high"))
    said = f"difference {number(row['mean'])} {unit}, interval {number(row['low'])} to {number(row['high'])}"
    parts = [line(x(0), middle - 11, x(0), middle + 11, "zero"), line(low, middle, high, middle, "bar plain")]
    parts += [line(end, middle - 4, end, middle + 4, "cap plain") for end in (low, high)]
    parts.append(Markup('<circle cx="{}" cy="{}" r="4.2" class="dot plain"/>').format(mean, middle))
    return svg(width, height, said, parts, "interval")


def e_path(h: HypothesisDocument) -> Markup:
    """The e-value after each prompt, with the batches at which it decided; log scale, success and futility lines."""
    record = h.record
    threshold, n_max = float(record["threshold"]), int(record["battery"]["n_max"])
    path = [(BATCH * (b.number + 1), b.e_after) for b in h.batches]
    logs = [_log(e) for _, e in path]
    low = math.floor(min([-1.0, *logs]) - 0.1)
    high = math.ceil(max([_log(threshold), *logs]) + 0.1)
    width, height, left, bottom = 400, 190, 46, 160
    x = Scale(0, max([n_max, *(n for n, _ in path)]), left, width - 14)
    y = Scale(low, high, bottom, 10)
    parts = []
    every = max(1, math.ceil((high - low) / 6))
    for decade in range(low, high + 1):
        if decade % every == 0:
            parts.append(line(left, y(decade), width - 14, y(decade), "grid"))
            parts.append(text(left - 7, y(decade) + 4, number(10.0**decade, short=True), "end"))
    parts.append(line(left, y(_log(threshold)), width - 14, y(_log(threshold)), "success"))
    parts.append(text(left + 8, y(_log(threshold)) - 5, f"confirmed alone at {number(threshold)}", "start", "success"))
    parts.append(line(left, y(0), width - 14, y(0), "zero"))
    if n_max > MIN_FOR_FUTILITY:
        futile = y(_log(FUTILE_BELOW))
        parts.append(line(x(MIN_FOR_FUTILITY), futile, width - 14, futile, "futile"))
        parts.append(text(width - 14, futile + 13, f"futile below {FUTILE_BELOW:g}", "end", "futile"))
    points = [(x(0), y(0)), *((x(n), y(_log(e))) for n, e in path)]
    bets = h.e_path
    per_bet = max((n for n, _ in path), default=0) / max(len(bets), 1)  # prompts that make one bet
    trace = [(x(0), y(0)), *((x(per_bet * k), y(_log(e))) for k, e in enumerate(bets, 1))]
    parts.append(
        Markup('<polyline points="{}" class="path v-{}"/>').format(" ".join(f"{a},{b}" for a, b in trace), h.state)
    )
    for (n, e), (px, py) in zip(path, points[1:], strict=True):
        parts.append(
            Markup('<circle cx="{}" cy="{}" r="3.4" class="dot v-{}"><title>{} pairs: e = {}</title></circle>').format(
                px, py, h.state, n, number(e)
            )
        )
    parts.append(line(left, bottom, width - 14, bottom, "axis"))
    last = int(x.high)
    for tick in range(0, last + 1, BATCH * math.ceil(last / BATCH / 4)):
        parts.append(line(x(tick), bottom, x(tick), bottom + 4, "axis"))
        parts.append(text(x(tick), bottom + 16, str(tick), "middle"))
    parts.append(text((left + width - 14) / 2, bottom + 29, "prompt pairs", "middle"))
    said = "e-value by batch: " + (", ".join(f"{number(e)} after {n}" for n, e in path) or "no batch yet")
    return svg(width, height, f"{said}; success at {number(threshold)}", parts, "path-chart")


def strip(h: HypothesisDocument) -> Markup:
    """The main effect of every prompt, a row per template, strongest template first; hollow: not above the null."""
    main = h.record["battery"]["lines"][0]
    delta, unit = float(main["delta"]), main["unit"]
    rows: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for prompt in h.prompts:
        rows[prompt.template].append((prompt.main, prompt.said.get("clean", "")))
    ranked = sorted(rows.items(), key=lambda item: -sum(e for e, _ in item[1]) / len(item[1]))
    if len(ranked) > _MAX_ROWS:
        rest = [dot for _, dots in ranked[_MAX_ROWS - 1 :] for dot in dots]
        ranked = [*ranked[: _MAX_ROWS - 1], (f"{len(rows) - _MAX_ROWS + 1} others", rest)]
    every = [effect for dots in rows.values() for effect, _ in dots]
    low, high = min([0.0, delta, *every]), max([0.0, delta, *every])
    margin = 0.05 * (high - low or 1.0)
    width, row, top, left = 400, 17, 22, 112
    bottom = top + row * len(ranked) + 4
    x = Scale(low - margin, high + margin, left, width - 10)
    parts = [line(x(tick), top - 2, x(tick), bottom, "grid") for tick in x.ticks()]
    if h.low is not None and h.high is not None and h.effect is not None:
        band = Markup('<rect x="{}" y="{}" width="{}" height="{}" class="band"/>')
        parts.append(band.format(x(h.low), top - 2, round(x(h.high) - x(h.low), 2), bottom - top + 2))
        parts.append(line(x(h.effect), top - 2, x(h.effect), bottom, "mean"))
    parts.append(line(x(0), top - 2, x(0), bottom, "zero"))
    parts.append(line(x(delta), top - 6, x(delta), bottom, "delta"))
    parts.append(text(x(delta), top - 10, f"null: at most {number(delta)}", anchored(x(delta), left, width), "delta"))
    for place, (template, dots) in enumerate(ranked):
        middle = top + row * place + row / 2 + 2
        shown = template if len(template) <= _LABEL else template[: _LABEL - 1] + "…"
        parts.append(
            Markup('<text x="{}" y="{}" text-anchor="end">{}<title>{}</title></text>').format(
                left - 8, middle + 4, shown, template
            )
        )
        for k, (effect, clean) in enumerate(sorted(dots)):
            kind = f"t{place % 8}" + ("" if effect > delta else " fails")
            circle = Markup('<circle cx="{}" cy="{}" r="3.3" class="prompt {}"><title>{} {}: {}</title></circle>')
            wobble = ((k % 3) - 1) * 2.2
            parts.append(circle.format(x(effect), middle + wobble, kind, signed(effect), unit, clean))
    parts.append(line(left, bottom, width - 10, bottom, "axis"))
    parts += [text(x(tick), bottom + 15, number(tick, short=True), "middle") for tick in x.ticks()]
    parts.append(text((left + width - 10) / 2, bottom + 30, f"effect on one prompt, in {unit}", "middle"))
    failing = sum(effect <= delta for effect in every)
    said = f"effects of {len(every)} prompts from {signed(min(every))} to {signed(max(every))} {unit}"
    said += f"; {failing} not above the null"
    return svg(width, bottom + 38, said, parts, "strip-chart")


def place_name(layer: int, kind: str, index: int | None) -> str:
    kinds: dict[str, Any] = {"head": "head", "attention": "attention", "mlp": "mlp", "residual": "residual"}
    return str(Component(layer, kinds[kind], index))


def _log(e: float) -> float:
    """log10, kept on paper: an e-value of 0 is drawn at 1e-9."""
    return math.log10(min(max(e, 1e-9), 1e300))
