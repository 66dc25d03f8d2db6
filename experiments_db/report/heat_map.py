"""Every component of a model in a grid, layers down: what exploration found of each, and what became of its claims.

tested   a run: shaded by attribution, a mark for each claim
counted  many runs: shaded by the number of hypotheses, each cell a filter of the table
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from lakatos.experiments_db.documents import Cell
from lakatos.experiments_db.report.charts import MARKS, SHOWN_AS, place_name
from lakatos.experiments_db.report.svg import percent, signed, text
from lakatos.tools.component import Component
from lakatos.tools.errors import UserError

_MOST_TELLING = tuple(MARKS)
_AFTER_HEADS = (("attention", "at"), ("mlp", "m"), ("residual", "r"))  # columns, and what stands above them
_LEFT, _TOP, _SPACE = 30, 22, 8

Place = tuple[int, str, int | None]  # layer, column, head


@dataclass(frozen=True)
class _Grid:
    """Heads, and then attention, MLP and residual stream across."""

    layers: int
    heads: int
    size: int  # of a cell, in pixels

    @classmethod
    def of(cls, places: Iterable[Place], smallest: int) -> _Grid:
        """A grid that holds these places."""
        known = list(places)
        heads = max([0, *(head + 1 for _, _, head in known if head is not None)])
        return cls(
            max(layer + 1 for layer, _, _ in known), heads, 26 if heads <= 16 else 19 if heads <= 32 else smallest
        )

    def at(self, layer: int, kind: str, head: int | None) -> tuple[int, int]:
        """The upper left corner of a place."""
        y = _TOP + self.size * layer
        if kind == "head":
            return _LEFT + self.size * (head or 0), y
        after = [name for name, _ in _AFTER_HEADS].index(kind)
        return _LEFT + _SPACE + self.size * (self.heads + after), y

    def places(self, layer: int) -> list[Place]:
        """Every place of a layer."""
        heads: list[Place] = [(layer, "head", head) for head in range(self.heads)]
        return [*heads, *((layer, kind, None) for kind, _ in _AFTER_HEADS)]

    def axes(self) -> list[Markup]:
        """The numbers of heads and layers, the names of columns."""
        half = self.size / 2
        heads = [text(self.at(0, "head", head)[0] + half, _TOP - 7, str(head), "middle") for head in range(self.heads)]
        columns = [text(self.at(0, kind, None)[0] + half, _TOP - 7, name, "middle") for kind, name in _AFTER_HEADS]
        rows = [_TOP + self.size * (layer + 0.5) + 4 for layer in range(self.layers)]
        return heads + columns + [text(_LEFT - 8, y, str(layer), "end") for layer, y in enumerate(rows)]

    def drawn(self, parts: Iterable[Markup], said: str) -> Markup:
        """The picture."""
        width = _LEFT + _SPACE + self.size * (self.heads + 3) + 4
        height = _TOP + self.size * self.layers + 4
        opening = Markup(
            '<svg class="heat-map" width="{}" height="{}" viewBox="0 0 {} {}" role="group" aria-label="{}">'
        )
        return opening.format(width, height, width, height, said) + Markup("").join(parts) + Markup("</svg>")


def tested(cells: Sequence[dict[str, Any]], attributions: Sequence[dict[str, Any]]) -> Markup:
    """The components of a run; nothing where there is nothing to show.

    Args:
        cells: `documents.heat_map`.
        attributions: rows of exploration: component and score.
    """
    scores = _strengths(attributions)
    claims: dict[Place, list[dict[str, Any]]] = defaultdict(list)
    for cell in cells:
        claims[_place(cell["layer"], cell["kind"], cell["index"])].append(cell)
    if not (scores or claims):
        return Markup("")
    grid = _Grid.of([*scores, *claims], 15)
    strongest = max((abs(s) for s in scores.values()), default=0.0) or 1.0
    parts = grid.axes()
    for layer in range(grid.layers):
        parts += [_shaded(grid, place, scores.get(place), strongest) for place in grid.places(layer)]
    for place, own in sorted(claims.items(), key=lambda item: str(item[0])):
        parts += _claims_of_cell(own, *grid.at(*place), grid.size)
    return grid.drawn(parts, "Components by layer; links lead to hypotheses")


def counted(cells: Sequence[Cell], href: Callable[[str], str], chosen: str = "") -> Markup:
    """The components of many hypotheses. Each cell leads to those about it.

    Args:
        href: from a component's name to the table filtered to it.
        chosen: the component that the table is filtered to now.
    """
    places: dict[Place, Counter[str]] = defaultdict(Counter)
    for cell in cells:
        places[_place(cell.layer, cell.kind, cell.index)].update(cell.counts)
    if not places:
        return Markup("")
    grid = _Grid.of(places, 13)
    most = max(counts.total() for counts in places.values())
    parts = grid.axes()
    for layer in range(grid.layers):
        if grid.heads:
            parts.append(_rect(*grid.at(layer, "head", 0), grid.size * grid.heads, grid.size, "empty"))
        parts.append(_rect(*grid.at(layer, "attention", None), grid.size * 3, grid.size, "empty"))
    for place, counts in places.items():
        x, y = grid.at(*place)
        parts.append(_cell(place_name(*place), counts, x, y, grid.size, most, href, chosen))
    return grid.drawn(parts, "Components by layer: each leads to the hypotheses about it")


def _place(layer: int, kind: str, index: int | None) -> Place:
    """Where a component of this kind is drawn."""
    column = SHOWN_AS[kind]
    return layer, column, index if column == "head" else None


def _shaded(grid: _Grid, place: Place, score: float | None, strongest: float) -> Markup:
    """A cell in the strength of its attribution; an empty one where exploration has none."""
    x, y = grid.at(*place)
    if score is None:
        return _rect(x, y, grid.size, grid.size, "empty")
    strength = round(0.04 + 0.96 * math.sqrt(abs(score) / strongest), 3)
    box = Markup(
        '<rect x="{}" y="{}" width="{}" height="{}" rx="2" class="heat" fill-opacity="{}">'
        "<title>{}: attribution {} (exploration)</title></rect>"
    )
    inner = grid.size - 2
    return box.format(x + 1, y + 1, inner, inner, strength, place_name(*place), signed(score))


def _rect(x: int, y: int, width: int, height: int, kind: str) -> Markup:
    """A box, a pixel within its place."""
    box = Markup('<rect x="{}" y="{}" width="{}" height="{}" rx="2" class="{}"/>')
    return box.format(x + 1, y + 1, width - 2, height - 2, kind)


def _cell(
    name: str, counts: Counter[str], x: int, y: int, size: int, most: int, href: Callable[[str], str], chosen: str
) -> Markup:
    best = next((state for state in MARKS if counts[state]), "registered")
    said = f"{name}: " + ", ".join(f"{counts[state]} {state}" for state in MARKS if counts[state])
    shade = round(0.08 + 0.5 * counts.total() / most, 3)
    inner = size - 2
    return Markup(
        '<a href="{}" aria-label="{}" class="cell"><rect x="{}" y="{}" width="{}" height="{}" rx="2" class="heat" '
        'fill-opacity="{}"/><rect x="{}" y="{}" width="{}" height="{}" rx="3" class="outline v-{}{}"/>'
        '<text x="{}" y="{}" text-anchor="middle" class="mark v-{}">{}</text><title>{}</title></a>'
    ).format(
        *(href(name), said, x + 1, y + 1, inner, inner, shade, x + 1, y + 1, inner, inner, best),
        *(" chosen" if name == chosen else "", x + size / 2, y + size / 2 + 4, best),
        *(MARKS[best] if size >= 19 else "", said),
    )


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


def _strengths(attributions: Sequence[dict[str, Any]]) -> dict[Place, float]:
    """A score per component: that over all positions, or else that of its strongest position."""
    whole: dict[Place, float] = {}
    strongest: dict[Place, float] = {}
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
