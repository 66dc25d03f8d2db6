"""The JSON schema that an LLM's proposals must have, narrowed to the components and positions that exist.

It is in the subset that strict structured output takes: every property required, nothing additional, unions as anyOf.
What a server lets through all the same is checked again when a proposal is registered.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lakatos.tools.matched import Shape


def proposal_schema(shape: Shape, positions: Sequence[str], families: Sequence[str] = ()) -> dict[str, Any]:
    """The schema of `{"hypotheses": [...]}` for a model of this shape, and a behaviour's positions and families."""
    n_layers, n_heads, n_groups = shape.n_layers, shape.n_heads, shape.n_key_value_heads

    def place(kind: str, layers: int, indices: int | None = None) -> dict[str, Any]:
        properties: dict[str, Any] = {
            "kind": {"type": "string", "enum": [kind]},
            "layer": {"type": "integer", "enum": list(range(layers))},
            "position": {"type": ["string", "null"], "enum": [*positions, None], "description": "null: all positions"},
        }
        if indices is not None:
            properties["group" if kind in ("key", "value") else "head"] = {
                "type": "integer",
                "enum": list(range(indices)),
            }
        return _object(properties)

    def several(*kinds: dict[str, Any]) -> dict[str, Any]:
        return {"type": "array", "items": {"anyOf": list(kinds)}}

    def one_of(*values: str) -> dict[str, Any]:
        return {"type": "string", "enum": list(values)}

    head, attention, mlp = place("head", n_layers, n_heads), place("attention", n_layers), place("mlp", n_layers)
    inputs = [place(kind, n_layers, n_heads if kind == "query" else n_groups) for kind in ("query", "key", "value")]
    anywhere = several(head, attention, mlp, place("residual", n_layers))
    circuit = several(head, attention, mlp)
    threshold = {"type": "number", "description": "smallest effect of interest, as a fraction of the gap, e.g. 0.1"}
    patch, ablation = one_of("denoising", "noising"), one_of("resample", "zero")
    direction = one_of("supports", "opposes")
    parts: dict[str, dict[str, Any]] = {
        "node_effect": {"components": anywhere, "intervention": patch, "direction": direction},
        "necessity": {"components": anywhere, "ablation": ablation},
        "no_effect": {"components": anywhere, "intervention": one_of("denoising", "noising", "resample", "zero")},
        "mediation": {
            "components": several(head, mlp),
            "receivers": several(*inputs, mlp, _object({"kind": one_of("logits")})),
            "intervention": patch,
            "direction": direction,
            "share": {"type": "number", "description": "of the total effect that must go this way, e.g. 0.5"},
        },
        "attention_role": {
            "components": several(_without_position(head)),
            "attends_from": one_of(*positions),
            "attends_to": one_of(*positions),
        },
        "sufficiency": {
            "components": circuit,
            "ablation": ablation,
            "faithfulness": {"type": "number", "description": "share of the model's metric that it keeps, e.g. 0.8"},
        },
        "minimality": {"components": circuit, "ablation": ablation},
    }
    if families:
        parents = [_object({"kind": one_of(kind), **fields, "threshold": threshold}) for kind, fields in parts.items()]
        parts["generalisation"] = {"parent": {"anyOf": parents}, "family": one_of(*families)}
    claims = [
        _object({"kind": one_of(kind), **fields, **({} if kind == "generalisation" else {"threshold": threshold})})
        for kind, fields in parts.items()
    ]
    hypothesis = _object(
        {
            "claim": {"anyOf": claims},
            "rationale": {"type": "string"},
            "predicted": {"type": "number", "description": "predicted effect, as a fraction of the gap"},
            "role": {"type": "string", "enum": ["main", "rival", "null"]},
        }
    )
    return _object({"hypotheses": {"type": "array", "items": hypothesis}})


def _without_position(place: dict[str, Any]) -> dict[str, Any]:
    return _object({name: value for name, value in place["properties"].items() if name != "position"})


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
