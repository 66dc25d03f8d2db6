"""Donor prompts for resample ablation: other prompts whose activations can stand in for a prompt's own.

Each tested prompt gets a donor of its own, drawn for it alone, from the same template and of the same token length, so
that positions line up and tested prompts stay independent of one another (Chan et al. 2022, causal scrubbing).
"""

from __future__ import annotations

from collections import defaultdict, deque
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from typing import Any

from lakatos.tools.behaviour.behaviour import Behaviour
from lakatos.tools.behaviour.drawing import Exhausted
from lakatos.tools.behaviour.pairs import PromptPair, PromptPairs
from lakatos.tools.errors import UserError

_DRAWS_PER_PAIR = 200  # and per template


def draw_donors(behaviour: Behaviour, pairs: PromptPairs, tokenizer: Any, seed: int) -> PromptPairs:
    """One donor for each pair, in the same order: [n] prompts, none of them among the pairs or used twice.

    Raises:
        UserError: some prompt has no donor of its template and length; names it.
    """
    waiting: dict[tuple[str, int], deque[int]] = defaultdict(deque)
    for place, pair in enumerate(pairs):
        waiting[shape(pair, tokenizer)].append(place)
    tested = {pair.clean for pair in pairs}
    donors: dict[int, PromptPair] = {}
    with suppress(Exhausted):  # what is missing then is named below
        draws = _DRAWS_PER_PAIR * (len(pairs) + len(behaviour.templates_of(pairs.split, pairs.family)))
        for candidate in islice(behaviour.stream(seed, pairs.split, pairs.family), draws):
            queue = waiting.get(shape(candidate, tokenizer)) if candidate.clean not in tested else None
            if queue:
                donors[queue.popleft()] = candidate
            if len(donors) == len(pairs):
                break
    if len(donors) < len(pairs):
        missing = next(pair for place, pair in enumerate(pairs) if place not in donors)
        more = "pairs" if behaviour.finite else "fillers"
        raise UserError(
            f"{behaviour.name}: found no other prompt of the template {missing.template!r} with as many tokens as "
            f"{missing.clean!r}, which resample ablation needs. Add {more} of equal length, or ablate with zero."
        )
    ordered = tuple(donors[place] for place in range(len(pairs)))
    return replace(pairs, pairs=ordered, seed=seed)


def shape(pair: PromptPair, tokenizer: Any) -> tuple[str, int]:
    """What a prompt and its donor have in common: template and number of tokens."""
    return pair.template, len(tokenizer(pair.clean, add_special_tokens=False)["input_ids"])
