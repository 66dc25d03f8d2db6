"""The curves of a mechanism's arrows: past the glyphs of a column in the space beside it, with room for their heads."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lakatos.experiments_db.report.mechanism_glyphs import HALF, RING, Glyph, Layout

_TIP = 7.0  # length of an arrow's head
_ASIDE = (0.0, 30.0, -30.0, 60.0, -60.0, 90.0, -90.0)  # how far an arrow may bend to pass others by
Point = tuple[float, float]


@dataclass(frozen=True)
class Curve:
    """A cubic Bezier curve."""

    start: Point
    out: Point
    into: Point
    end: Point

    @property
    def d(self) -> str:
        """As an SVG path, up to the arrow's head."""
        x, y = self._back(_TIP - 1)
        return f"M{_pair(self.start)}C{_pair(self.out)} {_pair(self.into)} {_pair((x, y))}"

    @property
    def triangle(self) -> str:
        """Its head."""
        (x, y), (u, v) = self._back(_TIP), self._direction
        return f"M{_pair(self.end)}L{_pair((x - 3.4 * v, y + 3.4 * u))}L{_pair((x + 3.4 * v, y - 3.4 * u))}Z"

    @property
    def bar(self) -> str:
        """Its head where it opposes."""
        (x, y), (u, v) = self._back(1.5), self._direction
        stem = f"M{_pair(self._back(_TIP))}L{_pair((x, y))}"
        return f"{stem}M{_pair((x - 5 * v, y + 5 * u))}L{_pair((x + 5 * v, y - 5 * u))}"

    def at(self, share: float) -> Point:
        """A point of it."""
        s, t = 1 - share, share
        weights = (s**3, 3 * s * s * t, 3 * s * t * t, t**3)
        points = (self.start, self.out, self.into, self.end)
        return (
            sum(w * p[0] for w, p in zip(weights, points, strict=True)),
            sum(w * p[1] for w, p in zip(weights, points, strict=True)),
        )

    @property
    def _direction(self) -> Point:
        return _unit(self.into, self.end)

    def _back(self, by: float) -> Point:
        u, v = self._direction
        return self.end[0] - by * u, self.end[1] - by * v


def between(place: Layout, a: Glyph, b: Glyph, *, right: bool = False) -> Curve:
    """From one glyph to another: within a column beside it, and otherwise across.

    Args:
        right: pass a column on its right.
    """
    one, other = place.column(a.place.position), place.column(b.place.position)
    if one is not None and one is other:
        right = right or one is place.columns[0]  # beside the first stand the numbers of layers
        side = one.right + 6 if right else one.left - 6
        far = side + (3 if right else -3) * min(4.0, abs(a.y - b.y) / 120)
        out, into = (far, a.y + (b.y - a.y) * 0.2), (far, b.y + (a.y - b.y) * 0.2)
        return _from_to(a, b, out, into)
    rise, lean = 0.3 * (b.y - a.y), 0.2 * (b.x - a.x)
    u, v = _unit((a.x, a.y), (b.x, b.y))
    ways = [
        _from_to(
            a, b, (a.x + lean - aside * v, a.y + rise + aside * u), (b.x - lean - aside * v, b.y - rise + aside * u)
        )
        for aside in _ASIDE
    ]
    return min(ways, key=lambda way: _met(place, way, a, b))  # of equal ones the straightest


def _from_to(a: Glyph, b: Glyph, out: Point, into: Point) -> Curve:
    return Curve(_edge(a, out, 1.0), out, into, _edge(b, into, 2.0))


def _met(place: Layout, curve: Curve, a: Glyph, b: Glyph) -> int:
    """How many other glyphs a curve passes through; and whether it leaves the columns."""
    points = [curve.at(step / 24) for step in range(1, 24)]
    outside = any(not place.columns[0].left - 4 < x < place.width - 4 for x, _ in points)
    others = [glyph.box for glyph in place.glyphs if glyph is not a and glyph is not b]
    met = sum(any(box[0] < x < box[2] and box[1] < y < box[3] for x, y in points) for box in others)
    return met + 100 * outside


def to_logits(place: Layout, a: Glyph, bottom: float, beside: dict[float, int]) -> Curve:
    """From a glyph up to the logits: straight where nothing is above it, and otherwise beside its column.

    Args:
        bottom: of the logits.
        beside: how many such curves pass each column already.
    """
    above = [g.box for g in place.glyphs if g.y < a.y - 1]
    if not any(box[0] - 2 < a.x < box[2] + 2 for box in above):
        up = (a.x, bottom + 1)
        return Curve(_edge(a, up, 1.0), (a.x, 0.5 * (a.y + bottom)), (a.x, 0.7 * bottom + 0.3 * a.y), up)
    column = place.column(a.place.position)
    edge = column.right if column else a.x + a.half
    beside[edge] = beside.get(edge, -1) + 1
    side = edge + 6 - 4.0 * (beside[edge] % 5)
    out, into = (side + 4, a.y - 12), (side, a.y - 0.4 * (a.y - bottom))
    return Curve(_edge(a, out, 1.0), out, into, (side, bottom + 1))


def _edge(glyph: Glyph, towards: Point, gap: float) -> Point:
    """Where a line from a glyph's middle leaves it."""
    u, v = _unit((glyph.x, glyph.y), towards)
    out = gap + (RING if glyph.necessary else 0.0)
    wide, tall = glyph.half + out, HALF + out
    reach = 1 / math.hypot(u / wide, v / tall)
    if glyph.place.known.shown_as != "head":
        reach = min(wide / abs(u) if u else math.inf, tall / abs(v) if v else math.inf)
    return glyph.x + reach * u, glyph.y + reach * v


def _unit(a: Point, b: Point) -> Point:
    length = math.dist(a, b) or 1.0
    return (b[0] - a[0]) / length, (b[1] - a[1]) / length


def _pair(point: Point) -> str:
    return f"{round(point[0], 1)} {round(point[1], 1)}"
