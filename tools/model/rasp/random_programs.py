"""Programs drawn at random: any number of questions that nobody thought of.

An expression is grown from the answer inwards, by drawing what computes it and then, one step less deep, what that is
computed from. It is thrown away, and another drawn, until its answer is worth asking for: enough rows of symbols must
have one, no answer may be the usual one, every operation must matter for it, and prompts must be found for it.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from itertools import pairwise

import numpy as np

from lakatos.tools.errors import UserError
from lakatos.tools.model.rasp.describing import in_words
from lakatos.tools.model.rasp.expressions import (
    INDICES,
    MIXED,
    TOKENS,
    Aggregate,
    Indices,
    Map,
    Relation,
    Select,
    SequenceMap,
    Sop,
    Tokens,
    Width,
    combined,
    domain,
    evaluate,
    mapped,
    operations,
)
from lakatos.tools.model.rasp.programs import LETTERS, Program
from lakatos.tools.model.rasp.prompts import SYMBOLS, make_behaviour

RANDOM = "random"
STEPS = (2, 5)  # operations of a program, tokens and indices left out
ANSWERED, USUAL, MATTERS = 0.3, 0.6, 0.3  # of rows: that have an answer; the same one; that an operation decides
_ROWS = 120
_TRIES = 4000


@lru_cache(maxsize=64)
def random_program(seed: int) -> Program:
    """A program of 2 to 5 operations, the same for the same seed; some seconds.

    Raises:
        UserError: none was found, which no seed up to 100 comes to.
    """
    rng = np.random.default_rng([seed, *b"random program"])
    for _ in range(_TRIES):
        alphabet = LETTERS[: int(rng.integers(4, len(LETTERS) + 1))]
        expression = _Grower(alphabet, rng).answer()
        program = Program(
            f"{RANDOM}{seed}", f"What is {in_words(expression)}, at the last symbol?", alphabet, expression
        )
        if _is_of_size(expression) and _is_worthwhile(program, rng) and _has_prompts(program):
            return program
    raise UserError(f"No random program was found with the seed {seed}: take another.")


class _Grower:
    """Draws expressions over an alphabet."""

    def __init__(self, alphabet: tuple[str, ...], rng: np.random.Generator) -> None:
        self._alphabet, self._rng = alphabet, rng

    def answer(self) -> Sop:
        return self._number(3) if self._rng.random() < 0.3 else self._symbol(3)

    def _symbol(self, depth: int) -> Sop:
        """An operation whose values are symbols."""
        if depth == 0:
            return TOKENS
        draw = self._rng.choice(["earlier", "first", "following", "pointed", "permuted", "merged", "named", "plain"])
        if draw == "earlier":
            return self._earlier(self._symbol(depth - 1))
        if draw == "first":
            return Aggregate(Select(INDICES, INDICES, Relation("member", (0,))), self._symbol(depth - 1))
        if draw == "following":
            return Aggregate(Select(self._earlier(TOKENS), self._symbol(depth - 1), Relation("equal")), TOKENS)
        if draw == "pointed":
            return Aggregate(Select(INDICES, self._number(depth - 1), Relation("equal")), TOKENS)
        if draw == "permuted":
            return self._renamed(self._symbol(depth - 1))
        if draw == "merged":
            return self._merged(self._symbol(depth - 1), self._symbol(depth - 1))
        return self._renamed(self._number(depth - 1)) if draw == "named" else TOKENS

    def _number(self, depth: int) -> Sop:
        """An operation whose values are numbers: how many positions are selected."""
        draw = self._rng.choice(["same", "member", "less"])
        keys = self._symbol(max(depth - 1, 0))
        if draw == "member":
            size = int(self._rng.integers(1, len(self._alphabet) - 1))
            chosen = sorted(self._rng.choice(self._alphabet, size, replace=False).tolist())
            return Width(Select(keys, INDICES, Relation("member", tuple(chosen))))
        queries = self._symbol(max(depth - 1, 0))
        return Width(Select(keys, queries, Relation("equal" if draw == "same" else "less")))

    def _earlier(self, sop: Sop) -> Sop:
        steps = int(self._rng.integers(1, 3))
        return Aggregate(Select(INDICES, INDICES, Relation("offset", (-steps,))), sop)

    def _renamed(self, sop: Sop) -> Map:
        """Every value as a symbol, in an order that is drawn."""
        order = self._rng.permutation(len(self._alphabet)).tolist()
        values = domain(sop, self._alphabet)
        return mapped(sop, self._alphabet, lambda value: self._alphabet[order[values.index(value) % len(order)]])

    def _merged(self, first: Sop, second: Sop) -> SequenceMap:
        """A symbol for every two, so that either decides it: a Latin square that is drawn."""
        n = len(self._alphabet)
        rows, columns, names = (self._rng.permutation(n).tolist() for _ in range(3))
        place = {symbol: i for i, symbol in enumerate(self._alphabet)}
        return combined(
            first,
            second,
            self._alphabet,
            lambda x, y: self._alphabet[names[(rows[place[str(x)]] + columns[place[str(y)]]) % n]],
        )


def _is_of_size(expression: Sop) -> bool:
    found = operations(expression)
    twice = any(isinstance(sop, SequenceMap) and sop.first == sop.second for sop in found)
    mapped_twice = any(isinstance(sop, Map) and isinstance(sop.inner, Map) for sop in found)
    return TOKENS in found and STEPS[0] <= len(_steps(expression)) <= STEPS[1] and not twice and not mapped_twice


def _steps(expression: Sop) -> list[Sop]:
    return [sop for sop in operations(expression) if not isinstance(sop, Tokens | Indices)]


def _is_worthwhile(program: Program, rng: np.random.Generator) -> bool:
    """Whether rows have an answer, not always the same, for which every operation matters."""
    rows = [rng.choice(program.alphabet, SYMBOLS).tolist() for _ in range(_ROWS)]
    answers = [evaluate(program.expression, row)[-1] for row in rows]
    known = [i for i, answer in enumerate(answers) if answer not in (None, MIXED)]
    if len(known) < ANSWERED * _ROWS or Counter(answers[i] for i in known).most_common(1)[0][1] > USUAL * len(known):
        return False
    return all(
        _matters(sop, program, [(rows[i], rows[j]) for i, j in pairwise(known)]) for sop in _steps(program.expression)
    )


def _matters(sop: Sop, program: Program, rows: list[tuple[list[str], list[str]]]) -> bool:
    """Whether its values on another row often give another answer."""
    found = []
    for row, other in rows:
        answer = evaluate(program.expression, row, {sop: evaluate(sop, other)})[-1]
        if answer != MIXED:
            found.append(answer != evaluate(program.expression, row)[-1])
    return len(found) > len(rows) / 3 and sum(found) >= MATTERS * len(found)


def _has_prompts(program: Program) -> bool:
    try:
        make_behaviour(program)
    except UserError:
        return False
    return True
