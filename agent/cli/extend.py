"""`lakatos extend`: go on with tests that ended without a confirmation."""

from __future__ import annotations

from typing import Annotated

import typer

from lakatos.agent.cli.options import DB, Db, Json, Quiet, Study, database_path, err, out, print_json
from lakatos.tools.errors import Stop

app = typer.Typer()


@app.command()
def extend(
    hypotheses: Annotated[
        list[str], typer.Argument(help="Numbers of hypotheses, or the beginnings of their claim hashes.")
    ],
    pairs: Annotated[
        int | None,
        typer.Option(
            min=16,
            help="How many more pairs each test may use, in batches of 16. Left out: go on with an extension that was "
            "interrupted.",
        ),
    ] = None,
    db: Db = DB,
    study: Study = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> int:
    """Go on with tests that ended for want of pairs or for futility: on fresh prompts, from the e-values they had.

    A confirmed claim is frozen for good, and a crash stays a crash. Each extension is a row of the log.

    Example:

        lakatos extend 5 7 --pairs 128
    """
    from lakatos.agent.cli.tables import print_hypotheses
    from lakatos.agent.run import extend as go_on
    from lakatos.agent.watch import RichWatcher, Silent
    from lakatos.experiments_db.documents.line import entry_line

    path = database_path(db)
    watcher = Silent() if quiet else RichWatcher(err())
    try:
        entries = go_on(hypotheses, pairs, db=path, study=study, watcher=watcher)
    except Stop as stop:
        raise Stop(f"{stop}; nothing is lost: `lakatos extend {' '.join(hypotheses)}` goes on") from stop
    finally:
        watcher.close()
    lines = [entry_line(entry) for entry in entries]
    if as_json:
        print_json({"hypotheses": lines})
    else:
        print_hypotheses(out(), lines)
    return 0
