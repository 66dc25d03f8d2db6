"""SVG by hand: scales, lines, text, numbers as people read them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup

_MINUS, _TIMES, _NOTHING = "\N{MINUS SIGN}", "\N{MULTIPLICATION SIGN}", "\N{EN DASH}"
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


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


def anchored(x: float, left: float, right: float) -> str:
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
