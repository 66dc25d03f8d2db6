"""The JSON schema that an LLM's proposals must have, narrowed to the components and positions that exist.

It is in the subset that strict structured output takes: every property required, nothing additional, unions as anyOf.
What a server lets through all the same is checked again when a proposal is registered.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NoReturn

from lakatos.tools.canonical import canonical_json
from lakatos.tools.component import Component
from lakatos.tools.errors import ProposalError


def proposal_schema(n_layers: int, n_heads: int, positions: Sequence[str]) -> dict[str, Any]:
    """The schema of `{"hypotheses": [...]}` for a model and a behaviour."""

    def place(kind: str, layers: int, heads: int | None = None) -> dict[str, Any]:
        properties: dict[str, Any] = {
            "kind": {"type": "string", "enum": [kind]},
            "layer": {"type": "integer", "enum": list(range(layers))},
            "position": {"type": ["string", "null"], "enum": [*positions, None], "description": "null: all positions"},
        }
        if heads is not None:
            properties["head"] = {"type": "integer", "enum": list(range(heads))}
        return _object(properties)

    components = {
        "type": "array",
        "items": {
            "anyOf": [
                place("head", n_layers, n_heads),
                place("attention", n_layers),
                place("mlp", n_layers),
                place("residual", n_layers),
            ]
        },
    }
    threshold = {"type": "number", "description": "smallest effect of interest, as a fraction of the gap, e.g. 0.1"}
    claims = [
        _object(
            {
                "kind": {"type": "string", "enum": ["node_effect"]},
                "components": components,
                "intervention": {"type": "string", "enum": ["denoising", "noising"]},
                "direction": {"type": "string", "enum": ["supports", "opposes"]},
                "threshold": threshold,
            }
        ),
        _object(
            {
                "kind": {"type": "string", "enum": ["necessity"]},
                "components": components,
                "ablation": {"type": "string", "enum": ["resample", "zero"]},
                "threshold": threshold,
            }
        ),
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


def read_proposals(text: str) -> list[dict[str, Any]]:
    """An LLM's answer as proposals: dictionaries of the form of `lakatos.tools.hypothesis.Hypothesis`.

    Components are turned into their text form; nothing else is judged here.

    Raises:
        ProposalError: the answer is not JSON of the asked form; says what was expected.
    """
    try:
        answer = json.loads(text, parse_constant=_refuse_constant)
        canonical_json(answer).encode()
    except (ValueError, RecursionError) as error:
        raise ProposalError(f"the answer is not JSON ({error}); return one JSON object and nothing else") from error
    hypotheses = answer.get("hypotheses") if isinstance(answer, dict) else None
    if not isinstance(hypotheses, list):
        raise ProposalError('the answer must be a JSON object {"hypotheses": [...]}')
    return [_with_component_texts(h) if isinstance(h, dict) else {"text": str(h)} for h in hypotheses]


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number of JSON")


def _with_component_texts(hypothesis: dict[str, Any]) -> dict[str, Any]:
    claim = hypothesis.get("claim")
    if not isinstance(claim, dict) or not isinstance(claim.get("components"), list):
        return hypothesis
    places = [_text(c) if isinstance(c, dict) else c for c in claim["components"]]
    return {**hypothesis, "claim": {**claim, "components": places}}


def _text(place: dict[str, Any]) -> Any:
    kind, layer, head, position = (place.get(k) for k in ("kind", "layer", "head", "position"))
    if kind not in ("head", "attention", "mlp", "residual") or not isinstance(layer, int):
        return json.dumps(place)
    return str(Component(layer, kind, head if kind == "head" else None, position))


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
