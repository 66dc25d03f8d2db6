"""What is asked of the review site: filters, order and page of a table, a correction beside it, and by whom."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import unquote

from fastapi import Depends, Path, Query, Request

from lakatos.experiments_db.index import query as queries
from lakatos.experiments_db.log import MOST_AUTHOR
from lakatos.experiments_db.site.blind import Visitor
from lakatos.experiments_db.site.pages import Correction
from lakatos.experiments_db.site.safety import int_or

_MOST_PAGES = 10**6

Number = Annotated[int, Path(ge=1, le=2**31 - 1)]
PageNumber = Annotated[int, Query(ge=1, le=_MOST_PAGES)]
Word = Annotated[str, Query(max_length=500)]


class Problem(Exception):
    """A page that says what is wrong, with a status."""

    def __init__(self, status: int, heading: str, message: str) -> None:
        super().__init__(message)
        self.status, self.heading, self.message = status, heading, message


def chosen(
    request: Request,
    q: Word = "",
    state: Word = "",
    kind: Word = "",
    behaviour: Word = "",
    model: Word = "",
    run: Word = "",
    component: Word = "",
    reviewer: Word = "",
    review: Word = "",
    proposer: Word = "",
    group: Word = "",
    sort: Word = "slot",
    page: PageNumber = 1,
) -> queries.Query:
    """The hypotheses that an address asks for.

    Raises:
        Problem: a run or group that is no number.
        Hidden: a blind visitor asks by what others said.
    """
    if review or reviewer or sort.removeprefix("-") == "review":
        visitor(request).may_not_see("Which hypotheses these are tells what others said of them.")
    return queries.Query(
        text=q,
        state=state or None,
        kind=kind or None,
        behaviour=behaviour or None,
        model=model or None,
        run=_whole("run", run),
        component=component or None,
        reviewer=reviewer or None,
        review=review or None,
        proposer=proposer or None,
        group=_whole("group", group),
        sort=sort or "slot",
        page=page,
    )


def corrected(correction: Word = "", alpha: Word = "", family: Word = "study") -> Correction:
    """The correction that an address asks for. Raises Problem: an alpha that is none."""
    if not alpha:
        return Correction(correction, None, family or "study")
    try:
        level = float(alpha)
    except ValueError:
        level = 0.0
    if not 0 < level <= 0.5:
        raise Problem(422, "No such alpha", f"Alpha is a number above 0 and at most 0.5, not {alpha!r}.")
    return Correction(correction, level, family or "study")


Chosen = Annotated[queries.Query, Depends(chosen)]
Corrected = Annotated[Correction, Depends(corrected)]


def visitor(request: Request) -> Visitor:
    """Who visits, from the cookies that they had us set."""
    cookies = request.cookies
    theme = cookies.get("lakatos_theme", "")
    return Visitor(
        name=unquote(cookies.get("lakatos_name", ""))[:MOST_AUTHOR],
        blind=cookies.get("lakatos_blind") == "1",
        theme=theme if theme in ("light", "dark") else "",
    )


def _whole(name: str, text: str) -> int | None:
    if not text:
        return None
    number = int_or(text, -1)
    if not 0 <= number < 2**31:
        raise Problem(422, f"No such {name}", f"A {name} is a number, not {text!r}.")
    return number
