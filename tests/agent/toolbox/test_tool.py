"""A function as a tool: its schema is its signature, and what it refuses it explains."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import Field

from lakatos.agent.toolbox import NEEDED, TOOLS, Refusal, offered
from lakatos.agent.toolbox.tool import tool


def look(desk, where: Annotated[list[str], Field(min_length=1)], how: Literal["in", "out"] = "in", n: int = 3) -> str:
    """Look somewhere."""
    return f"{desk}{where}{how}{n}"


LOOK = tool(look)


def test_the_schema_is_the_signature():
    assert (LOOK.name, LOOK.description) == ("look", "Look somewhere.")
    assert LOOK.schema == {
        "type": "object",
        "additionalProperties": False,
        "required": ["where"],
        "properties": {
            "where": {"type": "array", "items": {"type": "string"}, "minItems": 1},
            "how": {"enum": ["in", "out"], "type": "string", "default": "in"},
            "n": {"type": "integer", "default": 3},
        },
    }


def test_defaults_are_filled_in():
    assert LOOK.checked({"where": ["END"]}) == {"where": ["END"], "how": "in", "n": 3}


def nested(depth):
    value = "x"
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"where": ["END"], "when": 1}, "when: there is no such argument"),
        ({}, "where: is missing"),
        (None, "where: is missing"),
        ("", "where: is missing"),
        ({"where": "END"}, "where: Input should be a valid list"),
        ({"where": []}, "where: List should have at least 1 item"),
        ({"where": [1]}, "where.0: Input should be a valid string"),
        ({"where": ["END"], "how": "up"}, "how: Input should be 'in' or 'out'"),
        ({"where": ["END"], "n": 1.5}, "n: Input should be a valid integer"),
        ({"where": nested(900)}, "where.0: Input should be a valid string"),
        (["END"], "a JSON object"),
        ("at the end", "a JSON object"),
        (7, "a JSON object"),
    ],
)
def test_a_refusal_says_what_is_wrong_and_what_would_be_taken(arguments, says):
    with pytest.raises(Refusal) as refused:
        LOOK.checked(arguments)
    assert says in str(refused.value)
    assert "{where, how (optional), n (optional)}" in str(refused.value)
    assert len(str(refused.value)) < 500


def test_the_rest_of_many_faults_is_not_listed():
    with pytest.raises(Refusal) as refused:
        LOOK.checked({"where": list(range(1000))})
    assert str(refused.value).count("valid string") == 4


def test_every_tool_is_described_and_takes_what_its_schema_names():
    for own in TOOLS.values():
        assert len(own.description) > 40, own.name
        schema = own.schema
        assert schema["additionalProperties"] is False
        assert "title" not in schema
        assert set(schema["properties"]) == set(own.arguments.model_fields)


def test_tools_are_withheld_by_name():
    names = [told["function"]["name"] for told in offered(["lens", "effects"])]
    assert names == [name for name in TOOLS if name not in ("lens", "effects")]
    assert set(TOOLS) >= NEEDED
