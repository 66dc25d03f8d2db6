"""`lakatos study`: the families over which error is controlled. A study is planned before anything is tried in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from lakatos.agent.cli.options import DB, Db, Json, database_path, out, print_json
from lakatos.agent.watch import showable

if TYPE_CHECKING:
    from lakatos.experiments_db.documents import StudyLine

app = typer.Typer(help="Begin a study, which is a family over which error is controlled, or list those there are.")


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="How `--study` will call it.")],
    planned: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=100_000,
            help="How many hypotheses you plan to register. The first so many share four fifths of alpha, so that "
            "each needs less evidence; later ones share the rest.",
        ),
    ] = None,
    alpha: Annotated[float, typer.Option(help="The false discovery rate, at most 0.5.")] = 0.05,
    db: Db = DB,
    as_json: Json = False,
) -> int:
    """Begin a study: its name, its error rate and its plan are fixed from now on.

    Example:

        lakatos study new pilot --planned 24

        lakatos run ioi --study pilot
    """
    from lakatos.experiments_db.documents.study import study_line
    from lakatos.experiments_db.store import new_study

    store = new_study(database_path(db), name, alpha=alpha, planned=planned)
    document = study_line(store)
    if as_json:
        print_json(document.as_dict())
        return 0
    plan = f"{planned} hypotheses planned" if planned else "no plan"
    line = (
        f"{name}: alpha {alpha:g}, {plan}. The first hypothesis is confirmed at an e-value of "
        f"{document.first_threshold:,.0f}.\nUse it:  lakatos run BEHAVIOUR --study {name}"
    )
    out().print(showable(line), markup=False, highlight=False, soft_wrap=True)
    return 0


@app.command("list")
def studies(db: Db = DB, as_json: Json = False) -> int:
    """The studies of a database, oldest first."""
    from lakatos.experiments_db.documents.study import study_line
    from lakatos.experiments_db.store import every_study

    rows = [study_line(store) for store in every_study(database_path(db))]
    if as_json:
        print_json({"studies": [row.as_dict() for row in rows]})
        return 0
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("study", "alpha", "planned", "registered", "tested", "confirmed", "next bar"):
        table.add_column(column, justify="left" if column == "study" else "right")
    for row in rows:
        table.add_row(*_cells(row))
    out().print(table)
    return 0


def _cells(row: StudyLine) -> tuple[str, ...]:
    counts = (str(n) for n in (row.registered, row.tested, row.confirmed))
    planned = "-" if row.planned is None else str(row.planned)
    return (escape(showable(row.name)), f"{row.alpha:g}", planned, *counts, f"e >= {row.next_threshold:,.0f}")
