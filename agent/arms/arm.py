"""An arm by its name, as settings of a run.

llm                  a language model that explores with tools
llm-without:effects  the same without a tool, or without several joined by "+"
llm-rows:30          the same with tables of so many rows
form                 a language model that is asked narrow questions
one-shot             one prompt with all tables, once
no-tools             such a prompt in every round, with the verdicts so far
drill, attribution, random
file:PATH            a person's claims
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from lakatos.agent.config import RunConfig
from lakatos.agent.toolbox import NEEDED, TOOLS
from lakatos.tools.errors import UserError

_ROUNDS: Final = 5  # of an arm that reads verdicts and has no tools
_PLAIN: Final[Mapping[str, dict[str, Any]]] = {
    "llm": {"proposer": "llm", "llm_style": "tools"},
    "form": {"proposer": "llm", "llm_style": "form"},
    "one-shot": {"proposer": "llm", "llm_style": "prompt", "rounds": 1},
    "no-tools": {"proposer": "llm", "llm_style": "prompt", "rounds": _ROUNDS},
    "drill": {"proposer": "drill"},
    "attribution": {"proposer": "attribution"},
    "random": {"proposer": "random"},
}
_FORMS: Final = "llm-without:TOOL, llm-rows:N, file:PATH"


class Arm(NamedTuple):
    """A way to propose."""

    name: str
    settings: Mapping[str, Any]  # of a run

    @classmethod
    def parse(cls, name: str) -> Arm:
        """The arm of this name.

        Raises:
            UserError: there is none; says which there are.
        """
        word, _, rest = name.partition(":")
        if name in _PLAIN:
            return cls(name, _PLAIN[name])
        if word == "llm-without" and rest:
            return cls(name, _PLAIN["llm"] | {"llm_without": ",".join(_withheld(rest))})
        if word == "llm-rows" and rest.isdigit():
            return cls(name, _PLAIN["llm"] | {"llm_rows": int(rest)})
        if word == "file" and rest:
            return cls(name, {"proposer": "file", "claims": rest})
        raise UserError(f"There is no arm {name!r}; there are {', '.join(_PLAIN)}, {_FORMS}.")

    def config(self, common: RunConfig, seed: int) -> RunConfig:
        """The settings of its run with a seed; what all arms have in common, and its own."""
        shared = common.model_dump(exclude_unset=True)
        if self.settings["proposer"] != "llm":
            shared = {name: value for name, value in shared.items() if not name.startswith("llm_")}
        given = shared | dict(self.settings) | {"seed": seed}
        if "rounds" in self.settings:  # what is asked for is of each round there; of the run, in other arms
            given["hypotheses"] = max(1, common.hypotheses // self.settings["rounds"])
        return RunConfig.checked(given)


def parse_arms(names: str) -> list[Arm]:
    """The arms of a list with commas, each once.

    Raises:
        UserError: one is none, or there is none.
    """
    arms = [Arm.parse(name.strip()) for name in dict.fromkeys(names.split(",")) if name.strip()]
    if not arms:
        raise UserError(f"Name arms, such as --arms drill,random; there are {', '.join(_PLAIN)}, {_FORMS}.")
    return arms


def _withheld(names: str) -> list[str]:
    """The tools of a list with "+". Raises UserError: one is none, or cannot be done without."""
    found = names.split("+")
    unknown = [name for name in found if name not in TOOLS]
    if unknown or set(found) & NEEDED:
        free = ", ".join(name for name in TOOLS if name not in NEEDED)
        raise UserError(f"llm-without:{names}: name tools that can be withheld: {free}.")
    return found
