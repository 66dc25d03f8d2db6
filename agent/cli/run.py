"""The command that launches an investigation, or goes on with one."""

from __future__ import annotations

import inspect
import shlex
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lakatos.agent.cli.approving import at_the_terminal
from lakatos.agent.cli.arms import compare_arms
from lakatos.agent.cli.options import DB, Db, Json, Quiet, Study, database_path, err, open_log, out, print_json
from lakatos.agent.config import Limits, RunConfig
from lakatos.tools.errors import CheckFailed, Stop, UserError

if TYPE_CHECKING:
    from lakatos.agent.run.investigation import Investigation
    from lakatos.experiments_db import Store

app = typer.Typer()

BehaviourName = Annotated[
    str | None,
    typer.Argument(help="A built-in behaviour (see `lakatos behaviours`) or a path to your own YAML file."),
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Go on with the newest run that has not finished and can go on (or --run N); limits may be raised.",
    ),
]
Report = Annotated[str | None, typer.Option(help="Where to write the HTML report. Default: beside the database.")]


def options_of(
    config: type[Limits], without: Collection[str] = ()
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command one option per field of `config`, but for some, with the field's description as its help."""

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
            if name not in without
        ]
        plain = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own if p.kind is not p.VAR_KEYWORD]
        parameters = plain[:1] + fields + plain[1:]
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # typer reads it
        command.__annotations__ = {p.name: p.annotation for p in parameters}
        return command

    return decorate


@app.command()
@options_of(RunConfig)
def run(
    behaviour: BehaviourName = None,
    resume: Resume = False,
    run_id: Annotated[int | None, typer.Option("--run", help="Which run to resume.")] = None,
    report: Report = None,
    arms: Annotated[
        str | None,
        typer.Option(
            help="Compare ways to propose, separated by commas, each in a study of its own: llm, form, one-shot, "
            "no-tools, drill, attribution, random, llm-without:effects, llm-rows:30, file:claims.yaml."
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, max=1000, help="With --arms: how many seeds each arm runs with.")] = 3,
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

        lakatos run ioi --arms drill,attribution,random --seeds 5 --max-forwards 20000
    """
    from lakatos.experiments_db import open_store
    from lakatos.experiments_db.report import write_report

    if resume == (behaviour is not None) or (run_id is not None and not resume):
        raise UserError("Name a behaviour to investigate (`lakatos run ioi`), or give --resume, and not both.")
    db = database_path(db)
    if arms is not None:
        return compare_arms(behaviour, arms, seeds, fields, db, quiet=quiet, as_json=as_json)
    found = _found(behaviour, run_id, fields, db, study, quiet=quiet)
    if found is None:
        return 130
    store = open_store(db, create=False, study=found.run.study)
    target = write_report(store, found.run.id, Path(report) if report else _report_path(db, found.run.id))
    _print_finished(store, found, db, target, as_json)
    return 0


def _found(
    behaviour: str | None, run_id: int | None, fields: dict[str, Any], db: str, study: str | None, *, quiet: bool
) -> Investigation | None:
    """What a run comes to: of a behaviour; or, without one, a run that goes on. None: Ctrl-C has killed it."""
    from lakatos.agent.run import investigate, resume
    from lakatos.agent.watch import RichWatcher, Silent

    watcher = Silent() if quiet else RichWatcher(err())
    approver = at_the_terminal(err(), watcher.asked) if sys.stdin.isatty() else None
    try:
        if behaviour is not None:
            config = RunConfig.checked(fields)
            return investigate(behaviour, config, db=db, study=study, watcher=watcher, approver=approver)
        limits = _new_limits(fields)
        chosen = run_id if run_id is not None else _unfinished(open_log(db, study))
        return resume(chosen, db=db, watcher=watcher, limits=limits, approver=approver)
    except Stop as stop:
        raise Stop(f"{stop}; nothing is lost: `{_to_resume(run_id, db, study)}` goes on") from stop
    except CheckFailed as failed:
        raise CheckFailed(f"{failed}. Nothing is lost: `{_to_resume(run_id, db, study)}` asks again.") from failed
    except KeyboardInterrupt:
        again = _to_resume(run_id, db, study)
        told = f"lakatos: killed. What was measured is in the log; `{again}` goes on."
        err().print(told, markup=False, highlight=False)
        return None
    finally:
        watcher.close()


def _print_finished(store: Store, found: Investigation, db: str, report: Path, as_json: bool) -> None:
    """What came of a run, and where it is written."""
    from lakatos.agent.cli import tables as cli_tables
    from lakatos.agent.cli.mechanism_tables import print_sentences
    from lakatos.experiments_db.documents import run_document

    if as_json:
        more = {"mechanism": found.document(), "database": db, "report": str(report)}
        print_json(run_document(store, found.run.id).as_dict() | more)
        return
    cli_tables.print_run(out(), store, found.run.id)
    out().print()
    print_sentences(out(), found)
    where = "" if db == DB else f" --db {db}"
    out().print(
        f"\nDatabase: {db}\nReport:   {report}\nSeal it:  lakatos seal{where}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


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
