"""Confirmed claims as regression tests: `lakatos rerun`, `lakatos drift`, and the files of `lakatos export --tests`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lakatos.agent.cli.options import DB, Db, Json, Quiet, Study, err, open_log, out, print_json
from lakatos.tools.errors import UserError

if TYPE_CHECKING:
    from lakatos.experiments_db import Store
    from lakatos.experiments_db.log import Entry
    from lakatos.experiments_db.regression import Outcome

app = typer.Typer()

ConfirmedClaims = Annotated[
    list[str] | None, typer.Argument(help="Hypotheses' numbers, or the beginnings of their claim hashes.")
]
OtherModel = Annotated[
    str | None, typer.Option(help="Another model, as in `lakatos run`. Default: the one it was confirmed on.")
]
Alpha = Annotated[
    float | None, typer.Option(min=1e-9, max=0.5, help="How often a true claim may fail by chance. Default: .001.")
]
MaxPairs = Annotated[
    int | None,
    typer.Option(min=16, help="Most prompt pairs per claim. Default: as planned, at most 4,096; less decides less."),
]


@app.command()
def rerun(
    hypotheses: ConfirmedClaims = None,
    everything: Annotated[bool, typer.Option("--all", help="Every confirmed claim that nobody has retracted.")] = False,
    model: OtherModel = None,
    device: Annotated[str, typer.Option(help="The torch device.")] = "cpu",
    alpha: Alpha = None,
    max_pairs: MaxPairs = None,
    seed: Annotated[int | None, typer.Option(help="Of the prompts, to repeat a re-run. Default: random.")] = None,
    db: Db = DB,
    study: Study = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> int:
    """Test confirmed claims again on fresh prompts, and append what came of it. Exit 1: one failed; 2: one cannot run.

    A claim as true as when it was confirmed fails in at most 1 of 1,000 runs. One that lost half of its effect fails
    with probability .99, unless --max-pairs is too small for that; what cannot be decided is called undecided. Claims
    of the same model and behaviour are tested on the same prompts.
    """
    from rich.progress import Progress

    from lakatos.experiments_db.regression import file_of, rerun_all

    if everything == bool(hypotheses):
        raise UserError("Say which claim to test again (`lakatos rerun 3fa9c1d2`), or all of them (--all).")
    store = open_log(db, study)
    asked: list[str] | list[None] = hypotheses or [None]
    entries = list({entry.id: entry for one in asked for entry in _chosen(store, one)}.values())
    given = {"model": model, "alpha": alpha, "max-pairs": max_pairs, "db": None if db == DB else db, "study": study}
    told = _Told(store, entries, given, as_json)
    with Progress(console=err(), transient=True, disable=quiet) as bars:
        task = bars.add_task(f"{len(entries)} claims" if len(entries) > 1 else _plain(entries[0].text), total=None)
        try:
            rerun_all(
                [file_of(store, entry) for entry in entries],
                model,
                device=device,
                alpha=alpha,
                max_pairs=max_pairs,
                seed=seed,
                progress=lambda done, of: bars.update(task, completed=done, total=of),
                report=told,
            )
        except KeyboardInterrupt:
            err().print(
                f"lakatos: killed. {len(told.found)} of {len(entries)} re-runs are in the log.", highlight=False
            )
            raise typer.Abort from None
    return _concluded(told.found, told.problems, len(entries), as_json)


class _Told:
    """What came of the claims so far; called with each, it appends it to the log and prints it."""

    def __init__(self, store: Store, entries: list[Entry], options: dict[str, Any], as_json: bool) -> None:
        self.found: list[dict[str, Any]] = []
        self.problems: list[dict[str, Any]] = []
        self._store, self._entries, self._options, self._as_json = store, entries, options, as_json

    def __call__(self, place: int, outcome: Outcome | Exception) -> None:
        """Of several claims, one that cannot be run is a problem beside the others' outcomes."""
        from lakatos.experiments_db.regression import append_rerun

        entry = self._entries[place]
        if isinstance(outcome, Exception):
            if len(self._entries) == 1:
                raise outcome
            said = str(outcome) if isinstance(outcome, UserError) else f"{type(outcome).__name__}: {outcome}"
            self.problems.append({"hypothesis": entry.id, "claim_hash": entry.claim_hash, "problem": said})
            return
        self.found.append(_line(append_rerun(self._store, entry.id, outcome), entry, outcome))
        if not self._as_json:
            _print_outcome(outcome, {"seed": outcome.seed, **self._options})


def _concluded(found: list[dict[str, Any]], problems: list[dict[str, Any]], of: int, as_json: bool) -> int:
    """Print how many claims held; the exit status. Raises UserError where some could not be run."""
    counts = {name: sum(line["outcome"] == name for line in found) for name in ("held", "failed", "undecided")}
    if as_json:
        print_json({"counts": counts, "reruns": found, "problems": problems})
    else:
        out().print(", ".join(f"{n} {name}" for name, n in counts.items()), highlight=False)
    if problems:
        listed = "\n".join(f"- hypothesis {problem['hypothesis']}: {problem['problem']}" for problem in problems)
        raise UserError(f"{len(problems)} of {of} claims could not be run again:\n{listed}")
    return 1 if counts["failed"] else 0


def _print_outcome(outcome: Any, options: dict[str, Any]) -> None:
    """A failure at length, with the command that repeats it; anything else in two lines."""
    from lakatos.experiments_db.regression import report

    told = [f"--{name} {shlex.quote(str(value))}" for name, value in options.items() if value is not None]
    again = f"lakatos rerun {' '.join(member[7:15] for member in outcome.members)} {' '.join(told)}"
    text = report(outcome, again) if outcome.outcome == "failed" else _short(outcome)
    out().print(text, markup=False, highlight=False, soft_wrap=True)


@app.command()
def drift(
    hypothesis: Annotated[
        str | None, typer.Argument(help="A number, or the beginning of a claim hash. Default: every confirmed claim.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw it too: an SVG file.")] = None,
    db: Db = DB,
    study: Study = None,
    as_json: Json = False,
) -> int:
    """A claim over its re-runs: models, weights, versions, effect and outcome; the confirmation is the first row."""
    from lakatos.agent.cli.tables import escape, table
    from lakatos.experiments_db.regression import drift_document
    from lakatos.experiments_db.report import write_drift

    store = open_log(db, study)
    histories = drift_document(store, _chosen(store, hypothesis))
    if plot is not None:
        write_drift(histories, plot)
    if as_json:
        print_json({"claims": histories})
        return 0
    for history in histories:
        of, unit = ("fraction", "of gap") if history["gap"] else ("effect", history["unit"])
        low, high = ("fraction_low", "fraction_high") if history["gap"] else ("low", "high")
        show = "{:+.1%}".format if history["gap"] else "{:+.3g}".format
        out().print(f"\n{history['id']}  {history['text']}", markup=False, highlight=False)
        rows = table("time (UTC)", "model", "weights", "versions", "n", f"{unit} [95 %]", "outcome", right=(4,))
        for row in history["rows"]:
            differs = ", ".join(f"{name} {version}" for name, version in row["differs"].items())
            rows.add_row(
                row["at"][:16].replace("T", " "),
                escape(row["model"]),
                row["weights"][7:15] + ("" if row["same_weights"] else " (other)"),
                escape(differs or "as confirmed"),
                str(row["n"]),
                escape(f"{show(row[of])} [{show(row[low])}, {show(row[high])}]"),
                row["outcome"],
            )
        out().print(rows)
    return 0


def write_tests(store: Store, folder: Path, accepted_only: bool) -> list[Path]:
    """The part of `lakatos export` that writes confirmed claims as tests."""
    from lakatos.experiments_db.report import files as export

    written = export.write_tests(store, folder, accepted_only)
    if not written:
        which = "confirmed and accepted by reviewers" if accepted_only else "confirmed"
        raise UserError(f"No claim here is {which}, so there is nothing to test again. `lakatos log` lists all.")
    for path in _left_over(store, folder, written):
        err().print(
            f"{path} is of a claim of this log that is exported no more (retracted, or not accepted): "
            "delete it, or pytest goes on testing it.",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    return written


def _left_over(store: Store, folder: Path, written: list[Path]) -> list[Path]:
    """Files of this log's claims in the folder that were not written now, by the hash in their names."""
    from lakatos.experiments_db.regression import SUFFIX

    others = sorted(set(folder.expanduser().glob(f"*{SUFFIX}")) - {path.expanduser() for path in written})
    begins = {path: path.name.removesuffix(SUFFIX).rpartition("-")[2] for path in others}
    return [path for path, digits in begins.items() if len(digits) == 8 and store.with_hash(digits)]


def _chosen(store: Store, hypothesis: str | None) -> list[Entry]:
    from lakatos.experiments_db.regression import regressions

    chosen = regressions(store) if hypothesis is None else [store.hypothesis(hypothesis)]
    if not chosen:
        raise UserError("Nothing is confirmed here, so there is nothing to test again. `lakatos log` lists all.")
    return chosen


def _line(row: Any, entry: Entry, outcome: Any) -> dict[str, Any]:
    return {
        "id": row.id,
        "hypothesis": entry.id,
        "claim_hash": entry.claim_hash,
        "text": entry.text,
        "outcome": row.outcome,
        "n": row.n,
        "model": row.model,
        "weights": row.weights,
        "same_weights": outcome.same_weights,
        "seed": row.seed,
        "exhausted": outcome.exhausted,
        "tolerance": row.record["tolerance"],
        "lines": row.record["lines"],
        "templates": [template._asdict() for template in outcome.templates],
        "forwards": row.forwards,
        "seconds": row.seconds,
    }


def _short(outcome: Any) -> str:
    from lakatos.experiments_db.regression import headline, reason

    why = reason(outcome, "--max-pairs")
    return f"{outcome.hypothesis.title}: {headline(outcome)}\n  {why}"


def _plain(text: str) -> str:
    return text.replace("[", "(").replace("]", ")")
