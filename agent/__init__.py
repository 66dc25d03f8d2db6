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

from typing import TYPE_CHECKING

from lakatos.tools.lazy import lazily

if TYPE_CHECKING:
    from lakatos.agent.config import Limits, RunConfig
    from lakatos.agent.run import investigate, resume

__all__ = ["Limits", "RunConfig", "investigate", "resume"]

__getattr__ = lazily(__name__, {"Limits": "config", "RunConfig": "config", "investigate": "run", "resume": "run"})
