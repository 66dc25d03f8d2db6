"""A person at the terminal between proposing and registering: `lakatos run --approve`."""

from __future__ import annotations

import getpass
import re
from collections.abc import Callable, Sequence

from rich.console import Console

from lakatos.agent.view import Proposal
from lakatos.agent.watch import showable
from lakatos.tools.claim import claim_of, read_hypothesis
from lakatos.tools.errors import ProposalError

_HELP = "Enter keeps all. `keep 1,3-5` the others are dropped; `edit 2 CLAIM`; `add CLAIM`; `none`; `go` when done."


def at_the_terminal(
    console: Console, read: Callable[[str], str] = input
) -> Callable[[str, Sequence[Proposal]], tuple[str, list[Proposal]]]:
    """Who asks at a terminal what to keep of a round's drafts.

    Args:
        console: where drafts are shown.
        read: reads a line, given what to ask.
    """

    def ask(behaviour: str, drafts: Sequence[Proposal]) -> tuple[str, list[Proposal]]:
        kept = [dict(draft) for draft in drafts]
        _show(console, behaviour, kept)
        while True:
            try:
                line = read("keep, edit, add, none or go> ").strip()
            except EOFError:
                line = "go"
            if line in ("", "go"):
                return getpass.getuser(), kept
            try:
                kept = changed(kept, line, behaviour)
            except ProposalError as error:
                console.print(showable(f"{error}\n{_HELP}"), markup=False, highlight=False)
                continue
            _show(console, behaviour, kept)

    return ask


def changed(kept: list[Proposal], line: str, behaviour: str) -> list[Proposal]:
    """The drafts after a line of a person's.

    Raises:
        ProposalError: the line is no command, names a draft that is not there, or the claim cannot be read.
    """
    word, _, rest = line.partition(" ")
    if word == "none" and not rest:
        return []
    if word == "keep" and rest:
        return [kept[number - 1] for number in _numbers(rest, len(kept))]
    if word == "add" and rest:
        return [*kept, _claim(rest, behaviour)]
    if word == "edit" and (match := re.fullmatch(r"(\d{1,4}) (.+)", rest)):
        (number,) = _numbers(match[1], len(kept))
        edited = {**kept[number - 1], **_claim(match[2], behaviour)}
        return [*kept[: number - 1], edited, *kept[number:]]
    raise ProposalError(f"{line[:80]!r} is not understood.")


def _claim(text: str, behaviour: str) -> Proposal:
    read_hypothesis({"claim": text}, behaviour)
    return {"claim": text}


def _numbers(text: str, most: int) -> list[int]:
    """The numbers of a list such as 1,3-5. Raises ProposalError: it is none, or one is out of range."""
    found: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,4})(?:-(\d{1,4}))?\s*", part)
        if not match:
            raise ProposalError(f"{part.strip()!r} is no number or range of numbers.")
        found += range(int(match[1]), int(match[2] or match[1]) + 1)
    if not found or not all(1 <= number <= most for number in found):
        raise ProposalError(f"There are drafts 1 to {most}.")
    return list(dict.fromkeys(found))


def _show(console: Console, behaviour: str, drafts: Sequence[Proposal]) -> None:
    lines = [f"{len(drafts)} drafts wait for you. {_HELP}"]
    for number, draft in enumerate(drafts, 1):
        predicted = f", predicted {draft['predicted']:+.0%}" if isinstance(draft.get("predicted"), float) else ""
        lines.append(f"{number:>3}  {claim_of(draft, behaviour)}  ({draft.get('role', 'main')}{predicted})")
        lines += [f"     {draft['rationale']}"] if draft.get("rationale") else []
    console.print(showable("\n".join(lines)), markup=False, highlight=False, soft_wrap=True)
