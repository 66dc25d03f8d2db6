"""The JSON schema that an LLM's proposals must have: as far as a schema can say it, what registering takes.

It is in the subset that strict structured output takes: every property required, nothing additional, unions as anyOf.
Components are strings whose pattern admits only layers, heads and positions that exist. Fractions are chosen from a
list: a grammar of llama.cpp bounds whole numbers only, and a list says the range to every server. A pattern cannot
compare two strings, so a path is cut at a layer: its senders come before the cut, its receivers after it, and there are
a few cuts to choose from. What a server lets through all the same is checked again when a proposal is registered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from lakatos.tools.behaviour import Behaviour, parse_markup
from lakatos.tools.claim import most_in_layers, most_matched
from lakatos.tools.component import Shape, numbers

Schema = dict[str, Any]

THRESHOLDS: Final = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0)
MARGINS: Final = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2)  # of no effect, and of attention
SHARES: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
FAITHFULNESS: Final = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
PREDICTIONS: Final = tuple(k / 20 for k in range(-20, 41))
RATIONALE: Final = 400  # characters
_TOGETHER: Final = 8  # components of a claim
_IN_A_CIRCUIT: Final = 40
_CUTS: Final = 8


def proposal_schema(
    shape: Shape,
    positions: Sequence[str],
    families: Sequence[str] = (),
    *,
    how_many: int = 16,
    earlier: Mapping[str, Sequence[str]] | None = None,
) -> Schema:
    """The schema of `{"hypotheses": [...]}` for a model of this shape, and a behaviour's positions and families.

    Args:
        how_many: the most hypotheses that are asked for.
        earlier: position -> those that a head can look at from there (see `looks_back`); by default all others.
    """
    claims = _claims(shape, positions, earlier or {p: [q for q in positions if q != p] for p in positions})
    names = list(claims)
    if families:
        parent = {"anyOf": [_ref(name) for name in claims]}
        claims["generalisation"] = _claim("generalisation", parent=parent, family=_one_of(*families))
        names.append("generalisation")
    hypothesis = _object(
        claim={"anyOf": [_ref(name) for name in names]},
        rationale={"type": "string", "maxLength": RATIONALE},
        predicted=_fraction("predicted effect, as a fraction of the gap", PREDICTIONS),
        role=_one_of("main", "rival", "null"),
    )
    root = _object(hypotheses={"type": "array", "items": hypothesis, "minItems": 1, "maxItems": how_many})
    return root | {"$defs": _shared(shape, positions) | claims}


def looks_back(behaviour: Behaviour) -> dict[str, list[str]]:
    """Of each named position those that come before it on every exploration prompt; END comes last."""
    named = behaviour.named_positions
    orders = [[*parse_markup(text).names, "END"] for text in behaviour.texts("exploration").values()]
    return {
        here: [there for there in named if all(order.index(there) < order.index(here) for order in orders)]
        for here in named
    }


def most_together(shape: Shape) -> tuple[int, int]:
    """The most heads of a claim that is compared with others like them; the most where other kinds are among them."""
    heads, mixed = most_matched(shape)
    return min(heads, _TOGETHER), min(mixed, _TOGETHER)


def _shared(shape: Shape, positions: Sequence[str]) -> dict[str, Schema]:
    """What several kinds of claim have in common."""
    layers, heads = numbers(0, shape.n_layers - 1), numbers(0, shape.n_heads - 1)
    at = f"(@({'|'.join(positions)}))?"
    head = rf"a({layers})\.h({heads})"
    branch = rf"a({layers})(\.h({heads}))?|m({layers})"
    many, few = most_together(shape)
    only_heads = _several(f"^{head}{at}$", many)
    return {
        "anywhere": {"anyOf": [only_heads, _several(f"^({branch}|r({numbers(0, shape.n_layers)})){at}$", few)]},
        "branches": _several(f"^({branch}){at}$", _TOGETHER),
        "circuit": _several(f"^({branch}){at}$", _IN_A_CIRCUIT),
        "several": _several(f"^({branch}){at}$", _IN_A_CIRCUIT, least=2),
        "senders": {"anyOf": [only_heads, _several(f"^({head}|m({layers})){at}$", few)]},
        "head": _several(f"^{head}$", 1),
        "patch": _one_of("denoising", "noising"),
        "ablation": _one_of("resample", "zero"),
        "direction": _one_of("supports", "opposes"),
        "threshold": _fraction("smallest effect of interest, as a fraction of the gap", THRESHOLDS),
        "margin": _fraction("as a fraction of the gap; of attention: a share of it", MARGINS),
        "share": _fraction("of the total effect that must go this way", SHARES),
        "faithfulness": _fraction("share of the model's metric that the circuit keeps", FAITHFULNESS),
    }


def _claims(shape: Shape, positions: Sequence[str], earlier: Mapping[str, Sequence[str]]) -> dict[str, Schema]:
    """Every kind of claim but generalisation, by a name; of some kinds there are several forms."""
    patch, ablation, direction, share = _ref("patch"), _ref("ablation"), _ref("direction"), _ref("share")
    threshold, margin = _ref("threshold"), _ref("margin")
    found = {
        "node_effect": _claim(
            "node_effect", components=_ref("anywhere"), intervention=patch, direction=direction, threshold=threshold
        ),
        "necessity": _claim("necessity", components=_ref("branches"), ablation=ablation, threshold=threshold),
        "no_effect": _claim(
            "no_effect",
            components=_ref("branches"),
            intervention=_one_of("denoising", "noising", "resample", "zero"),
            threshold=margin,
        ),
        "sufficiency": _claim(
            "sufficiency",
            components=_ref("circuit"),
            ablation=ablation,
            faithfulness=_ref("faithfulness"),
            threshold=threshold,
        ),
        "minimality": _claim("minimality", components=_ref("several"), ablation=ablation, threshold=threshold),
    }
    for here in positions:
        if earlier[here]:
            found[f"attention_role_{here}"] = _claim(
                "attention_role",
                components=_ref("head"),
                attends_from=_one_of(here),
                attends_to=_one_of(*earlier[here]),
                threshold=margin,
            )
    to_logits = {"type": "array", "items": _one_of("logits"), "minItems": 1, "maxItems": 1}
    paths = {"logits": (_ref("senders"), to_logits)} | _cut(shape, positions)
    for name, (senders, receivers) in paths.items():
        found[f"mediation_{name}"] = _claim(
            "mediation",
            components=senders,
            receivers=receivers,
            intervention=patch,
            direction=direction,
            share=share,
            threshold=threshold,
        )
    return found


def _cut(shape: Shape, positions: Sequence[str]) -> dict[str, tuple[Schema, Schema]]:
    """Senders before a layer, receivers from it on. A receiver has no position: it reads wherever the senders write."""
    n, heads, groups = shape.n_layers, numbers(0, shape.n_heads - 1), numbers(0, shape.n_key_value_heads - 1)
    at = f"(@({'|'.join(positions)}))?"
    found = {}
    for cut in sorted({max(1, n * k // (_CUTS + 1)) for k in range(1, _CUTS + 1)} - {n}):
        before, after = numbers(0, cut - 1), numbers(cut, n - 1)
        senders = _several(rf"^(a({before})\.h({heads})|m({before})){at}$", _TOGETHER)
        reads = rf"a({after})\.(h({heads})\.q|g({groups})\.(k|v))" + (f"|m({after})" if n - cut > 1 else "")
        found[str(cut)] = (senders, _several(f"^({reads})$", most_in_layers(n - cut)))
    return found


def _claim(kind: str, **fields: Schema) -> Schema:
    return _object(kind=_one_of(kind), **fields)


def _object(**properties: Schema) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _several(pattern: str, most: int, least: int = 1) -> Schema:
    return {"type": "array", "items": {"type": "string", "pattern": pattern}, "minItems": least, "maxItems": most}


def _one_of(*values: str) -> Schema:
    return {"type": "string", "enum": list(values)}


def _fraction(meaning: str, choices: Sequence[float]) -> Schema:
    return {"type": "number", "enum": list(choices), "description": f"{meaning}: {choices[0]:g} to {choices[-1]:g}"}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}
