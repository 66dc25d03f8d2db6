"""What to test next.

config      RunConfig and Limits: one string under each field, from which --help is made
watch       what a run tells while it goes
llm         language models: any OpenAI-compatible endpoint
proposers   where hypotheses come from
run         one investigation: explore, propose, register, test, interpret, conclude
simulation  agents of known honesty, in worlds of known truth
cli         the `lakatos` command
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lakatos.agent.config import Limits, RunConfig
    from lakatos.agent.run import investigate, resume

__all__ = ["Limits", "RunConfig", "investigate", "resume"]

_HOMES = {"Limits": "config", "RunConfig": "config", "investigate": "run", "resume": "run"}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for: importing `lakatos.agent` costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
