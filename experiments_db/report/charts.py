"""Small charts as inline SVG, drawn from the numbers of `documents.py`. Nothing is computed here that decides anything.

    heat_map    every component: how strong exploration found it, and what became of the claims about it
    interval    an effect and its interval as a share of the gap, beside the smallest effect of interest
    e_path      the e-value after each prompt and batch, on a log scale, with the lines at which a test stops
    strip       the effect on every single prompt, by template: failures as visible as successes

All text goes through Markup's escaping. Colours are classes of the style sheet, so that they follow light and dark, and
whatever a colour says is also said by a shape, a word or a <title>.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from lakatos.tools.component import KINDS, Component
from lakatos.tools.errors import UserError
from lakatos.tools.statistics import BATCH, FUTILE_BELOW, MIN_FOR_FUTILITY

MARKS = {"confirmed": "✓", "refuted": "✕", "inconclusive": "?", "testing": "…", "registered": "…"}
_MINUS, _TIMES, _NOTHING = "\N{MINUS SIGN}", "\N{MULTIPLICATION SIGN}", "\N{EN DASH}"
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_MOST_TELLING = tuple(MARKS)
_COLUMNS_AFTER_HEADS = {"attention": 0, "mlp": 1, "residual": 2}
SHOWN_AS: dict[str, str] = {kind: known.shown_as for kind, known in KINDS.items()}
_MAX_ROWS = 24  # templates that get a row of their own in a strip
_LABEL = 17  # characters of a template's name that fit beside a strip


def number(value: float | None, *, short: bool = False) -> str:
    """Three significant digits, as people write them: 0.0120, 9,062, a power of ten; a dash for what is not there.

    Args:
        short: leave out final zeros, as on an axis.
    """
    if value is None:
        return _NOTHING
    rounded = float(f"{value:.3g}") if math.isfinite(value) else value
    size = abs(rounded)
    if not math.isfinite(value):
        text = f"{value}".replace("inf", "∞")
    elif 1000 <= size < 1e6:
        text = f"{value:,.0f}"
    elif value == 0 or 1e-3 <= size < 1000:
        text = f"{value:.3g}" if short or value == 0 else f"{value:#.3g}".rstrip(".")
    else:
        mantissa, power = f"{value:.2e}".split("e")
        text = f"{float(mantissa):g}{_TIMES}10{str(int(power)).translate(_RAISED)}"
    return text.replace("-", _MINUS)


def signed(value: float | None) -> str:
    """Two decimals with their sign."""
    return _NOTHING if value is None else f"{value:+.2f}".replace("-", _MINUS)


def percent(value: float | None, decimals: int | None = None) -> str:
    """A share, never broken across lines; with a decimal where it is small."""
    if value is None:
        return _NOTHING
    if decimals is None:
        decimals = 1 if abs(value) < 0.0995 else 0
    return f"{100 * value:.{decimals}f}\u202f%".replace("-", _MINUS)


@dataclass(frozen=True)
class Scale:
    """A linear map from values to pixels."""

    low: float
    high: float
    left: float
    right: float

    def __call__(self, value: float) -> float:
        inside = min(max(value, self.low), self.high)
        return round(self.left + (inside - self.low) / (self.high - self.low) * (self.right - self.left), 2)

    def ticks(self, about: int = 5) -> list[float]:
        """Round numbers inside the scale."""
        span = self.high - self.low
        raw = span / about
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(s * power for s in (1, 2, 2.5, 5, 10) if s * power >= raw * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        return [k * step for k in range(first, math.floor(self.high / step + 1e-9) + 1)]


def common_scale(hypotheses: Sequence[dict[str, Any]]) -> tuple[float, float]:
    """The range, as a share of the gap, that shows every interval, threshold and prediction of a run."""
    values = [0.0]
    for h in hypotheses:
        values.append(float(h["margin"]))
        if h["predicted"] is not None:
            values.append(float(h["predicted"]))
        values += [v for v in shares(h) if v is not None]
    low, high = min(values), max(values)
    margin = 0.06 * (high - low or 1.0)
    return low - margin, high + margin


def shares(h: dict[str, Any]) -> tuple[float | None, float | None, float | None]:
    """Effect, low and high as shares of the gap; None for a test without evidence."""
    if h["fraction"] is None:
        return None, None, None
    return h["fraction"], h["low"] / h["gap"], h["high"] / h["gap"]


def level(h: dict[str, Any]) -> str:
    """The confidence level of a hypothesis's interval; higher than 95 % where it is adjusted for selection."""
    return "" if h["level"] is None else f"{100 * h['level']:.4g} %"


def interval(h: dict[str, Any], scale: tuple[float, float], *, axis: bool = False) -> Markup:
    """Effect and interval of a hypothesis; with an axis, the large form."""
    width, height = (400, 66) if axis else (190, 26)
    x = Scale(*scale, 12, width - 12)
    middle = 16.0 if axis else 13.0
    threshold = float(h["margin"])
    effect, low, high = shares(h)
    said = f"null hypothesis: at most {percent(threshold)} of the gap"
    if h["predicted"] is not None:
        said = f"predicted {percent(h['predicted'])}; " + said
    if effect is not None and low is not None and high is not None:
        said = f"effect {percent(effect)} of the gap, {level(h)} interval {percent(low)} to {percent(high)}; " + said
    top, bottom = middle - 11, middle + 11
    parts = [line(x(0), top, x(0), bottom, "zero"), line(x(threshold), top, x(threshold), bottom, "delta")]
    if effect is not None and low is not None and high is not None:
        parts.append(line(x(low), middle, x(high), middle, f"bar v-{h['state']}"))
        parts += [line(x(end), middle - 4, x(end), middle + 4, f"cap v-{h['state']}") for end in (low, high)]
        parts.append(Markup('<circle cx="{}" cy="{}" r="4.2" class="dot v-{}"/>').format(x(effect), middle, h["state"]))
    if h["predicted"] is not None:
        at = x(h["predicted"])
        parts.append(Markup('<path d="M{} {}l4 4l-4 4l-4 -4z" class="predicted"/>').format(at, round(middle - 4, 2)))
    if axis:
        parts.append(line(12, bottom + 5, width - 12, bottom + 5, "axis"))
        for tick in x.ticks():
            parts.append(line(x(tick), bottom + 5, x(tick), bottom + 9, "axis"))
            parts.append(text(x(tick), bottom + 21, percent(tick, 0), "middle"))
    return svg(width, height, said, parts, "interval wide" if axis else "interval")


def e_path(h: dict[str, Any]) -> Markup:
    """The e-value after each prompt, with the batches at which it decided; log scale, success and futility lines."""
    record = h["record"]
    threshold, n_max = float(record["threshold"]), int(record["battery"]["n_max"])
    path = [(BATCH * (b["number"] + 1), float(b["e_after"])) for b in h["batches"]]
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
    bets = h.get("e_path") or []
    per_bet = max((n for n, _ in path), default=0) / max(len(bets), 1)  # prompts that make one bet
    trace = [(x(0), y(0)), *((x(per_bet * k), y(_log(e))) for k, e in enumerate(bets, 1))]
    parts.append(
        Markup('<polyline points="{}" class="path v-{}"/>').format(" ".join(f"{a},{b}" for a, b in trace), h["state"])
    )
    for (n, e), (px, py) in zip(path, points[1:], strict=True):
        parts.append(
            Markup('<circle cx="{}" cy="{}" r="3.4" class="dot v-{}"><title>{} pairs: e = {}</title></circle>').format(
                px, py, h["state"], n, number(e)
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


def strip(h: dict[str, Any]) -> Markup:
    """The main effect of every prompt, a row per template, strongest template first; hollow: not above the null."""
    main = h["record"]["battery"]["lines"][0]
    delta, unit = float(main["delta"]), main["unit"]
    rows: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for prompt in h["prompts"]:
        rows[prompt["template"]].append((main_effect(prompt), str(prompt.get("clean", ""))))
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
    if h["low"] is not None:
        band = Markup('<rect x="{}" y="{}" width="{}" height="{}" class="band"/>')
        parts.append(band.format(x(h["low"]), top - 2, round(x(h["high"]) - x(h["low"]), 2), bottom - top + 2))
        parts.append(line(x(h["effect"]), top - 2, x(h["effect"]), bottom, "mean"))
    parts.append(line(x(0), top - 2, x(0), bottom, "zero"))
    parts.append(line(x(delta), top - 6, x(delta), bottom, "delta"))
    parts.append(text(x(delta), top - 10, f"null: at most {number(delta)}", _anchor(x(delta), left, width), "delta"))
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


def main_effect(prompt: dict[str, Any]) -> float:
    """A prompt's effect on the first line of the battery."""
    return float(next(iter(prompt["effects"].values())))


def heat_map(cells: Sequence[dict[str, Any]], attributions: Sequence[dict[str, Any]]) -> Markup:
    """Layers down, heads and then attention, MLP and residual stream across; nothing where there is nothing to show.

    Args:
        cells: `documents.heat_map`.
        attributions: rows of exploration: component and score.
    """
    scores = _strengths(attributions)
    tested: dict[tuple[int, str, int | None], list[dict[str, Any]]] = defaultdict(list)
    for cell in cells:
        kind = SHOWN_AS[cell["kind"]]
        tested[cell["layer"], kind, cell["index"] if kind == "head" else None].append(cell)
    places = [*scores, *tested]
    if not places:
        return Markup("")
    heads = max([0, *(i + 1 for _, kind, i in places if kind == "head" and i is not None)])
    layers = max(layer + 1 for layer, _, _ in places)
    size = 26 if heads <= 16 else 19 if heads <= 32 else 15
    left, top, space = 30, 22, 8
    strongest = max((abs(s) for s in scores.values()), default=0.0) or 1.0

    def at(layer: int, kind: str, index: int | None) -> tuple[int, int]:
        if kind == "head":
            return left + size * (index or 0), top + size * layer
        return left + space + size * (heads + _COLUMNS_AFTER_HEADS[kind]), top + size * layer

    parts = []
    for head in range(heads):
        parts.append(text(left + size * (head + 0.5), top - 7, str(head), "middle"))
    for kind, name in (("attention", "at"), ("mlp", "m"), ("residual", "r")):
        x, _ = at(0, kind, None)
        parts.append(text(x + size / 2, top - 7, name, "middle"))
    for layer in range(layers):
        parts.append(text(left - 8, top + size * (layer + 0.5) + 4, str(layer), "end"))
        kinds: list[tuple[str, int | None]] = [("head", i) for i in range(heads)]
        for kind, index in [*kinds, ("attention", None), ("mlp", None), ("residual", None)]:
            x, y = at(layer, kind, index)
            score = scores.get((layer, kind, index))
            box = Markup('<rect x="{}" y="{}" width="{}" height="{}" rx="2" class="{}"')
            parts.append(box.format(x + 1, y + 1, size - 2, size - 2, "empty" if score is None else "heat"))
            if score is None:
                parts.append(Markup("/>"))
            else:
                strength = round(0.04 + 0.96 * math.sqrt(abs(score) / strongest), 3)
                name = place_name(layer, kind, index)
                parts.append(
                    Markup(' fill-opacity="{}"><title>{}: attribution {} (exploration)</title></rect>').format(
                        strength, name, signed(score)
                    )
                )
    for (layer, kind, index), claims in sorted(tested.items(), key=lambda item: str(item[0])):
        parts += _claims_of_cell(claims, *at(layer, kind, index), size)
    width = left + space + size * (heads + 3) + 4
    height = top + size * layers + 4
    opening = Markup('<svg class="heat-map" width="{}" height="{}" viewBox="0 0 {} {}" role="group" aria-label="{}">')
    said = "Components by layer; links lead to hypotheses"
    return opening.format(width, height, width, height, said) + Markup("").join(parts) + Markup("</svg>")


def _claims_of_cell(claims: Sequence[dict[str, Any]], x: int, y: int, size: int) -> Iterable[Markup]:
    """An outline in the colour of the most telling verdict, and a mark that links to each claim, side by side."""
    best = min((c["state"] for c in claims), key=_MOST_TELLING.index)
    outline = Markup('<rect x="{}" y="{}" width="{}" height="{}" rx="3" class="outline v-{}"/>')
    yield outline.format(x + 1, y + 1, size - 2, size - 2, best)
    inner, tall = size - 8, size - 10
    share = inner / len(claims)
    for k, claim in enumerate(claims):
        left = x + 4 + share * k
        said = f"{claim['component']}: hypothesis {claim['id']}, {claim['state']}"
        if claim["fraction"] is not None:
            said += f", {percent(claim['fraction'])} of the gap"
        yield Markup(
            '<a href="#h{}" aria-label="{}"><rect x="{}" y="{}" width="{}" height="{}" rx="2" class="chip"/>'
            '<text x="{}" y="{}" text-anchor="middle" class="mark v-{}{}">{}</text><title>{}</title></a>'
        ).format(
            claim["id"],
            said,
            round(left + 0.5, 2),
            y + 5,
            round(share - 1, 2),
            tall,
            round(left + share / 2, 2),
            round(y + size / 2 + 4, 2),
            claim["state"],
            " many" if len(claims) > 1 else "",
            MARKS[claim["state"]] if len(claims) <= 3 else "",
            said,
        )


def _strengths(attributions: Sequence[dict[str, Any]]) -> dict[tuple[int, str, int | None], float]:
    """A score per component: that over all positions, or else that of its strongest position."""
    whole: dict[tuple[int, str, int | None], float] = {}
    strongest: dict[tuple[int, str, int | None], float] = {}
    for row in attributions:
        try:
            component = Component.parse(str(row["component"]))
        except UserError:
            continue
        if component.known.shown_as != component.kind:
            continue
        key = (component.layer, component.kind, component.index)
        score = float(row["score"])
        if component.position is None:
            whole[key] = score
        elif abs(score) > abs(strongest.get(key, 0.0)):
            strongest[key] = score
    return strongest | whole


def place_name(layer: int, kind: str, index: int | None) -> str:
    kinds: dict[str, Any] = {"head": "head", "attention": "attention", "mlp": "mlp", "residual": "residual"}
    return str(Component(layer, kinds[kind], index))


def _log(e: float) -> float:
    """log10, kept on paper: an e-value of 0 is drawn at 1e-9."""
    return math.log10(min(max(e, 1e-9), 1e300))


def _anchor(x: float, left: float, right: float) -> str:
    return "start" if x < left + 50 else "end" if x > right - 60 else "middle"


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    return Markup('<line x1="{}" y1="{}" x2="{}" y2="{}" class="{}"/>').format(
        *(round(v, 2) for v in (x1, y1, x2, y2)), kind
    )


def text(x: float, y: float, text: str, anchor: str, kind: str = "") -> Markup:
    return Markup('<text x="{}" y="{}" text-anchor="{}" class="{}">{}</text>').format(
        round(x, 2), round(y, 2), anchor, kind, text
    )


def svg(width: float, height: float, said: str, parts: Iterable[Markup], kind: str) -> Markup:
    opening = Markup('<svg class="{}" viewBox="0 0 {} {}" role="img" aria-label="{}">')
    return opening.format(kind, width, height, said) + Markup("").join(parts) + Markup("</svg>")
