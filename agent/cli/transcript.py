"""`lakatos transcript`: what a language model was asked, what it answered, and what became of it."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from lakatos.agent.cli.options import DB, Db, Json, Study, open_log, print_json
from lakatos.agent.watch import showable
from lakatos.tools.errors import UserError

app = typer.Typer()


@app.command()
def transcript(
    run_id: Annotated[
        int | None, typer.Option("--run", help="Which run. Default: the newest that asked a language model.")
    ] = None,
    db: Db = DB,
    study: Study = None,
    as_json: Json = False,
) -> int:
    """Print every request of a run to its language model, word for word, as Markdown.

    Examples:

        lakatos transcript > transcript.md

        lakatos transcript --run 3 --json
    """
    from lakatos.experiments_db.documents import as_markdown, transcript_document

    store = open_log(db, study, run_id)
    chosen = run_id if run_id is not None else max((r.id for r in store.runs() if r.proposer == "llm"), default=None)
    if chosen is None:
        raise UserError(f"No run in {db} asked a language model; `lakatos run --proposer llm` does.")
    document = transcript_document(store, chosen)
    if as_json:
        print_json(document)
    else:
        sys.stdout.write(showable(as_markdown(document)) + "\n")
    return 0
