"""Rows of files: what an arm came to on one model with one seed, and whatever else is kept so."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from lakatos.tools.errors import UserError
from lakatos.tools.records import Frozen, canonical_json

Form = TypeVar("Form", bound=Frozen)


class Row(Frozen):
    """What an arm came to on one model with one seed. Counts are of claims; a baseline makes none."""

    settings: str  # hash of what the arm was given
    model: str  # with the number of the instance: planted:backup#2
    arm: str
    seed: int
    ours: bool  # whether its claims were registered and tested; of a baseline nothing is
    ended: str  # finished, stopped (by its budget), failed; "refused: ..." of a baseline that cannot be run there
    registered: int = 0
    confirmed: int = 0
    false: int = 0  # of the confirmed
    unjudged: int = 0  # of the confirmed: the truth does not say
    effects: int = 0  # of the confirmed: all but those of no effect
    groups: int = 0  # of overlapping claims, among the confirmed
    false_groups: int = 0  # of these, where no confirmed claim is true
    wrong: tuple[str, ...] = ()  # the false ones
    components: tuple[str, ...] = ()  # heads and MLPs that were found
    edges: tuple[tuple[str, str], ...] = ()  # (sender, receiver) that were found
    ranking: tuple[str, ...] = ()  # all components, best first; of baselines
    readings: tuple[tuple[str, str, str], ...] = ()  # (component, read, true) of tested claims of necessity
    roles: tuple[int, int] = (0, 0)  # confirmed attention roles: right, and judged
    prompts: int = 0  # pairs, summed over tests
    forwards: float = 0.0  # of one prompt
    seconds: float = 0.0
    tokens: int = 0  # of a language model

    @property
    def refused(self) -> bool:
        """Whether it was not run at all."""
        return self.ended.startswith("refused")

    @property
    def key(self) -> tuple[str, str, int]:
        """What tells it from others."""
        return self.model, self.arm, self.seed


def append(path: Path, row: Frozen) -> None:
    """Write a row behind the others; a row is there whole or not at all.

    Raises:
        UserError: the disk is full, or the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = path.read_bytes() if path.exists() else b""
        kept = whole[: whole.rfind(b"\n") + 1]  # a line that a kill cut off is written over
        with path.open("wb" if kept != whole else "ab") as file:
            new = canonical_json(row.model_dump(mode="json")).encode() + b"\n"
            file.write((kept if kept != whole else b"") + new)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise UserError(f"Cannot write {path}: {error}. What was measured before is kept; free some room.") from error


def read(paths: Iterable[Path], form: type[Form]) -> list[Form]:
    """All rows of those files that are there; a last line that a kill cut off is passed over.

    Raises:
        UserError: a file holds something else.
    """
    found = []
    for path in sorted(path for path in paths if path.exists()):
        text = path.read_text("utf-8")
        for number, line in enumerate(text[: text.rfind("\n") + 1].splitlines(), 1):
            try:
                found.append(form.model_validate(json.loads(line)))
            except (ValueError, ValidationError) as error:
                raise UserError(f"{path}, line {number}, is no row of this benchmark: give another --out.") from error
    return found
