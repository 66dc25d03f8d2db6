"""Every lie that was tried on a finished log, and what finds it: writes docs/lies.md.

    python benchmarks/lies.py [--out docs/lies.md]      (about 5 minutes)

The log is a small one with a row in every table, which is made first (`tests/full_log.py`); the lies are those of
`tests/lies.py` and of `tests/forging.py`. Each is told to a copy, behind the guards' back or through the log's own
functions, and then asked for in four ways.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"  # as the tests have it: the same small model
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from forging import forge, forge_at_the_front_door
from full_log import write_full_log
from lies import LIES
from tampering import copied, rechain, tell
from toy import write_toy_behaviours, write_trained_model

from lakatos.agent import RunConfig, investigate
from lakatos.experiments_db import Store, open_store
from lakatos.experiments_db.audit.remeasure import remeasure
from lakatos.experiments_db.log import Entry, add_review, broken_seals, make_seal
from lakatos.experiments_db.regression import append_rerun, file_of, rerun
from lakatos.tools.behaviour import Behaviour
from lakatos.tools.errors import Stop
from lakatos.tools.evidence import crashed
from lakatos.tools.experiment import running as experiment
from lakatos.tools.model import LoadedModel, load_model

YES, NO, UNDONE = "found", "-", "undone"


class Found(NamedTuple):
    """A lie, and which of the four ways finds it."""

    table: str
    name: str
    bare: str  # as it is told
    rechained: str  # after every digest, the chain and all ids were computed anew
    sealed: str  # the same, with a seal of the honest log
    measured: str  # the same, with `--remeasure all`

    @property
    def by_nothing(self) -> bool:
        """Whether it passes once everything is computed anew."""
        return not {YES, UNDONE} & {self.rechained, self.sealed, self.measured}


class Laboratory:
    """A honest log, its model, and copies of it to lie in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.behaviour = str(write_toy_behaviours(folder / "behaviours"))
        self.model_folder = str(write_trained_model(folder / "model"))
        self.model: LoadedModel = load_model(self.model_folder)
        self.honest = folder / "honest.db"
        write_full_log(str(self.honest), self.behaviour, self.model_folder)
        self._copies = 0

    def copy(self) -> Path:
        """The honest log once more."""
        self._copies += 1
        target: Path = copied(self.honest, self.folder / f"copy-{self._copies}.db")
        return target

    def measured(self, db: Path) -> str:
        """Whether measuring every prompt again finds anything."""
        return YES if remeasure(open_store(str(db)), "all", load=lambda _: self.model).problems else NO

    def told(self, table: str, name: str, *sql: str) -> Found:
        """A lie told with SQL, then with everything computed anew."""
        db = self.copy()
        seal = make_seal(open_store(str(db)))
        tell(db, *sql)
        bare = YES if open_store(str(db)).verify() else NO
        rechained = YES if rechain(db, renumber=True) else NO
        if rechained == YES:
            return Found(table, name, bare, YES, YES if broken_seals(open_store(str(db)), [seal]) else NO, "")
        sealed = YES if broken_seals(open_store(str(db)), [seal]) else UNDONE
        return Found(table, name, bare, rechained, sealed, self.measured(db))

    def done(self, table: str, name: str, do: Callable[[Path], object], before: bool = True) -> Found:
        """A lie told through the log's own functions, or so that everything follows from it.

        Args:
            before: whether the log had been sealed when it was told; such rows are then honest additions to it.
        """
        db = self.copy()
        seal = make_seal(open_store(str(db)))
        do(db)
        store = open_store(str(db))
        verified = YES if store.verify() else NO
        sealed = (YES if broken_seals(store, [seal]) else NO) if before else ""
        return Found(table, name, "", verified, sealed, self.measured(db))

    # -- lies that are told through the log's own functions ------------------------------------------------------------

    def forge_a_claim(self, db: Path) -> None:
        """Numbers of a failed claim bent, and everything that follows from them computed anew."""
        entries = open_store(str(db)).hypotheses()
        failed = (e for e in entries if e.state == "inconclusive" and not e.crashed and e.claim.kind == "node_effect")
        forge(db, next(failed).id)

    def invent_numbers(self, db: Path) -> None:
        """A claim registered by the book; its prompts are the right ones, its numbers invented."""
        store, entry = self._pending(db)
        run = store.run_row(entry.run_id)
        behaviour = Behaviour.model_validate(run.behaviour_definition)
        controls = [Behaviour.model_validate(c) for c in run.controls.values()]
        forge_at_the_front_door(store, run, entry, behaviour, controls, self.model.tokenizer)

    def invent_a_crash(self, db: Path) -> None:
        """A claim that its author would rather not see tested."""
        store, entry = self._pending(db)
        store.freeze(entry.id, crashed("RuntimeError: out of memory", n=0))

    def invent_a_rerun(self, db: Path) -> None:
        """A re-run whose prompts are the right ones and whose numbers nobody measured."""
        store = open_store(str(db))
        confirmed = next(e for e in store.hypotheses() if e.state == "confirmed")
        honest = experiment.measure_together

        def invented(*args: Any) -> Any:
            found = honest(*args)
            return found._replace(values=[{k: column + 0.3 for k, column in own.items()} for own in found.values])

        with mock.patch.object(experiment, "measure_together", invented):
            outcome = rerun(file_of(store, confirmed), self.model, seed=3)
        append_rerun(store, confirmed.id, outcome)

    def review_for_another(self, db: Path) -> None:
        """Names of reviewers are taken as given."""
        add_review(open_store(str(db)), 1, author="Ada Lovelace", decision="accept", reason="I never said so")

    def begin_again(self, db: Path) -> None:
        """Another honest run in place of the one that did not please."""
        db.unlink()
        for rest in ("-wal", "-shm"):
            with suppress(FileNotFoundError):
                Path(f"{db}{rest}").unlink()
        investigate(self.behaviour, self._config(), db=str(db))

    def _config(self, **more: object) -> RunConfig:
        return RunConfig.model_validate({"model": self.model_folder, "hypotheses": 6, "attribution_pairs": 4, **more})

    def _pending(self, db: Path) -> tuple[Store, Entry]:
        with suppress(Stop):
            investigate(self.behaviour, self._config(max_tests=1, threshold=0.15), db=str(db))
        store = open_store(str(db))
        waiting = [e for e in store.hypotheses() if e.evidence is None and e.claim.kind == "node_effect"]
        return store, waiting[0]


def table_of(found: list[Found]) -> str:
    """The page."""
    silent = [f.name for f in found if f.by_nothing]
    rows = "\n".join(f"| {' | '.join(f)} |" for f in found)
    counts = {
        "as they are told": sum(f.bare == YES for f in found),
        "after everything was computed anew": sum(f.rechained == YES for f in found),
    }
    total = sum(bool(f.bare) for f in found)
    return f"""# Lies, and what finds them

Written by `python benchmarks/lies.py`, which tells each of these {len(found)} lies to a copy of a finished log and asks
for it in four ways. Do not edit it.

* **bare**: rows are changed behind the guards' back, and `lakatos verify` is asked:
  {counts["as they are told"]} of {total} are found.
* **computed anew**: the liar also computes every digest, the whole chain and every id anew, with our own functions:
  {counts["after everything was computed anew"]} of {len(found)} are found, since what rows say contradicts other rows.
* **seal**: the same, and `lakatos verify --seal FILE` has a seal of the log before the lie. *Undone*: computing
  everything anew takes the lie back. Empty: a seal of before says nothing of what is appended later.
* **measured again**: the same, and `lakatos verify --remeasure all`. Empty: found already, not asked.

Found by none of them: {"; ".join(silent) or "nothing"}. Where there
is no seal of before, what the column *seal* alone finds is not found either.

| where | lie | bare | computed anew | seal | measured again |
|---|---|---|---|---|---|
{rows}
"""


def main() -> int:
    """Tell every lie and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/lies.md"))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lab = Laboratory(Path(folder))
        found = []
        for number, lie in enumerate(LIES, 1):
            print(f"\r{number} of {len(LIES)}: {lie.name:<80.80}", end="", file=sys.stderr, flush=True)
            found.append(lab.told(lie.table, lie.name, *lie.told))
        print(file=sys.stderr)
        own = "the log's own functions"
        found += [
            lab.done(
                "forged consistently", "a failed claim's numbers were bent until it is confirmed", lab.forge_a_claim
            ),
            lab.done("forged consistently", "the log was begun again, and the first one never was", lab.begin_again),
            lab.done(own, "a claim's numbers were invented for the right prompts", lab.invent_numbers, before=False),
            lab.done(own, "a test that was never run crashed", lab.invent_a_crash, before=False),
            lab.done(own, "a re-run's numbers were invented", lab.invent_a_rerun, before=False),
            lab.done(own, "a review was signed with another's name", lab.review_for_another, before=False),
        ]
    asked.out.write_text(table_of(found))
    print(f"{asked.out}: {len(found)} lies; found by nothing: {[f.name for f in found if f.by_nothing]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
