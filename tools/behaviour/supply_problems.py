"""Does a behaviour have as many prompts, and donors for them, as a test may use?

Counted on streams with seeds of their own, never on those that a study draws from. No torch here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import islice

from lakatos.tools.behaviour.behaviour import Behaviour
from lakatos.tools.behaviour.donors import draw_donors, shape
from lakatos.tools.behaviour.drawing import Exhausted
from lakatos.tools.behaviour.encoding import Tokenizer
from lakatos.tools.behaviour.markup import parse_markup
from lakatos.tools.behaviour.pairs import SPLITS, PromptPairs, Split
from lakatos.tools.behaviour.problems import Problem, named
from lakatos.tools.behaviour.templates import GivenPair
from lakatos.tools.errors import UserError
from lakatos.tools.statistics import BATCH, ENOUGH_TEMPLATES, MIN_EXPLORATION, PER_TEMPLATE

_TRIES: dict[Split, int] = {"exploration": 4, "confirmation": 32}  # draws whose donors are looked for
_CENSUS = 1000  # pairs among which a prompt without a like is looked for


def available(behaviour: Behaviour, split: Split, family: str | None = None, most: int = _CENSUS) -> int:
    """How many distinct pairs there are to draw, counted up to `most`."""
    return len(_drawn(behaviour, split, family, most))


def most_pairs(behaviour: Behaviour, max_pairs: int, family: str | None = None) -> int:
    """The most confirmation pairs that a test can use: whole batches of `max_pairs`, or of what there is."""
    return available(behaviour, "confirmation", family, max_pairs) // BATCH * BATCH


def supply_problems(behaviour: Behaviour, max_pairs: int, explored: int = MIN_EXPLORATION) -> list[Problem]:
    """Where a test would run out of prompts.

    Args:
        max_pairs: the most confirmation pairs that a test may use; a given list may hold fewer, but a batch at least.
        explored: exploration pairs that are drawn at once.
    """
    problems: list[Problem] = []
    for split, family in behaviour.origins:
        whole = BATCH if behaviour.finite else max_pairs // BATCH * BATCH
        wanted = max(explored, MIN_EXPLORATION) if split == "exploration" else whole
        found = available(behaviour, split, family, wanted)
        if found < wanted:
            problems.append(Problem("too few pairs", _too_few(behaviour, split, family, found, wanted)))
    if not behaviour.finite and not problems:
        problems += _thin_templates(behaviour)
    return problems


def donor_problems(behaviour: Behaviour, tokenizer: Tokenizer) -> list[Problem]:
    """Prompts for which resample ablation finds no donor, on any split or family; one problem for each of these.

    Looks only where there are enough prompts for a batch.
    """
    problems = []
    for split, family in behaviour.origins:
        try:
            for seed, batch in enumerate(_batches(behaviour, tokenizer, split, family)):
                draw_donors(behaviour, batch, tokenizer, seed=-1 - seed)
        except UserError as error:
            problems.append(Problem("too few donors", f"{_place(split, family)}: {error}"))
    return problems


def _batches(behaviour: Behaviour, tokenizer: Tokenizer, split: Split, family: str | None) -> Iterator[PromptPairs]:
    """Prompts as they are drawn for a test, and those that have no like in a large sample.

    A run explores once, and no slot is spent where that fails. It tests many batches, and each may meet a rare prompt.
    """
    size = MIN_EXPLORATION if split == "exploration" else BATCH
    census = _drawn(behaviour, split, family, _CENSUS)
    if len(census) < size:
        return
    shapes = [shape(pair, tokenizer) for pair in census]
    counts = Counter(shapes)
    lone = [pair for pair, form in zip(census, shapes, strict=True) if counts[form] == 1]
    if lone:
        yield replace(census, pairs=tuple(lone[:size]))
    for seed in range(_TRIES[split]):
        yield behaviour.sample(size, seed, split, family=family)


def _drawn(behaviour: Behaviour, split: Split, family: str | None, most: int) -> PromptPairs:
    pairs = []
    with suppress(Exhausted):
        for pair in islice(behaviour.stream(0, split, family), most):
            pairs.append(pair)
    return PromptPairs(
        tuple(pairs), behaviour.name, behaviour.hash, behaviour.bos, behaviour.kind, split, seed=0, family=family
    )


def repeated_entries(behaviour: Behaviour) -> list[Problem]:
    """Pairs and fillers that occur twice in a list: they count once, or make a prompt that contradicts itself."""
    problems = []
    for split in SPLITS:
        entries = {f"fillers.{kind}": list(map(str, lists.of(split))) for kind, lists in behaviour.fillers.items()}
        if behaviour.pairs is not None:
            entries["pairs"] = list(map(_text, behaviour.pairs.of(split)))
        for field, listed in entries.items():
            if repeated := [repr(entry) for entry, times in Counter(listed).items() if times > 1]:
                said = f"{field} ({split}): {named(repeated)} is listed more than once; list it once"
                problems.append(Problem("listed twice", said))
    return problems


def _text(pair: GivenPair) -> str:
    """What makes a pair another one: its texts without position marks."""
    clean, corrupted = (parse_markup(text).render({})[0] for text in (pair.clean, pair.corrupted))
    return f"{clean}|{corrupted}|{pair.answer}|{pair.wrong}"


def _too_few(behaviour: Behaviour, split: Split, family: str | None, found: int, wanted: int) -> str:
    of_family = f" of the family {family!r}" if family else ""
    short = f"{behaviour.name} has only {found} distinct {split} pairs{of_family}, and "
    add = f"add {'pairs' if behaviour.finite else 'templates or fillers'}"
    if split == "exploration":
        lower = " or lower --attribution-pairs" if wanted > MIN_EXPLORATION and found >= MIN_EXPLORATION else ""
        return short + f"{wanted} are explored: {add}{lower}"
    if behaviour.finite:
        return short + f"a test needs {wanted} at least: {add}"
    lower = f", or run with --max-pairs {found // BATCH * BATCH}" if found >= BATCH else ""
    remove = ", or remove the family" if family else ""
    return short + f"a test may need {wanted}: {add}{remove}{lower}"


def _thin_templates(behaviour: Behaviour) -> list[Problem]:
    """Where there are so many templates that they may be bet on, each needs its own block of pairs."""
    problems = []
    for family in (None, *behaviour.families):
        frames = behaviour.frames(family)
        if frames >= ENOUGH_TEMPLATES:
            try:
                behaviour.sample(PER_TEMPLATE * frames, 0, "confirmation", family=family, per_template=PER_TEMPLATE)
            except Exhausted as error:
                problems.append(Problem("too few pairs", str(error)))
    return problems


def _place(split: Split, family: str | None) -> str:
    return f"family {family}" if family else split
