"""The programs with names: small questions about a row of symbols, whose answer stands after the last one.

Each is an expression over an alphabet. What it finds at the last position is said by one word: a symbol by itself, a
number and a yes or no by their words. `random_program` makes others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from lakatos.tools.model.rasp.expressions import (
    INDICES,
    TOKENS,
    Aggregate,
    Relation,
    Select,
    Sop,
    Value,
    Width,
    combined,
    domain,
    mapped,
)

LETTERS = ("A", "B", "C", "D", "E")
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven")
PARENTHESES = ("open", "close", "plain")


class Program(NamedTuple):
    """A RASP program whose value at the last position is the answer."""

    name: str
    question: str
    alphabet: tuple[str, ...]
    expression: Sop

    def word(self, value: Value) -> str:
        """The word that says a value."""
        return NUMBERS[value] if isinstance(value, int) else value

    @property
    def answers(self) -> tuple[str, ...]:
        """The words that answers can be, in the order of the values."""
        return tuple(self.word(value) for value in domain(self.expression, self.alphabet))


def _back(steps: int, sop: Sop = TOKENS) -> Aggregate:
    """The value so many positions earlier."""
    return Aggregate(Select(INDICES, INDICES, Relation("offset", (-steps,))), sop)


def _yes(f: Callable[[Value], bool]) -> Callable[[Value], Value]:
    return lambda value: "yes" if f(value) else "no"


def _same(one: Value, other: Value) -> Value:
    return "yes" if one == other else "no"


def _following(sop: Sop) -> Aggregate:
    """The token after the earlier place where `sop`'s value stood."""
    return Aggregate(Select(_PREVIOUS, sop, Relation("equal")), TOKENS)


def _number(symbol: str) -> Width:
    """How often a symbol has come, up to this position."""
    return Width(Select(TOKENS, INDICES, Relation("member", (symbol,))))


def _kin(symbol: Value) -> int:
    """A fixed number for each letter."""
    return LETTERS.index(str(symbol))


_PREVIOUS = _back(1)
_HISTOGRAM = Width(Select(TOKENS, TOKENS, Relation("equal")))
_FIRST = Aggregate(Select(INDICES, INDICES, Relation("member", (0,))), TOKENS)
_NEW = mapped(_HISTOGRAM, LETTERS, _yes(lambda n: n == 1))


def _depth(opened: Value, closed: Value) -> Value:
    return int(opened) - int(closed) if int(opened) >= int(closed) else "under"


def _more(one: Value, other: Value) -> Value:
    return "A" if int(one) > int(other) else "B" if int(other) > int(one) else "even"


def _turned(one: Value, other: Value) -> Value:
    return LETTERS[(_kin(one) + 2 * _kin(other)) % len(LETTERS)]


_LETTERS: Mapping[str, tuple[str, Sop]] = {
    "shift": ("Which symbol stands two before the last, found by two steps of one?", _back(1, _PREVIOUS)),
    "previous_equal": ("Is the last symbol the same as the one before?", combined(TOKENS, _PREVIOUS, LETTERS, _same)),
    "copy_first": ("Which symbol comes after the first one in the alphabet?", mapped(
        _FIRST, LETTERS, lambda s: LETTERS[(_kin(s) + 1) % len(LETTERS)]
    )),
    "bookends": ("Which symbol do the first and the previous one give together?", combined(
        _FIRST, _PREVIOUS, LETTERS, _turned
    )),
    "histogram": ("How often has the last symbol come?", _HISTOGRAM),
    "duplicate": ("Has the last symbol come before?", mapped(_HISTOGRAM, LETTERS, _yes(lambda n: int(n) > 1))),
    "distinct": ("How many different symbols have come?", Width(Select(_NEW, INDICES, Relation("member", ("yes",))))),
    "parity": ("Has A come an even number of times?", mapped(
        _number("A"), LETTERS, _yes(lambda n: int(n) % 2 == 0)
    )),
    "rank": ("How many symbols so far come before the last one in the alphabet?", Width(
        Select(TOKENS, TOKENS, Relation("less"))
    )),
    "majority": ("Has A or B come more often?", combined(
        _number("A"), _number("B"), LETTERS, _more
    )),
    "pointer": ("Which symbol stands at the place that is the number of As?", Aggregate(
        Select(INDICES, _number("A"), Relation("equal")), TOKENS
    )),
    "induction": ("Which symbol followed the last one when it came before?", _following(TOKENS)),
    "chain": ("Which symbol followed the one that followed the last one?", _following(_following(TOKENS))),
    "landmark": ("Which symbol do the first one and the one that followed the last one give together?", combined(
        _FIRST, _following(TOKENS), LETTERS, _turned
    )),
    "count_next": ("How often has the symbol come that followed the last one?", Width(
        Select(TOKENS, _following(TOKENS), Relation("equal"))
    )),
    "count_chain": ("How often has the symbol come that followed the one that followed the last one?", Width(
        Select(TOKENS, _following(_following(TOKENS)), Relation("equal"))
    )),
}  # fmt: skip


def _named() -> dict[str, Program]:
    found = {name: Program(name, question, LETTERS, sop) for name, (question, sop) in _LETTERS.items()}
    depth = combined(_number("open"), _number("close"), PARENTHESES, _depth)
    question = "How many parentheses are open?"
    return found | {"depth": Program("depth", question, PARENTHESES, depth)}


PROGRAMS: Mapping[str, Program] = _named()
