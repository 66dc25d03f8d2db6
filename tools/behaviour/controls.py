"""The controls of a behaviour: plain texts on which a necessity claim's damage is compared."""

from __future__ import annotations

from pathlib import Path

from lakatos.tools.behaviour.behaviour import Behaviour
from lakatos.tools.behaviour.loading import builtin_behaviours, load_behaviour
from lakatos.tools.behaviour.problems import Problem, of_control
from lakatos.tools.errors import UserError


def load_controls(behaviour: Behaviour, source: str) -> tuple[dict[str, Behaviour], list[Problem]]:
    """The controls that a behaviour names, and what is wrong with those that cannot be one.

    Args:
        source: what the behaviour was loaded from, a name or a path: a control may lie in a file beside it.
    """
    controls: dict[str, Behaviour] = {}
    problems: list[Problem] = []
    for name in behaviour.controls:
        try:
            controls[name] = _control(name, source)
        except UserError as error:
            problems += of_control(name, [Problem("control", str(error))])
    return controls, problems


def _control(name: str, source: str) -> Behaviour:
    """By its name from the folder of the user's own behaviour file, or built in. Raises UserError."""
    beside = Path(source).parent / f"{name}.yaml"
    if Path(source).is_file() and beside.is_file():
        control = load_behaviour(beside)
    else:
        try:
            control = load_behaviour(name)
        except UserError as error:
            texts = [known for known in builtin_behaviours() if load_behaviour(known).kind == "text"]
            raise UserError(
                f"there is no such control. Built in: {', '.join(texts)}; or put a file {name}.yaml beside the "
                "behaviour's"
            ) from error
    if control.kind != "text" or control.name != name:
        raise UserError(
            f"it is {control.name!r} of kind {control.kind!r}; a control is plain text (kind: text), in a file that "
            "bears its name"
        )
    return control
