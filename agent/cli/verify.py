"""`lakatos verify` and `lakatos seal`: does the log tell the truth, and what would show it if it did not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import Progress

from lakatos.agent.cli.options import DB, Db, Json, Study, database_path, err, open_log, out, print_json
from lakatos.tools.errors import UserError

if TYPE_CHECKING:
    from lakatos.experiments_db import Store
    from lakatos.experiments_db.audit import Remeasured

app = typer.Typer()


@app.command()
def verify(
    head: Annotated[
        str | None, typer.Option(help="A ledger head that an earlier verify printed: it must still be in the chain.")
    ] = None,
    seal: Annotated[
        Path | None, typer.Option(help="A file of seals (see `lakatos seal`): the log must still be what it was then.")
    ] = None,
    remeasure: Annotated[
        str | None,
        typer.Option(
            metavar="5%|N|all",
            help="Draw so many stored prompts at random, and at least 4 of every confirmed claim, run the model on "
            "them again, and compare.",
        ),
    ] = None,
    audit_seed: Annotated[
        str | None, typer.Option(help="Seed of that draw, for doing it again. Default: a random one, which is printed.")
    ] = None,
    hypothesis: Annotated[
        str | None, typer.Option(help="Measure prompts of this one alone: its number, or the beginning of its hash.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Where the weights are, if not where the log says: a folder, a Hugging Face id.")
    ] = None,
    device: Annotated[str, typer.Option(help="The torch device to measure on.")] = "cpu",
    db: Db = DB,
    study: Study = None,
    as_json: Json = False,
) -> int:
    """Re-derive every hash, seed, prompt, e-value and verdict from rows. Exit 1, naming the row that lies.

    Examples:

        lakatos verify --seal lakatos.db.seal

        lakatos verify --remeasure 5%

        lakatos verify --remeasure all --hypothesis 7b4e2b92
    """
    if remeasure is None and (audit_seed, hypothesis, model, device) != (None, None, None, "cpu"):
        raise UserError(
            "--audit-seed, --hypothesis, --model and --device belong to --remeasure: say how many, e.g. 5%."
        )
    from lakatos.experiments_db.log import Reader, Unreadable, broken_seals, ledger_hash, open_engine, read_seals
    from lakatos.experiments_db.verify import verify as verify_log

    asked = None if head is None else ledger_hash(head)
    seals = [] if seal is None else read_seals(seal)
    engine = open_engine(database_path(db), create=False)
    try:
        store: Store | None = open_log(db, study)
    except Unreadable:  # that is what is to be told
        store = None
    with Progress(console=err(), transient=True) as bars:
        task = bars.add_task("verifying", total=None)
        lies = verify_log(engine, lambda done, of: bars.update(task, completed=done, total=of))
    ledger = store if store and not any(lie.startswith("table ledger") for lie in lies) else None
    if asked is not None and not (ledger and ledger.holds(asked)):
        lies.append(f"ledger: does not hold {asked}: it was cut short, put back to an earlier copy, or rewritten")
    if seals:
        try:
            lies += broken_seals(Reader(engine), seals)
        except Unreadable as error:
            lies.append(f"ledger: cannot be held against its seals: {error}")
    found = None
    if remeasure is not None and store is not None:
        try:
            found = _remeasure(store, remeasure, audit_seed, hypothesis, model, device)
            lies += found.problems
        except UserError as error:
            if not lies:
                raise
            lies.append(str(error))
    if as_json:
        _print_document(lies, ledger, found)
    else:
        _print(lies, store, len(seals), found)
    return 1 if lies else 2 if found and found.missing else 0


@app.command()
def seal(
    file: Annotated[
        Path | None, typer.Option(help="The file that gets the line. Default: beside the database, with .seal added.")
    ] = None,
    db: Db = DB,
    as_json: Json = False,
) -> int:
    """Append the ledger's head, counts and time to a file, for a place that the log's writer cannot change.

    Commit the file, or send the line to somebody. `lakatos verify --seal FILE` then finds whatever of the log was
    changed, added or taken away before it, even where every hash was computed anew.
    """
    from lakatos.experiments_db.log import Reader, append_seal, make_seal, open_engine, seal_file

    path = database_path(db)
    target = seal_file(path) if file is None else file.expanduser()
    made = make_seal(Reader(open_engine(path, create=False)))
    append_seal(target, made)
    if as_json:
        print_json(made.model_dump(mode="json") | {"file": str(target)})
    else:
        rows = ", ".join(f"{n} {table.replace('_', ' ')}" for table, n in made.rows.items() if n)
        out().print(
            f"sealed {made.sealed_at.isoformat(timespec='seconds')}: {made.entries} ledger entries ({rows})\n"
            f"ledger head {made.head}\n"
            f"appended to {target}: commit it, or keep it where whoever writes the log cannot change it",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    return 0


def _remeasure(
    store: Store, how_many: str, seed: str | None, hypothesis: str | None, model: str | None, device: str
) -> Remeasured:
    from lakatos.experiments_db.audit.remeasure import remeasure

    with Progress(console=err(), transient=True) as bars:
        task = bars.add_task("measuring again", total=None)
        return remeasure(
            store,
            how_many,
            seed=seed,
            hypothesis=hypothesis,
            model=model,
            device=device,
            progress=lambda done, of: bars.update(task, completed=done, total=of),
        )


def _print_document(lies: list[str], ledger: Store | None, found: Remeasured | None) -> None:
    document: dict[str, Any] = {
        "ok": not lies,
        "problems": lies,
        "ledger_head": ledger.ledger_head() if ledger else None,
    }
    if found is not None:
        from lakatos.experiments_db.audit import document as audit

        document["remeasured"] = audit(found)
    print_json(document)


def _print(lies: list[str], store: Store | None, seals: int, found: Remeasured | None) -> None:
    def say(text: str) -> None:
        out().print(text, markup=False, highlight=False, soft_wrap=True)

    for lie in lies:
        say(lie)
    if not lies and store is not None:
        say(f"ok: {len(store.slots())} hypotheses, their prompts, e-values and verdicts follow from their rows.")
        if seals:
            say(f"ok: the log is what {seals} seal{'s' if seals > 1 else ''} say{'' if seals > 1 else 's'} it was.")
    if found is not None:
        _print_audit(say, found)
    if not lies and store is not None:
        say(f"ledger head {store.ledger_head()}")


def _print_audit(say: Any, found: Remeasured) -> None:
    from lakatos.experiments_db.audit import SURE

    wrong = len(found.problems)
    result = f"{wrong} problem{'s' if wrong > 1 else ''}" if wrong else "none differs"
    say(f"measured again: {found.measured:,} of {found.stored:,} stored prompts (audit seed {found.seed}): {result}.")
    if found.confirmed:
        least = min(found.confirmed.values())
        say(f"of every confirmed claim ({len(found.confirmed)}): at least {least} prompts.")
    for name, why in found.missing.items():
        say(f"not measured: the prompts of runs on {name}: {why}")
    if not found.missing:
        share = found.detectable / found.stored
        say(
            f"had {found.detectable:,} prompts or more ({share:.1%}) been forged, this draw would have met one with a "
            f"probability of {SURE:.0%}."
        )
