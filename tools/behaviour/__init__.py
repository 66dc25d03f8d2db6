"""The question: a behaviour, its prompts and pairs, its donors, and how they become tokens.

behaviour   a behaviour: its hash, and its streams of prompts
definition  what its file says;  checks: whether that can be drawn from;  drawing: drawing it
loading     behaviours from files;  builtin: those that come with the package
templates   what a file is made of;  markup: named spans in a template
pairs       clean and corrupted prompts;  donors: other prompts of the same shape
encoding    prompts as tokens, and where their named positions are
controls    the behaviours that a behaviour is checked on too
readiness   all that a run would fail on: supply_problems, tokenizer_problems, in the words of problems
"""

from __future__ import annotations

from lakatos.tools.behaviour.behaviour import Behaviour
from lakatos.tools.behaviour.controls import load_controls
from lakatos.tools.behaviour.donors import draw_donors
from lakatos.tools.behaviour.drawing import PROMPT_GENERATOR, Exhausted
from lakatos.tools.behaviour.encoding import Ints, TokenBatch, encode, pad
from lakatos.tools.behaviour.loading import builtin_behaviours, load_behaviour
from lakatos.tools.behaviour.markup import parse_markup, plain
from lakatos.tools.behaviour.pairs import SPLITS, PromptPair, PromptPairs, Split
from lakatos.tools.behaviour.problems import told
from lakatos.tools.behaviour.readiness import readiness_problems
from lakatos.tools.behaviour.supply_problems import available, most_pairs
from lakatos.tools.behaviour.tokenizer_problems import static_problems

__all__ = [
    "PROMPT_GENERATOR",
    "SPLITS",
    "Behaviour",
    "Exhausted",
    "Ints",
    "PromptPair",
    "PromptPairs",
    "Split",
    "TokenBatch",
    "available",
    "builtin_behaviours",
    "draw_donors",
    "encode",
    "load_behaviour",
    "load_controls",
    "most_pairs",
    "pad",
    "parse_markup",
    "plain",
    "readiness_problems",
    "static_problems",
    "told",
]
