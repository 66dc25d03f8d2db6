"""What to test next.

config         RunConfig and Limits: one string under each field, from which --help is made
llm            the LLM protocol; any OpenAI-compatible endpoint (llm_*); ScriptedLLM, the test double
proposer       where hypotheses come from: attribution, llm, random, file
schema         the JSON schema that narrows an LLM's proposals to what exists
investigation  the steps of a run, each safe to repeat
state, graph   explore -> propose -> register -> test -> interpret -> (propose | conclude)
watch          what a run tells while it goes
cli            the `lakatos` command; cli_tables prints what it reads, bench_protocol what simulated studies show
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lakatos.agent.config import Limits, RunConfig
    from lakatos.agent.graph import investigate, resume

__all__ = ["Limits", "RunConfig", "investigate", "resume"]

_HOMES = {"Limits": "config", "RunConfig": "config", "investigate": "graph", "resume": "graph"}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for: importing `lakatos.agent` costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
