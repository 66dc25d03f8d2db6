"""What a language model, or any other agent, may call: typed functions, of which it reads signatures and docstrings.

A tool reaches exploration prompts and the log, and never a confirmation prompt. What it returns is a suggestion.

box      calls: checked, made, written down, and answered
arguments what a stranger gives: read, and kept
tool     a function as a tool: its schema, its arguments checked
desk     what a tool has at hand
table    numbers as a table of bounded size
survey   overview, tried, note
prompts  examples, vary
inside   attribution, attention, reads, lens, heads, backups
patching effects
claims   draft, register, challenge;  verdicts: wait, result, finish
"""

from __future__ import annotations

from lakatos.agent.toolbox.box import NEEDED, TOOLS, answered, offered
from lakatos.agent.toolbox.desk import CALLS, CRITIC, Refusal
from lakatos.agent.toolbox.tool import Tool, faults

__all__ = ["CALLS", "CRITIC", "NEEDED", "TOOLS", "Refusal", "Tool", "answered", "faults", "offered"]
