"""RASP expressions: what a program computes at every position, and a plain interpreter of it.

A sequence operation (`Sop`) has one value at each position; a `Select` says of which earlier positions (its own among
them, for attention is causal) a position takes something. Values are words or whole numbers. A word that is not in a
program's alphabet has no value: it is None, matches nothing, and what is computed from None is None.

Where a position takes several values that are not all the same, a transformer mixes them and RASP has no answer: the
value is `MIXED`, and so is whatever is computed from it. Prompts on which the answer is mixed are never used.

Names: Weiss, Goldberg, Yahav 2021 (RASP); Lindner et al. 2023 (Tracr, whose subset of RASP this is).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Literal

Value = str | int
POSITIONS = 11  # the most tokens of a prompt, the first special token left out
MIXED = "<mixed>"

Values = list[Value | None]  # one a position


@dataclass(frozen=True)
class Tokens:
    """The symbol at each position."""


@dataclass(frozen=True)
class Indices:
    """The position: 0 for the first token after the special one."""


@dataclass(frozen=True)
class Relation:
    """Which key a query selects: `equal`, `less` (the key is less than the query), `offset` (the key is the query plus
    `argument[0]`), `member` (the key is one of `argument`, whatever the query)."""

    kind: Literal["equal", "less", "offset", "member"]
    argument: tuple[Value, ...] = ()

    def __call__(self, key: Value | None, query: Value | None) -> bool:
        if key is None or query is None:
            return False
        if self.kind == "equal":
            return key == query
        if self.kind == "less":
            return _order(key) < _order(query)
        if self.kind == "offset":
            return int(key) == int(query) + int(self.argument[0])
        return key in self.argument


def _order(value: Value) -> tuple[bool, int, str]:
    """Numbers before words."""
    return (True, 0, value) if isinstance(value, str) else (False, value, "")


@dataclass(frozen=True)
class Select:
    keys: Sop
    queries: Sop
    relation: Relation


@dataclass(frozen=True)
class Aggregate:
    """The value of `sop` at the selected positions."""

    select: Select
    sop: Sop


@dataclass(frozen=True)
class Width:
    """How many positions are selected."""

    select: Select


@dataclass(frozen=True)
class Map:
    """A table's entry for a value; None where it has none."""

    inner: Sop
    table: tuple[tuple[Value, Value], ...]

    @cached_property
    def entries(self) -> dict[Value, Value]:
        return dict(self.table)


@dataclass(frozen=True)
class SequenceMap:
    """A table's entry for two values."""

    first: Sop
    second: Sop
    table: tuple[tuple[Value, Value, Value], ...]

    @cached_property
    def entries(self) -> dict[tuple[Value, Value], Value]:
        return {(one, other): found for one, other, found in self.table}


Sop = Tokens | Indices | Aggregate | Width | Map | SequenceMap
TOKENS, INDICES = Tokens(), Indices()


def inputs(sop: Sop) -> tuple[Sop, ...]:
    """What an operation is computed from, directly: of a `Select`, its keys and its queries."""
    if isinstance(sop, Aggregate):
        return (sop.select.keys, sop.select.queries, sop.sop)
    if isinstance(sop, Width):
        return (sop.select.keys, sop.select.queries)
    if isinstance(sop, Map):
        return (sop.inner,)
    return (sop.first, sop.second) if isinstance(sop, SequenceMap) else ()


def operations(program: Sop) -> list[Sop]:
    """All operations of a program, each once and after what it is computed from; tokens and indices among them."""
    found: dict[Sop, None] = {}

    def visit(sop: Sop) -> None:
        for inner in inputs(sop):
            visit(inner)
        found.setdefault(sop)

    visit(program)
    return list(found)


def domain(sop: Sop, alphabet: Sequence[str]) -> list[Value]:
    """The values that an operation can have, sorted; None left out."""
    found: Iterable[Value]
    if isinstance(sop, Tokens):
        found = alphabet
    elif isinstance(sop, Indices):
        found = range(POSITIONS)
    elif isinstance(sop, Width):
        found = range(POSITIONS + 1)
    elif isinstance(sop, Aggregate):
        found = domain(sop.sop, alphabet)
    else:
        found = sop.entries.values()
    return sorted(set(found), key=_order)


def mapped(inner: Sop, alphabet: Sequence[str], f: Callable[[Value], Value]) -> Map:
    """The `Map` whose table has f of every value that `inner` can have."""
    return Map(inner, tuple((value, f(value)) for value in domain(inner, alphabet)))


def combined(first: Sop, second: Sop, alphabet: Sequence[str], f: Callable[[Value, Value], Value]) -> SequenceMap:
    """The `SequenceMap` whose table has f of every two values of `first` and `second`."""
    pairs = product(domain(first, alphabet), domain(second, alphabet))
    return SequenceMap(first, second, tuple((one, other, f(one, other)) for one, other in pairs))


def evaluate(
    program: Sop, symbols: Sequence[str | None], given: Mapping[Sop, Sequence[Value | None]] | None = None
) -> Values:
    """A program's value at every position.

    Args:
        symbols: one a position; None where a word is not in the alphabet.
        given: operation -> values that stand in for its own, as under ablation.
    """
    known: dict[Sop, Values] = {}
    for sop in operations(program):
        known[sop] = list(given[sop]) if given and sop in given else _value(sop, symbols, known)
    return known[program]


def _value(sop: Sop, symbols: Sequence[str | None], known: Mapping[Sop, Values]) -> Values:
    if isinstance(sop, Tokens):
        return list(symbols)
    if isinstance(sop, Indices):
        return list(range(len(symbols)))
    if isinstance(sop, Map):
        return [x if x in (None, MIXED) else sop.entries.get(x) for x in known[sop.inner]]
    if isinstance(sop, SequenceMap):
        return [_entry(sop, x, y) for x, y in zip(known[sop.first], known[sop.second], strict=True)]
    rows = _rows(sop.select, known)
    if isinstance(sop, Width):
        return [MIXED if row is None else len(row) for row in rows]
    return [MIXED if row is None else _agreed({known[sop.sop][place] for place in row}) for row in rows]


def _entry(sop: SequenceMap, x: Value | None, y: Value | None) -> Value | None:
    if x is None or y is None:
        return None
    return MIXED if MIXED in (x, y) else sop.entries.get((x, y))


def _agreed(values: set[Value | None]) -> Value | None:
    return None if not values else values.pop() if len(values) == 1 else MIXED


def _rows(select: Select, known: Mapping[Sop, Values]) -> Iterator[list[int] | None]:
    """Of each position the selected ones; None where a mixed value leaves that open."""
    keys, queries = known[select.keys], known[select.queries]
    for place, query in enumerate(queries):
        seen = keys[: place + 1]
        yield None if MIXED in (query, *seen) else [k for k, key in enumerate(seen) if select.relation(key, query)]
