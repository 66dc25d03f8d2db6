"""What a claim looks like in the JSON schema that a language model's proposals must have.

Each kind of claim says its own forms (`BaseClaim.schemas`), made of the pieces that are here. They are in the subset
that strict structured output takes: every property required, nothing additional, unions as anyOf. Components are
strings whose pattern admits only layers, heads and positions that exist. Fractions are chosen from a list: a grammar of
llama.cpp bounds whole numbers only, and a list says the range to every server.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lakatos.tools.claim.opponents import most_matched
from lakatos.tools.component import Shape, numbers

Schema = dict[str, Any]

THRESHOLDS: Final = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0)
MARGINS: Final = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2)  # of no effect, and of attention
SHARES: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
FAITHFULNESS: Final = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
TOGETHER: Final = 8  # components of a claim
_IN_A_CIRCUIT: Final = 40


@dataclass(frozen=True)
class Offer:
    """What a language model may speak of: a model's components and a behaviour's named positions."""

    shape: Shape
    positions: Sequence[str]
    earlier: Mapping[str, Sequence[str]]  # position -> those that a head can look at from there

    @property
    def at(self) -> str:
        """A pattern of the positions, or none."""
        return f"(@({'|'.join(self.positions)}))?"


def most_together(shape: Shape) -> tuple[int, int]:
    """The most heads of a claim that is compared with others like them; the most where other kinds are among them."""
    heads, mixed = most_matched(shape)
    return min(heads, TOGETHER), min(mixed, TOGETHER)


def shared(offer: Offer) -> dict[str, Schema]:
    """What several forms have in common, by the names that `ref` takes."""
    shape, at = offer.shape, offer.at
    layers, heads = numbers(0, shape.n_layers - 1), numbers(0, shape.n_heads - 1)
    head = rf"a({layers})\.h({heads})"
    branch = rf"a({layers})(\.h({heads}))?|m({layers})"
    many, few = most_together(shape)
    only_heads = several(f"^{head}{at}$", many)
    return {
        "anywhere": {"anyOf": [only_heads, several(f"^({branch}|r({numbers(0, shape.n_layers)})){at}$", few)]},
        "branches": several(f"^({branch}){at}$", TOGETHER),
        "circuit": several(f"^({branch}){at}$", _IN_A_CIRCUIT),
        "several": several(f"^({branch}){at}$", _IN_A_CIRCUIT, least=2),
        "senders": {"anyOf": [only_heads, several(f"^({head}|m({layers})){at}$", few)]},
        "head": several(f"^{head}$", 1),
        "patch": one_of("denoising", "noising"),
        "ablation": one_of("resample", "zero"),
        "direction": one_of("supports", "opposes"),
        "threshold": fraction("smallest effect of interest, as a fraction of the gap", THRESHOLDS),
        "margin": fraction("as a fraction of the gap; of attention: a share of it", MARGINS),
        "share": fraction("of the total effect that must go this way", SHARES),
        "faithfulness": fraction("share of the model's metric that the circuit keeps", FAITHFULNESS),
    }


def claim_form(kind: str, **fields: Schema) -> Schema:
    """A claim of a kind, with these fields."""
    return closed(kind=one_of(kind), **fields)


def closed(**properties: Schema) -> Schema:
    """An object with these properties and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def several(pattern: str, most: int, least: int = 1) -> Schema:
    """A list of components, each matching the pattern."""
    return {"type": "array", "items": {"type": "string", "pattern": pattern}, "minItems": least, "maxItems": most}


def one_of(*values: str) -> Schema:
    """One of these words."""
    return {"type": "string", "enum": list(values)}


def fraction(meaning: str, choices: Sequence[float]) -> Schema:
    """One of these numbers."""
    return {"type": "number", "enum": list(choices), "description": f"{meaning}: {choices[0]:g} to {choices[-1]:g}"}


def ref(name: str) -> Schema:
    """One of `shared`, or another form."""
    return {"$ref": f"#/$defs/{name}"}
