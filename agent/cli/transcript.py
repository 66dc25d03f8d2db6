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
        int | None, typer.Option("--run", help="Which run. Default: the newest by a language model or an agent.")
    ] = None,
    db: Db = DB,
    study: Study = None,
    as_json: Json = False,
) -> int:
    """Print what a language model or an agent did in a run, word for word, as Markdown.

    Of a run that explored with tools, its story: every call, its answer, the claims that it registered, the verdicts.
    Of others, every request to the language model. With --json, both.

    Examples:

        lakatos transcript > transcript.md

        lakatos transcript --run 3 --json
    """
    from lakatos.experiments_db.documents import as_markdown, story_markdown, story_of, transcript_document

    store = open_log(db, study, run_id)
    chosen = (
        run_id
        if run_id is not None
        else max((r.id for r in store.runs() if r.proposer in ("llm", "mcp")), default=None)
    )
    if chosen is None:
        raise UserError(f"No run in {db} asked a language model; `lakatos run --proposer llm` does.")
    document, story = transcript_document(store, chosen), story_of(store, chosen)
    if as_json:
        print_json(document | {"story": story.as_dict()})
    else:
        told = story_markdown(story) if story.steps else as_markdown(document)
        sys.stdout.write(showable(told) + "\n")
    return 0
