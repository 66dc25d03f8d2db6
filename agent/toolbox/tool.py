"""A function as a tool: its docstring is its description, its signature the schema of its arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from lakatos.agent.toolbox.desk import Answer, Desk, Refusal
from lakatos.agent.toolbox.table import Table

Said = Answer | Table | str
_MOST_TOLD = 4  # faults of arguments that a refusal names


class Tool(NamedTuple):
    """A typed function that an agent may call."""

    name: str
    description: str
    arguments: type[BaseModel]
    function: Callable[..., Said]
    lasting: bool  # whether the same question has the same answer for the whole run

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of its arguments."""
        schema: dict[str, Any] = _plain(self.arguments.model_json_schema())
        return schema

    def checked(self, arguments: Any) -> dict[str, Any]:
        """Arguments by name, of the types that the function takes.

        Raises:
            Refusal: they are not; says what is wrong with each, and what the tool takes.
        """
        if arguments is None or arguments == "":
            arguments = {}
        if not isinstance(arguments, dict):
            raise Refusal(f"the arguments of {self.name} are a JSON object: {self.form}")
        try:
            found = self.arguments.model_validate(arguments)
        except (ValidationError, RecursionError) as error:
            raise Refusal(f"{faults(error)}. {self.name} takes {self.form}") from error
        return {name: getattr(found, name) for name in self.arguments.model_fields}

    @property
    def form(self) -> str:
        """Its arguments, in a line."""
        fields = self.arguments.model_fields.items()
        told = [name if field.is_required() else f"{name} (optional)" for name, field in fields]
        return f"{{{', '.join(told)}}}" if told else "no arguments: {}"


def tool(function: Callable[..., Said], *, lasting: bool = False) -> Tool:
    """A function whose first parameter is a desk as a tool.

    Args:
        lasting: the same question has the same answer for the whole run, so it is asked of the model once.
    """
    hints = get_type_hints(function, include_extras=True)
    fields: dict[str, Any] = {}
    for name, parameter in list(inspect.signature(function).parameters.items())[1:]:
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[name] = (hints[name], default)
    config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    arguments: type[BaseModel] = create_model(function.__name__, __config__=config, **fields)
    return Tool(function.__name__, inspect.getdoc(function) or "", arguments, function, lasting)


def faults(error: ValidationError | RecursionError) -> str:
    """What is wrong with arguments, in words: the first few faults, and nothing of the values."""
    if isinstance(error, RecursionError):
        return "the arguments are nested too deeply"
    told = []
    for fault in error.errors(include_input=False, include_url=False)[:_MOST_TOLD]:
        where = ".".join(str(part) for part in fault["loc"])[:80]
        what = {"extra_forbidden": "there is no such argument", "missing": "is missing"}.get(
            fault["type"], fault["msg"]
        )
        told.append(f"{where}: {what}" if where else str(what))
    return "; ".join(told)


def _plain(schema: Any) -> Any:
    """A schema without pydantic's titles, which only cost tokens."""
    if isinstance(schema, list):
        return [_plain(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    named = schema.get("properties")
    kept = {k: _plain(v) for k, v in schema.items() if k not in ("title", "properties")}
    return kept | ({"properties": {k: _plain(v) for k, v in named.items()}} if isinstance(named, dict) else {})


__all__ = ["Desk", "Said", "Tool", "faults", "tool"]
