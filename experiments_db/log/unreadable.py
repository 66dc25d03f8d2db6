"""A row that is not what lakatos writes: one error, which names it and says who names the others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import JSON, Dialect
from sqlalchemy.types import TypeDecorator

from lakatos.tools.errors import UserError

_ADVICE = "Run `lakatos verify`: it names every row that lies."


class Unreadable(UserError):
    """A table or a row of the log cannot be read as what it should be."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}. {_ADVICE}")


class UnreadableCell(ValueError):
    """A cell that is no JSON, or JSON of another kind; whoever reads rows says of which row."""


class Document(TypeDecorator[Any]):
    """A JSON column: an object, or a list."""

    impl = JSON
    cache_ok = True

    def __init__(self, kind: type = dict) -> None:
        super().__init__()
        self.kind = kind

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        """From what the driver gives to the document. Raises UnreadableCell."""
        decode = super().result_processor(dialect, coltype)

        def read(cell: Any) -> Any:
            try:
                value = cell if decode is None else decode(cell)
            except (TypeError, ValueError, RecursionError) as error:
                raise UnreadableCell(f"no JSON ({error})") from error
            if cell is not None and not isinstance(value, self.kind):
                raise UnreadableCell(f"{value!r:.40} is no {'list' if self.kind is list else 'object'}")
            return value

        return read


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Reads a record that somebody may have forged.

    Args:
        what: the row, as `hypotheses row 7`.

    Raises:
        Unreadable: it is not what lakatos writes.
    """
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise Unreadable(f"{what} cannot be read: it is not what lakatos writes") from error
