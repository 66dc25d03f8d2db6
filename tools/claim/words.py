"""How claims are written: the phrase between components and behaviour, and the options in parentheses.

A phrase is words and gaps: `<attends_from>` stands for one word of a field, `<receivers+>` for several joined by "+".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

ONE = r"\S+"
LIST = r"[^\s+]+(?:\s*\+\s*[^\s+]+)*"
_NUMBER = r"(\d+(?:\.\d+)?)"
_GAP = re.compile(r"<(\w+)(\+?)>")


@dataclass(frozen=True)
class Phrase:
    """What stands between the components and the behaviour."""

    text: str
    means: Mapping[str, str] = field(default_factory=dict)  # fields that have these values where it is said


@dataclass(frozen=True)
class Option:
    """One of the things that stand in the parentheses after a claim: a field's value."""

    field: str
    pattern: str  # of the whole option
    shown: str  # how it is written, in a message
    read: Callable[[re.Match[str]], Any]  # the field's value
    write: Callable[[Any], list[str]]  # from the field's value; nothing where it goes without saying
    several: bool = False  # whether options of the same field add up, each a dictionary


def word(field: str, *choices: str, shown: str) -> Option:
    """A field whose value is one of a few words; always said."""
    return Option(field, "|".join(choices), shown, lambda match: match[0], lambda value: [value])


def fraction(field: str, sign: str, whole: str) -> Option:
    """A field that is a fraction of something, as `>= 10% of gap`; always said."""
    return Option(
        field,
        rf"{sign}\s*{_NUMBER}\s*%\s*of\s*{whole}",
        f"{sign} N % of {whole}",
        lambda match: float(match[1]) / 100,
        lambda value: [f"{sign} {percent(value)} of {whole}"],
    )


def times(field: str, usual: float, of: str) -> Option:
    """A field that is a factor, as `3 x controls`; said where it is not the usual one."""
    return Option(
        field,
        rf"{_NUMBER}\s*x\s+{of}",
        f"{usual:g} x {of}",
        lambda match: float(match[1]),
        lambda value: [f"{value:.12g} x {of}"] if value != usual else [],
    )


def count(field: str, usual: int, of: str) -> Option:
    """A field that is a whole number, as `5 random`; said where it is not the usual one."""
    return Option(
        field,
        rf"(\d+)\s+{of}",
        f"{usual} {of}",
        lambda match: int(match[1]),
        lambda value: [f"{value} {of}"] if value != usual else [],
    )


def pattern(phrase: str) -> str:
    """A regular expression of the phrase, with a named group for every gap."""
    return _expression(phrase, lambda field, several: f"(?P<{field}>{LIST if several else ONE})")


def outline(phrase: str) -> str:
    """A regular expression of the phrase, without any group."""
    return _expression(phrase, lambda _, several: f"(?:{LIST})" if several else ONE)


def fields_in(phrase: str, text: str) -> dict[str, Any] | None:
    """What stands in the gaps of the phrase; None: the text is not this phrase."""
    found = re.fullmatch(pattern(phrase), text)
    if not found:
        return None
    several = {field for field, plus in _GAP.findall(phrase) if plus}
    return {field: listed(value) if field in several else value for field, value in found.groupdict().items()}


def filled(phrase: str, source: Any) -> str:
    """The phrase with the fields of `source` in its gaps."""

    def value(gap: re.Match[str]) -> str:
        found = getattr(source, gap[1])
        return " + ".join(found) if gap[2] else str(found)

    return _GAP.sub(value, phrase)


def listed(text: str) -> list[str]:
    """The items of a text that joins them by "+"."""
    return [item.strip() for item in text.split("+")]


def place(component: str) -> str:
    """A component for people: where it is taken from."""
    name, _, position = component.partition("@")
    return f"{name} at {position}" if position else f"{name} at every position"


def percent(fraction: float) -> str:
    return f"{100 * fraction:.12g}%"


def _expression(phrase: str, gap: Callable[[str, bool], str]) -> str:
    parts = []
    for token in phrase.split():
        found = _GAP.fullmatch(token)
        parts.append(gap(found[1], bool(found[2])) if found else re.escape(token))
    return r"\s+".join(parts)
