"""Every component: how strong exploration found it, and what became of the claims about it."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from markupsafe import Markup

from lakatos.experiments_db.report.charts import MARKS, SHOWN_AS, place_name
from lakatos.experiments_db.report.svg import percent, signed, text
from lakatos.tools.component import Component
from lakatos.tools.errors import UserError

_MOST_TELLING = tuple(MARKS)
_COLUMNS_AFTER_HEADS = {"attention": 0, "mlp": 1, "residual": 2}


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
