"""What is wrong with a behaviour: one record for each cause, however many prompts show it.

A misfit is one prompt or one answer that cannot be used. Misfits of one cause are one problem: the first of them is its
example, and the fillers that differ from the rest of their list are named.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from lakatos.tools.errors import UserError

MOST = 10  # problems shown, and names in each


class Misfit(UserError):
    """A prompt pair or an answer that a tokenizer makes unusable; `cause` is what misfits are grouped by."""

    def __init__(self, cause: str, said: str) -> None:
        super().__init__(said)
        self.cause = cause


@dataclass(frozen=True)
class Apart:
    """The entries of one list that are not as many tokens as the rest."""

    list: str  # "fillers.name.first (exploration)"
    usual: int  # tokens of most entries, or what is wanted
    others: dict[str, int]  # entry -> its tokens
    rule: str = "most are"  # why `usual` is what it is

    def __str__(self) -> str:
        by_size: dict[int, list[str]] = {}
        for entry in list(self.others)[:MOST]:
            by_size.setdefault(self.others[entry], []).append(repr(entry))
        named = "; ".join(f"{', '.join(entries)} {_tokens(entries, n)}" for n, entries in sorted(by_size.items()))
        return f"{self.list}: {named}{_more(len(self.others) - MOST)} where {self.rule} {self.usual}"


@dataclass(frozen=True)
class Problem:
    """One thing to mend in a behaviour's file."""

    cause: str  # a word that problems are told apart by
    text: str  # what is wrong, with an example, and how to mend it
    count: int = 1  # how many prompts or answers show it
    fillers: tuple[Apart, ...] = ()
    of: str = ""  # the control that has it; "": the behaviour itself

    def __str__(self) -> str:
        lists = "".join(f". {apart}" for apart in self.fillers)
        alike = f". And {self.count - 1:,} like this" if self.count > 1 else ""
        return (f"control {self.of}: " if self.of else "") + self.text + lists + alike

    def document(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self) | {"fillers": [asdict(apart) for apart in self.fillers], "said": str(self)}


def grouped(misfits: Iterable[Misfit], fillers: Mapping[str, Sequence[Apart]] | None = None) -> list[Problem]:
    """One problem for each cause, in the order in which causes appear; a misfit that recurs word for word counts once.

    Args:
        fillers: cause -> the fillers behind it.
    """
    texts: dict[str, dict[str, None]] = {}
    for misfit in misfits:
        texts.setdefault(misfit.cause, {})[str(misfit)] = None
    return [
        Problem(cause, next(iter(own)), len(own), tuple((fillers or {}).get(cause, ()))) for cause, own in texts.items()
    ]


def apart(name: str, sizes: Mapping[str, int], wanted: int | None = None) -> list[Apart]:
    """The entries whose size is not the `wanted` one, or not that of most; [] where all agree."""
    if not sizes:
        return []
    usual = Counter(sizes.values()).most_common(1)[0][0] if wanted is None else wanted
    others = {entry: size for entry, size in sizes.items() if size != usual}
    return [Apart(name, usual, others, "most are" if wanted is None else "all must be")] if others else []


def told(problems: Sequence[object], most: int = MOST) -> list[str]:
    """The problems as sentences: at most so many, and how many more there are."""
    left = len(problems) - most
    shown = [str(problem) for problem in problems[:most]]
    return [*shown, f"and {left:,} more problem{'s' if left > 1 else ''}"] if left > 0 else shown


def of_control(name: str, problems: Iterable[Problem]) -> list[Problem]:
    """The same problems, as those of a control."""
    return [replace(problem, of=name) for problem in problems]


def named(names: Sequence[str]) -> str:
    """At most ten names, and how many more there are."""
    return ", ".join(names[:MOST]) + _more(len(names) - MOST)


def _tokens(entries: Sequence[str], n: int) -> str:
    return f"{'is' if len(entries) == 1 else 'are'} {n} token{'s' if n != 1 else ''}"


def _more(left: int) -> str:
    return f", and {left:,} like these" if left > 0 else ""
