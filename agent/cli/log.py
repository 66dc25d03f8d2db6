"""The commands that show what is in the log, and write it out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lakatos.agent.cli import regression as cli_regression
from lakatos.agent.cli.options import DB, Db, Json, Study, open_log, out, print_json
from lakatos.tools.errors import UserError

app = typer.Typer()


@app.command()
def runs(db: Db = DB, study: Study = None, as_json: Json = False) -> int:
    """List the investigations in a database: behaviour, model, proposer, status, spend."""
    from lakatos.agent.cli import tables as cli_tables
    from lakatos.experiments_db.documents import run_lines

    store = open_log(db, study)
    if as_json:
        print_json({"runs": [run.as_dict() for run in run_lines(store)]})
    else:
        cli_tables.print_runs(out(), store)
    return 0


@app.command()
def log(
    run_id: Annotated[int | None, typer.Option("--run", help="Only this run.")] = None,
    state: Annotated[
        str | None, typer.Option(help="Only this state: registered, testing, confirmed, refuted, inconclusive.")
    ] = None,
    refused: Annotated[bool, typer.Option(help="Also list refused proposals with their reasons.")] = True,
    db: Db = DB,
    study: Study = None,
    as_json: Json = False,
) -> int:
    """The hypothesis log: denominators first, then every registered claim with its verdict, and what was refused."""
    from lakatos.agent.cli import tables as cli_tables
    from lakatos.experiments_db.documents import documents

    store = open_log(db, study, run_id)
    if as_json:
        print_json(documents.log_document(store, run_id, state))
    else:
        cli_tables.print_log(out(), store, run_id, state, refused)
    return 0


@app.command()
def show(
    hypothesis: Annotated[str, typer.Argument(help="A hypothesis's number, or the beginning of its claim hash.")],
    prompts: Annotated[
        int, typer.Option(help="How many prompts to show: by quantile of the effect, failures too.")
    ] = 5,
    db: Db = DB,
    study: Study = None,
    as_json: Json = False,
) -> int:
    """One hypothesis: the claim, its frozen record, the lines of its battery, e-values by batch, prompts."""
    from lakatos.agent.cli.hypothesis_tables import print_hypothesis
    from lakatos.experiments_db.documents import hypothesis_document

    store = open_log(db, study)
    entry = store.hypothesis(hypothesis)
    if as_json:
        print_json(hypothesis_document(store, entry).as_dict())
    else:
        print_hypothesis(out(), store, entry, prompts)
    return 0


@app.command()
def correct(
    method: Annotated[
        str,
        typer.Option(help="online-ebh (official), e-bh, bh, by, holm, bonferroni, lord++, saffron, addis, lond, none."),
    ] = "online-ebh",
    alpha: Annotated[float | None, typer.Option(min=1e-9, max=0.5, help="Default: the study's own.")] = None,
    family: Annotated[str, typer.Option(help="What is corrected over: study, behaviour, run, kind.")] = "study",
    everything: Annotated[bool, typer.Option("--all", help="List every hypothesis, not only the confirmed.")] = False,
    db: Db = DB,
    study: Study = None,
    as_json: Json = False,
) -> int:
    """Recompute a correction over the same rows. Only online-ebh over the study is official; all else is a view."""
    from lakatos.agent.cli import tables as cli_tables
    from lakatos.experiments_db.documents import documents

    store = open_log(db, study)
    document = documents.correction_document(store, method, alpha, family)
    if as_json:
        print_json(document)
    else:
        cli_tables.print_correction(out(), store, document, everything)
    return 0


@app.command()
def export(
    html: Annotated[str | None, typer.Option(help="Write the report of a run as one HTML file.")] = None,
    csv: Annotated[str | None, typer.Option(help="Write every hypothesis as CSV.")] = None,
    parquet: Annotated[str | None, typer.Option(help="Write every hypothesis as Parquet.")] = None,
    jsonl: Annotated[str | None, typer.Option(help="Write every hypothesis as JSON Lines.")] = None,
    tests: Annotated[
        str | None, typer.Option(metavar="DIR", help="Write every confirmed claim as a test for pytest to this folder.")
    ] = None,
    accepted_only: Annotated[
        bool, typer.Option("--accepted-only", help="With --tests: only claims whose reviews say accepted.")
    ] = False,
    run_id: Annotated[int | None, typer.Option("--run", help="Which run (HTML). Default: the newest.")] = None,
    db: Db = DB,
    study: Study = None,
) -> int:
    """Write the log to files: one-file HTML report, CSV, Parquet, JSON Lines, confirmed claims as tests."""
    from lakatos.experiments_db.report import files as exports

    store = open_log(db, study, run_id)
    if not (html or csv or parquet or jsonl or tests):
        raise UserError(
            "Say what to write: --html report.html, --csv log.csv, --parquet log.parquet, --jsonl log.jsonl "
            "or --tests folder."
        )
    if accepted_only and not tests:
        raise UserError("--accepted-only says which claims become tests: name a folder for them with --tests.")
    written = []
    if html:
        newest = store.runs()[-1].id if store.runs() else None
        chosen = run_id or newest
        if chosen is None:
            raise UserError(f"There is no run in {db} yet.")
        written.append(exports.write_report(store, chosen, Path(html)))
    if csv:
        written.append(exports.write_csv(store, Path(csv)))
    if parquet:
        written.append(exports.write_parquet(store, Path(parquet)))
    if jsonl:
        written.append(exports.write_jsonl(store, Path(jsonl)))
    if tests:
        written += cli_regression.write_tests(store, Path(tests), accepted_only)
    for path in written:
        out().print(str(path), markup=False, highlight=False, soft_wrap=True)
    return 0
