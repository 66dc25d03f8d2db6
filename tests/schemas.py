"""Random instances of a JSON schema, and what OpenAI counts in one."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy, from_regex

Schema = dict[str, Any]


def matches(patterns: set[str], each: int) -> dict[str, list[str]]:
    """Strings that match each pattern."""
    return {pattern: _drawn(from_regex(pattern, fullmatch=True), each) for pattern in sorted(patterns)}


def _drawn(strategy: SearchStrategy[str], n: int) -> list[str]:
    found: list[str] = []

    @seed(1)
    @settings(max_examples=n, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=HealthCheck)
    @given(strategy)
    def draw(text: str) -> None:
        found.append(text)

    draw()
    return found


def instance(schema: Schema, root: Schema, rng: random.Random, strings: dict[str, list[str]]) -> Any:
    """One value that the schema admits, drawn at random."""
    schema = followed(schema, root)
    if "anyOf" in schema:
        return instance(rng.choice(schema["anyOf"]), root, rng, strings)
    if "enum" in schema:
        return rng.choice(schema["enum"])
    if schema["type"] == "object":
        return {name: instance(child, root, rng, strings) for name, child in schema["properties"].items()}
    if schema["type"] == "array":
        n = rng.randint(schema["minItems"], schema["maxItems"])
        return [instance(schema["items"], root, rng, strings) for _ in range(n)]
    if "pattern" in schema:
        return rng.choice(strings[schema["pattern"]])
    return "x" * rng.randint(0, schema["maxLength"])


def followed(schema: Schema, root: Schema) -> Schema:
    """What a reference refers to; anything else as it is."""
    return root["$defs"][schema["$ref"].removeprefix("#/$defs/")] if "$ref" in schema else schema


def nodes(node: Any) -> Iterator[Schema]:
    """Every dictionary in a schema."""
    if isinstance(node, dict):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from nodes(child)


def depth(schema: Schema, root: Schema) -> int:
    """How deep objects and arrays lie in one another, references followed."""
    schema = followed(schema, root)
    below = [*schema.get("anyOf", []), *schema.get("properties", {}).values()]
    below += [schema["items"]] if "items" in schema else []
    return (schema.get("type") in ("object", "array")) + max((depth(child, root) for child in below), default=0)


def expanded(schema: Schema, root: Schema) -> int:
    """How many enum values there are where every reference is written out."""
    schema = followed(schema, root)
    below = [*schema.get("anyOf", []), *schema.get("properties", {}).values()]
    below += [schema["items"]] if "items" in schema else []
    return len(schema.get("enum", ())) + sum(expanded(child, root) for child in below)


def measured(schema: Schema) -> dict[str, int]:
    """What OpenAI limits: bytes stand beside, as what is sent."""
    found = list(nodes(schema))
    names = [name for node in found for name in node.get("properties", {}) if isinstance(node["properties"], dict)]
    values = [str(value) for node in found for value in node.get("enum", ())]
    return {
        "bytes": len(json.dumps(schema)),
        "enum values": sum(len(node.get("enum", ())) for node in found),
        "enum values, written out": expanded(schema, schema),
        "properties": len(names),
        "depth": depth(schema, schema),
        "characters": sum(map(len, [*names, *values, *schema["$defs"]])),
    }
