"""What to test next.

config      RunConfig and Limits: one string under each field, from which --help is made
watch       what a run tells while it goes
llm         language models: any OpenAI-compatible endpoint
view        a run as proposers and tools see it;  words: what became of hypotheses, each in a line
toolbox     what a language model, or any other agent, may call
proposers   where hypotheses come from
run         one investigation: explore, propose, register, test, interpret, conclude
server      the toolbox for any coding agent, over the Model Context Protocol
simulation  agents of known honesty, in worlds of known truth
arms        ways to propose, compared
groundtruth models whose mechanism is known: what every way to propose finds there, and what people do today
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
