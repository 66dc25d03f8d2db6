"""What is said to the language model: *.md files with front matter, rendered strictly.

    propose    asks for the next hypotheses
    question   asks one narrow question about the next hypothesis
    interpret  asks for prose about verdicts that are already fixed

A prompt file begins with YAML between `---` lines: `version`, and `variables` (all must be given, and no others).
The log holds name, version, and the sha256 of the file.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources
from typing import Any

import jinja2
import yaml


@dataclass(frozen=True)
class Prompt:
    """One prompt file."""

    name: str
    version: int
    variables: tuple[str, ...]
    template: str
    hash: str

    def render(self, **values: Any) -> str:
        """Fill in the variables.

        Raises:
            ValueError: a variable is missing, or is not one of the prompt's.
        """
        if set(values) != set(self.variables):
            odd = sorted(set(values) ^ set(self.variables))
            raise ValueError(f"the prompt {self.name} takes {', '.join(self.variables)}; missing or unknown: {odd}")
        environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
        return environment.from_string(self.template).render(**values)


def version_of(named: str) -> int:
    """The version in `name@version`; 0 if there is none."""
    version = named.rpartition("@")[2]
    return int(version) if version.isascii() and version.isdigit() and len(version) < 9 else 0


def load_prompt(name: str) -> Prompt:
    """Read a prompt file that ships with lakatos."""
    raw = resources.files(__name__).joinpath(f"{name}.md").read_text("utf-8")
    _, head, body = raw.split("---\n", 2)
    front = yaml.safe_load(head)
    digest = "sha256:" + hashlib.sha256(raw.encode()).hexdigest()
    return Prompt(name, int(front["version"]), tuple(front["variables"]), body.strip() + "\n", digest)
