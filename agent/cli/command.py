"""The `lakatos` command. Heavy imports happen inside commands: `lakatos --help` and `lakatos log` load no torch.

Exit status: 0 done, 1 a check failed or a language model gave no usable answer, 2 wrong usage or something the user can
mend, 3 stopped and resumable, 130 killed by a second Ctrl-C.
"""

from __future__ import annotations

import inspect
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lakatos.agent.cli import bench as cli_bench
from lakatos.agent.cli import regression as cli_regression
from lakatos.agent.cli import review as cli_review
from lakatos.agent.cli import transcript as cli_transcript
from lakatos.agent.cli import verify as cli_verify
from lakatos.agent.cli.options import DB, Db, Json, Quiet, Study
from lakatos.agent.cli.options import database_path as _path
from lakatos.agent.cli.options import err as _err
from lakatos.agent.cli.options import open_log as _open
from lakatos.agent.cli.options import out as _out
from lakatos.agent.cli.options import print_json as _print_json
from lakatos.agent.config import Limits, RunConfig
from lakatos.tools.errors import CheckFailed, Stop, UserError

if TYPE_CHECKING:
    from lakatos.experiments_db import Store

app = typer.Typer(
    help="Pre-registered, error-controlled hypothesis testing for mechanistic interpretability.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
behaviours_app = typer.Typer(help="List the behaviours, or check one against a model.", invoke_without_command=True)
app.add_typer(behaviours_app, name="behaviours")
app.add_typer(cli_bench.app, name="bench")
app.add_typer(cli_review.app)
app.add_typer(cli_regression.app)
app.add_typer(cli_transcript.app)
app.add_typer(cli_verify.app)


def main() -> None:
    """Entry point: errors that the user can mend are shown without a traceback."""
    try:
        status = app(standalone_mode=False)
    except UserError as error:
        _err().print(f"lakatos: {error}", markup=False, highlight=False)
        status = 1 if isinstance(error, CheckFailed) else 2
    except Stop as stop:
        _err().print(f"lakatos: stopped: {stop}.", markup=False, highlight=False)
        status = 3
    except (typer.Abort, KeyboardInterrupt):
        status = 130
    except Exception as error:  # usage errors: typer vendors click, so their class has no public name
        if not hasattr(error, "format_message"):
            raise
        _err().print(f"lakatos: {error.format_message()}  (--help explains)", markup=False, highlight=False)
        status = getattr(error, "exit_code", 2)
    sys.exit(status if isinstance(status, int) else 0)


def _options(config: type[Limits]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command one option per field of `config`, with the field's description as its help."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        own = list(inspect.signature(command, eval_str=True).parameters.values())
        fields = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=field.default,
                annotation=Annotated[
                    field.annotation,
                    typer.Option(help=field.description, show_default=field.default is not None),
                ],
            )
            for name, field in config.model_fields.items()
        ]
        plain = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own if p.kind is not p.VAR_KEYWORD]
        parameters = plain[:1] + fields + plain[1:]
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {p.name: p.annotation for p in parameters}
        return command

    return decorate


@app.command()
@_options(RunConfig)
def run(
    behaviour: Annotated[
        str | None,
        typer.Argument(help="A built-in behaviour (see `lakatos behaviours`) or a path to your own YAML file."),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on with the newest run that has not finished and can go on (or --run N); limits may be raised.",
        ),
    ] = False,
    run_id: Annotated[int | None, typer.Option("--run", help="Which run to resume.")] = None,
    report: Annotated[
        str | None, typer.Option(help="Where to write the HTML report. Default: beside the database.")
    ] = None,
    db: Db = DB,
    study: Study = None,
    quiet: Quiet = False,
    as_json: Json = False,
    **fields: Any,
) -> int:
    """Launch an investigation: explore, propose hypotheses, register them, test them on fresh prompts, report.

    Examples:

        lakatos run ioi

        lakatos run ioi --model gpt2 --proposer llm --llm-model gpt-5

        lakatos run my_behaviour.yaml --max-seconds 600

        lakatos run --resume
    """
    from lakatos.agent.cli import tables as cli_tables
    from lakatos.agent.run import investigate
    from lakatos.agent.run import resume as go_on
    from lakatos.agent.watch import RichWatcher, Silent
    from lakatos.experiments_db import open_store
    from lakatos.experiments_db.documents import documents
    from lakatos.experiments_db.report import write_report

    if resume == (behaviour is not None) or (run_id is not None and not resume):
        raise UserError("Name a behaviour to investigate (`lakatos run ioi`), or give --resume, and not both.")
    db = _path(db)
    watcher = Silent() if quiet else RichWatcher(_err())
    try:
        if resume:
            limits = _new_limits(fields)
            chosen = run_id if run_id is not None else _unfinished(_open(db, study))
            record = go_on(chosen, db=db, watcher=watcher, limits=limits)
        else:
            assert behaviour is not None
            record = investigate(behaviour, RunConfig.checked(fields), db=db, study=study, watcher=watcher)
    except Stop as stop:
        raise Stop(f"{stop}; nothing is lost: `{_to_resume(run_id, db, study)}` goes on") from stop
    except CheckFailed as failed:
        raise CheckFailed(f"{failed}. Nothing is lost: `{_to_resume(run_id, db, study)}` asks again.") from failed
    except KeyboardInterrupt:
        again = _to_resume(run_id, db, study)
        told = f"lakatos: killed. What was measured is in the log; `{again}` goes on."
        _err().print(told, markup=False, highlight=False)
        return 130
    finally:
        watcher.close()
    store = open_store(db, create=False, study=record.study)
    target = write_report(store, record.id, Path(report) if report else _report_path(db, record.id))
    if as_json:
        _print_json(documents.run_document(store, record.id) | {"database": db, "report": str(target)})
    else:
        cli_tables.print_run(_out(), store, record.id)
        where = "" if db == DB else f" --db {db}"
        _out().print(
            f"\nDatabase: {db}\nReport:   {target}\nSeal it:  lakatos seal{where}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    return 0


@app.command()
def runs(db: Db = DB, study: Study = None, as_json: Json = False) -> int:
    """List the investigations in a database: behaviour, model, proposer, status, spend."""
    from lakatos.agent.cli import tables as cli_tables
    from lakatos.experiments_db.documents import documents

    store = _open(db, study)
    if as_json:
        _print_json({"runs": documents.runs_document(store)})
    else:
        cli_tables.print_runs(_out(), store)
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

    store = _open(db, study, run_id)
    if as_json:
        _print_json(documents.log_document(store, run_id, state))
    else:
        cli_tables.print_log(_out(), store, run_id, state, refused)
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
    from lakatos.agent.cli import tables as cli_tables
    from lakatos.experiments_db.documents import documents

    store = _open(db, study)
    entry = store.hypothesis(hypothesis)
    if as_json:
        _print_json(documents.hypothesis_document(store, entry))
    else:
        cli_tables.print_hypothesis(_out(), store, entry, prompts)
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

    store = _open(db, study)
    document = documents.correction_document(store, method, alpha, family)
    if as_json:
        _print_json(document)
    else:
        cli_tables.print_correction(_out(), store, document, everything)
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

    store = _open(db, study, run_id)
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
        _out().print(str(path), markup=False, highlight=False, soft_wrap=True)
    return 0


@behaviours_app.callback()
def behaviours(context: typer.Context, as_json: Json = False) -> None:
    """List the built-in behaviours: the question each asks, and why it was selected."""
    from lakatos.agent.cli import behaviours as cli_behaviours
    from lakatos.agent.cli import tables as cli_tables

    if context.invoked_subcommand is not None:
        return
    listed = cli_behaviours.behaviours_document()
    if as_json:
        _print_json({"behaviours": listed})
    else:
        cli_tables.print_behaviours(_out(), listed)


@behaviours_app.command("check")
def check_behaviour(
    name: Annotated[str, typer.Argument(help="A built-in behaviour or a path to your own YAML file.")],
    model: Annotated[str, typer.Option(help=str(RunConfig.model_fields["model"].description))] = "smollm2-135m",
    device: Annotated[str, typer.Option(help="The torch device.")] = "cpu",
    pairs: Annotated[int, typer.Option(min=8, max=5000, help="Pairs to measure, of each split.")] = 64,
    seed: Annotated[int, typer.Option(help="Seed of the pairs that are measured.")] = 0,
    max_pairs: Annotated[
        int, typer.Option(min=16, help="Most confirmation pairs that a test of the run may use; as in `lakatos run`.")
    ] = RunConfig.model_fields["max_pairs"].default,
    as_json: Json = False,
) -> int:
    """Find all that a run of this behaviour on a model would fail on, and measure whether the model shows it.

    Exit 1 where there is a problem, or the model does not show the behaviour.
    """
    from lakatos.agent.cli import behaviours as cli_behaviours
    from lakatos.agent.cli import tables as cli_tables

    document = cli_behaviours.check_document(name, model, device, pairs, seed, max_pairs, _err().print)
    if as_json:
        _print_json(document)
    else:
        cli_tables.print_check(_out(), document)
    return 0 if document["ok"] else 1


@app.command()
def version() -> int:
    """Print the versions of lakatos and of what decides its numbers."""
    from lakatos.tools.environment import packages

    for name, found in packages().items():
        _out().print(f"{name} {found}", highlight=False)
    return 0


def _new_limits(fields: dict[str, Any]) -> dict[str, Any]:
    """The limits given beside --resume; anything else given there would be ignored, and is refused."""
    defaults = RunConfig().model_dump()
    given = {name: value for name, value in fields.items() if value != defaults[name]}
    others = [f"--{name.replace('_', '-')}" for name in given if name not in Limits.model_fields]
    if others:
        raise UserError(
            f"A resumed run keeps its settings: leave out {', '.join(others)}. Limits and the LLM's address can change."
        )
    return Limits.checked(given).model_dump(exclude_unset=True)


def _unfinished(store: Store) -> int:
    """The newest run that can go on."""
    from lakatos.experiments_db.log import resumable

    waiting = resumable(store)
    if not waiting:
        raise UserError("There is no run in this database that can go on; `lakatos runs` lists them all.")
    return waiting[-1]


def _to_resume(run_id: int | None, db: str, study: str | None) -> str:
    """The command that goes on with a run that has just stopped."""
    options = {"--run": run_id, "--db": db if db != DB else None, "--study": study}
    given = [f"{name} {shlex.quote(str(value))}" for name, value in options.items() if value is not None]
    return " ".join(["lakatos run --resume", *given])


def _report_path(db: str, run_id: int) -> Path:
    folder = Path(db.removeprefix("sqlite:///")).parent if "://" not in db or db.startswith("sqlite:///") else Path()
    return folder / f"{Path(db).stem if '://' not in db else 'lakatos'}-run-{run_id}.html"
