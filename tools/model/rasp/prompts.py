"""Prompts for a program: a behaviour whose answers are those of the program.

A prompt is a row of `SYMBOLS` symbols, between which stand words that the program ignores. The rows are drawn at random
and kept as records: a clean row, and a corrupted one that differs in one run of symbols (`CHANGED`) and has another
answer. Templates say where ignored words stand: before the row, before the changed run, or after it; some are fixed
words, the others are filled in, so that fresh prompts do not run out. Ignored words move what comes after them: only
such templates are taken as leave the answers of most rows alone, and only such rows as keep theirs in all of them. The
splits share neither rows, nor ignored words, nor templates.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import yaml

from lakatos.tools.behaviour import SPLITS, Behaviour, Split
from lakatos.tools.errors import UserError
from lakatos.tools.model.rasp.expressions import MIXED, Value, evaluate
from lakatos.tools.model.rasp.programs import Program
from lakatos.tools.model.rasp.vocabulary import FIXED, IGNORED
from lakatos.tools.model.wording import TEXT

SYMBOLS, IGNORED_MOST = 7, 3  # of a prompt
ROWS, TEMPLATES = 96, 6  # of either split
_LONGEST = 3  # symbols of the run that is changed
_TRIED = 400  # rows on which templates are tried
_LEFT_ALONE = 0.1  # of these the templates together must leave so many as they are
_DRAWS = 60_000  # rows until the search for more is given up

Gap = tuple[str, ...]
Gaps = tuple[Gap, Gap, Gap]  # words before the row, the run, what follows it
_FILLED = "*"  # a word that is filled in


class Row(NamedTuple):
    """Two rows of symbols, the same but for a run."""

    before: tuple[str, ...]
    clean: tuple[str, ...]
    corrupted: tuple[str, ...]
    after: tuple[str, ...]
    answer: str
    wrong: str

    @property
    def rows(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return (*self.before, *self.clean, *self.after), (*self.before, *self.corrupted, *self.after)


def make_behaviour(program: Program, seed: int = 0) -> Behaviour:
    """The behaviour of a program. A second or so.

    Args:
        seed: of the rows and templates.

    Raises:
        UserError: too few rows have an answer, or too few templates leave it alone.
    """
    return Behaviour.model_validate(_Maker(program, np.random.default_rng(seed)).fields())


def as_yaml(behaviour: Behaviour) -> str:
    """The behaviour's file."""
    fields = behaviour.model_dump(exclude_defaults=True)
    return str(yaml.dump(fields, sort_keys=False, width=120, allow_unicode=True, default_flow_style=None))


def behaviour_name(program: Program) -> str:
    return f"rasp_{program.name}"


class _Maker:
    """Draws rows and templates of one program."""

    def __init__(self, program: Program, rng: np.random.Generator) -> None:
        self._program, self._rng = program, rng

    def fields(self) -> dict[str, object]:
        """Of the behaviour."""
        program, seen = self._program, set[tuple[str, ...]]()
        templates = self._templates()
        rows = {split: self._rows(templates[split], seen) for split in SPLITS}
        draw = {"row": "row"} | {f"word{i}": "word" for i in range(IGNORED_MOST)}
        return {
            "name": behaviour_name(program),
            "version": 1,
            "question": program.question,
            "selected_because": (
                "The answer is computed by a program that Tracr compiled into known heads and MLPs of a transformer "
                "(Lindner et al. 2023), so what an instrument says of them can be held against the truth."
            ),
            "considered": [
                "Every row of symbols that has an answer: some answers would then be rare. No two answers make up more "
                "than twice their share of the pairs."
            ],
            "changelog": [f"1: {TEMPLATES} templates and {ROWS} pairs of rows a split."],
            "bos": "model",
            "controls": [TEXT],
            "fillers": {
                "row": {split: [_record(split, i, row) for i, row in enumerate(rows[split])] for split in SPLITS},
                "word": {split: list(IGNORED[split]) for split in SPLITS},
            },
            "draw": draw,
            "clean": {"run": "{row.c}"},
            "corrupted": {"run": "{row.x}"},
            "answer": " {row.y}",
            "wrong": " {row.n}",
            "templates": {
                split: [{"id": f"{split[:4]}{i}", "text": _text(gaps)} for i, gaps in enumerate(templates[split])]
                for split in SPLITS
            },
        }

    def _templates(self) -> dict[Split, list[Gaps]]:
        """Those that leave most answers alone, of either split as many lengths as there are."""
        kept = self._kept_shapes()
        found: dict[Split, list[Gaps]] = {}
        taken: list[Gaps] = []
        for split in SPLITS:
            variants = [gaps for shape in kept for gaps in _variants(shape, FIXED[split]) if gaps not in taken]
            by_length: dict[int, list[Gaps]] = {}
            for i in self._rng.permutation(len(variants)):
                by_length.setdefault(sum(map(len, variants[i])), []).append(variants[i])
            turns = [gaps[turn] for turn in range(TEMPLATES) for gaps in by_length.values() if turn < len(gaps)]
            found[split] = turns[:TEMPLATES]
            taken += found[split]
            if len(found[split]) < TEMPLATES:
                raise UserError(
                    f"{self._program.name}: no {2 * TEMPLATES} templates leave its answers alone; take another program"
                )
        return found

    def _kept_shapes(self) -> list[Gaps]:
        """Where words may be ignored: the more harmless a place, the earlier it is let in."""
        left = [row for _, row in zip(range(_TRIED), self._drawn(), strict=False)]
        enough = _LEFT_ALONE * len(left)
        held = {shape: [self._holds(row, shape) for row in left] for shape in _shapes()}
        kept, survive = [], np.ones(len(left), bool)
        for shape in sorted(held, key=lambda shape: (-sum(held[shape]), shape)):
            both = survive & np.array(held[shape], bool)
            if both.sum() >= max(enough, 1):
                kept.append(shape)
                survive = both
        return kept

    def _rows(self, templates: Sequence[Gaps], seen: set[tuple[str, ...]]) -> list[Row]:
        """Rows that keep their answers in all templates; adds them to `seen`."""
        kept: list[Row] = []
        counts: Counter[str] = Counter()
        for tries, row in enumerate(self._drawn()):
            most = 2 * ROWS / max(2, min(len(self._program.answers), 4)) + tries * ROWS / _DRAWS
            common = max(counts[row.answer], counts[row.wrong]) >= most
            if common or not seen.isdisjoint(row.rows) or not all(self._holds(row, gaps) for gaps in templates):
                continue
            seen.update(row.rows)
            kept.append(row)
            counts.update([row.answer, row.wrong])
            if len(kept) == ROWS:
                return kept
        raise UserError(
            f"{self._program.name}: of {_DRAWS} random rows only {len(kept)} have an answer in all templates, and "
            f"{ROWS} are needed; take another program"
        )

    def _drawn(self) -> Iterator[Row]:
        """Random rows whose two answers differ."""
        for _ in range(_DRAWS):
            symbols = tuple(self._rng.choice(self._program.alphabet, SYMBOLS).tolist())
            length = int(self._rng.integers(1, _LONGEST + 1))
            start = int(self._rng.integers(0, SYMBOLS - length))  # the last symbol stays
            run = tuple(self._rng.choice(self._program.alphabet, length).tolist())
            before, clean, after = symbols[:start], symbols[start : start + length], symbols[start + length :]
            answers = self._answer((*before, *clean, *after)), self._answer((*before, *run, *after))
            if None not in answers and answers[0] != answers[1]:
                yield Row(before, clean, run, after, *map(str, answers))

    def _holds(self, row: Row, gaps: Gaps) -> bool:
        """Whether the answers stay what they are when words are ignored there."""
        for run, answer in ((row.clean, row.answer), (row.corrupted, row.wrong)):
            parts = [*gaps[0], *row.before, *gaps[1], *run, *gaps[2], *row.after]
            if self._answer(tuple(parts)) != answer:
                return False
        return True

    def _answer(self, words: Sequence[str]) -> str | None:
        """What the program answers; None where it has no answer."""
        value: Value | None = evaluate(
            self._program.expression, [word if word in self._program.alphabet else None for word in words]
        )[-1]
        return None if value in (None, MIXED) else self._program.word(value)


def _shapes() -> list[Gaps]:
    """How many ignored words, and where."""
    counts = product(range(IGNORED_MOST + 1), repeat=3)
    return [
        ((_FILLED,) * one, (_FILLED,) * two, (_FILLED,) * three)
        for one, two, three in counts
        if 1 <= one + two + three <= IGNORED_MOST
    ]


def _variants(shape: Gaps, fixed: Sequence[str]) -> list[Gaps]:
    """A shape with some of its words fixed, no word twice; one at least is filled in."""
    sizes = list(map(len, shape))
    found = []
    for words in product((_FILLED, *fixed), repeat=sum(sizes)):
        named = [word for word in words if word != _FILLED]
        if _FILLED in words and len(set(named)) == len(named):
            first, second = sizes[0], sizes[0] + sizes[1]
            found.append((words[:first], words[first:second], words[second:]))
    return found


def _text(gaps: Gaps) -> str:
    """A template: "{word0} so {row.p}[CHANGED:{run}]{row.q}"."""
    numbers = iter(range(IGNORED_MOST))
    said = [[f"{{word{next(numbers)}}}" if word == _FILLED else word for word in gap] for gap in gaps]
    before, inside, after = (" ".join(gap) for gap in said)
    lead = f"{before} " if before else ""
    return f"{lead}{{row.p}}{f'{inside} ' if inside else ''}[CHANGED:{{run}}]{f' {after}' if after else ''}{{row.q}}"


def _record(split: Split, number: int, row: Row) -> dict[str, str]:
    """A row as a filler: the symbols before and after the run with their spaces, both runs and both answers."""
    return {
        "id": f"{split[0]}{number}",
        "p": "".join(f"{symbol} " for symbol in row.before),
        "c": " ".join(row.clean),
        "x": " ".join(row.corrupted),
        "q": "".join(f" {symbol}" for symbol in row.after),
        "y": row.answer,
        "n": row.wrong,
    }
