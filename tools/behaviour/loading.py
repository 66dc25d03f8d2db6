"""Behaviours from files: those that come with the package, and a user's own."""

from __future__ import annotations

import difflib
import re
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from lakatos.tools.behaviour.behaviour import Behaviour
from lakatos.tools.behaviour.checks import blaming
from lakatos.tools.behaviour.markup import listed
from lakatos.tools.errors import UserError


def builtin_behaviours() -> list[str]:
    """The names of the behaviours that come with the package, but those of the planted models."""
    return sorted(_shipped(files("lakatos.tools.behaviour.builtin")))


def load_behaviour(name_or_path: str | Path) -> Behaviour:
    """A behaviour that comes with the package by name, or a user's own from its .yaml file.

    Those of the planted models are `planted_recall`, `planted_previous`, `planted_duplicate`, and their control
    `planted_text`.

    Raises:
        UserError: what to mend.
    """
    path, name = Path(name_or_path), str(name_or_path)
    folder = files("lakatos.tools.behaviour.builtin")
    shipped = _shipped(folder) | _shipped(folder / "planted")
    if name in shipped:
        return _parse(name, shipped[name].read_text(encoding="utf-8"))
    if path.suffix not in (".yaml", ".yml") and not path.is_file():
        near = difflib.get_close_matches(name, shipped, n=1, cutoff=0.5)
        meant = f" Did you mean {near[0]!r}?" if near else ""
        raise UserError(
            f"there is no behaviour {name!r}.{meant} Built in: {', '.join(builtin_behaviours())}; "
            "or give the path of a .yaml file of your own"
        )
    try:
        return _parse(name, path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the behaviour file {name}: {error}") from error


def _shipped(folder: Traversable) -> dict[str, Traversable]:
    return {item.name.removesuffix(".yaml"): item for item in folder.iterdir() if item.name.endswith(".yaml")}


def _parse(source: str, text: str) -> Behaviour:
    try:
        data = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise UserError(f"{source} is not valid YAML: {error}") from error
    if not isinstance(data, dict):
        found = "nothing" if data is None else type(data).__name__
        raise UserError(f"{source} holds {found}, not fields: begin with `name:`, see a built-in file")
    with blaming(source):
        try:
            return Behaviour.model_validate(data)
        except ValidationError as error:
            told = [_mend(e) for e in error.errors() if not (e["type"] == "dict_type" and _one_of_two(e))]
            raise UserError("\n".join(list(dict.fromkeys(told))[:8])) from error


def _one_of_two(error: Any) -> bool:
    """Whether pydantic complains that a filler is no record, beside its complaint that it is no text."""
    return any(str(part).startswith("dict[") for part in error["loc"])


def _mend(error: Any) -> str:
    """One pydantic error as a sentence: the field, what is wrong, how to mend it."""
    field = ".".join(str(part) for part in error["loc"] if not re.match(r"^(str|dict\[)", str(part)))
    said = error["msg"]
    if error["type"] == "missing":
        said = "missing: add it"
    elif error["type"] == "string_type":
        said += f", not {error['input']!r}: write it in quotes"
    elif error["type"] == "string_pattern_mismatch":
        said = f"{error['input']!r} is not a name such as my_behaviour: small letters, digits and _, a letter first"
    elif error["type"] == "too_short":
        said = "empty: give it at least one entry"
    elif error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(error["loc"][-1]), Behaviour.model_fields, n=1)
        hint = f"did you mean {near[0]}?" if near else f"remove it; fields are {listed(Behaviour.model_fields)}"
        said = f"there is no such field: {hint}"
    return f"{field}: {said}"
