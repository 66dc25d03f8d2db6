"""The text of templates: named positions in brackets, variables in braces.

`[NAME:...]` is a span whose last token is the position NAME. `{variable}` and `{variable.field}` are filled in by the
few lines below and by nothing else: `str.format` would let a file read attributes. `[[`, `]]`, `{{` and `}}` are the
characters themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple, get_args

from lakatos.tools.errors import UserError

Filler = str | dict[str, str]  # a record's first field is its entity, and what `{variable}` alone stands for
Span = tuple[int, int]  # characters [start, end) of a plain prompt
Rendered = tuple[str, dict[str, Span]]  # the plain text, and where its named positions are

_SYNTAX = re.compile(
    r"(?P<escape>\[\[|\]\]|\{\{|\}\})|\[(?P<open>[A-Z][A-Z0-9_]*):|(?P<close>\])"
    r"|\{(?P<variable>[A-Za-z][A-Za-z0-9_]*(?:\.[A-Za-z][A-Za-z0-9_]*)?)\}|(?P<stray>[\[{}])|(?P<text>[^\[\]{}]+)"
)


PieceKind = Literal["text", "variable", "open", "close"]
_PIECES: dict[str, PieceKind] = {name: name for name in get_args(PieceKind)}


class Piece(NamedTuple):
    kind: PieceKind
    value: str


@dataclass(frozen=True)
class Markup:
    """A parsed template: literal text, `{variable}`s, and the `[NAME:...]` spans around them."""

    pieces: tuple[Piece, ...]

    @property
    def names(self) -> list[str]:
        """The named positions, in order."""
        return [piece.value for piece in self.pieces if piece.kind == "open"]

    @property
    def variables(self) -> list[str]:
        """The expressions substituted, in order: "io", "a.country"."""
        return [piece.value for piece in self.pieces if piece.kind == "variable"]

    def render(self, values: Mapping[str, Filler]) -> Rendered:
        """The plain text, and the characters of each named span in it. Raises UserError for an empty span."""
        text, spans, start = "", dict[str, Span](), 0
        for kind, value in self.pieces:
            if kind == "open":
                name, start = value, len(text)
            elif kind == "close":
                if start == len(text):
                    raise UserError(f"the span [{name}:...] is empty in {text!r}: a position needs some text")
                spans[name] = (start, len(text))
            else:
                text += value if kind == "text" else evaluate(value, values)
        return text, spans


@lru_cache(maxsize=4096)
def parse_markup(text: str) -> Markup:
    """Parse a template; a doubled bracket or brace, `[[` or `{{`, is the character. Raises UserError.

    In `]]]` the first two are the character and the third closes: right after a span, use a variable for "]".
    """
    pieces: list[Piece] = []
    inside: str | None = None
    for match in _SYNTAX.finditer(text):
        kind, value = match.lastgroup, match.group(match.lastgroup or 0)
        here = f"at character {match.start()} of {text!r}"
        if kind == "stray":
            if near := re.match(r"\[([A-Za-z][A-Za-z0-9_]*):", text[match.start() :]):
                raise UserError(
                    f"{near.group()!r} {here}: the name of a position is in capitals, [{near[1].upper()}:...]"
                )
            wanted = "[NAME:...]" if value == "[" else "{variable} or {variable.field}"
            raise UserError(f"{value!r} {here} does not begin or end {wanted}; write {value * 2!r} for the character")
        if kind == "open":
            if inside:
                raise UserError(f"[{value}:...] {here} opens inside [{inside}:...]: close that first")
            if value == "END":
                raise UserError(f"[END:...] {here}: END is always the last token of the prompt; choose another name")
            if Piece("open", value) in pieces:
                raise UserError(f"[{value}:...] {here} occurs twice: give each position its own name")
            inside = value
        if kind == "close":
            if not inside:
                raise UserError(f"']' {here} closes nothing; write ']]' for the character")
            inside = None
        if kind == "escape":
            pieces.append(Piece("text", value[0]))
        elif known := _PIECES.get(kind or ""):
            pieces.append(Piece(known, value))
    if inside:
        raise UserError(f"[{inside}:...] is never closed in {text!r}; ']]' is the character, ']' closes")
    return Markup(tuple(pieces))


def plain(text: str) -> str:
    """A template without its position marks and with single spaces: what two templates are compared by."""
    return " ".join(re.sub(r"\[[A-Z][A-Z0-9_]*:|\]", "", text).split())


def escape(text: str) -> str:
    """The template that renders to exactly `text`."""
    return re.sub(r"[\[\]{}]", lambda match: match.group() * 2, text)


def evaluate(expression: str, values: Mapping[str, Filler]) -> str:
    """The value of "variable" or "variable.field". Raises UserError for a name that is not there."""
    variable, _, field = expression.partition(".")
    if variable not in values:
        raise UserError(f"{{{expression}}}: there is no variable {variable!r}; there are {listed(values)}")
    value = values[variable]
    if isinstance(value, str):
        if field:
            raise UserError(f"{{{expression}}}: {variable} is the plain string {value!r}, it has no fields")
        return value
    if field and field not in value:
        raise UserError(f"{{{expression}}}: the record {value} has no field {field!r}; it has {listed(value)}")
    return value[field] if field else entity(value)


def entity(filler: Filler) -> str:
    """What a filler is: the string itself, or a record's first field."""
    return filler if isinstance(filler, str) else next(iter(filler.values()))


def listed(names: Iterable[str]) -> str:
    """Names in order, for an error message."""
    return ", ".join(repr(name) for name in names) or "none"
