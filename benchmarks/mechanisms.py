"""What `drill` finds of five behaviours of SmolLM2-135M: writes docs/mechanisms.md and a picture of each.

    python benchmarks/mechanisms.py [--db mechanisms.db] [--behaviours ioi,induction,...]

Each behaviour is a run in a study of its own (`lakatos run NAME --study NAME-1 --seed 1`); ioi is run with seed 2 too,
and both mechanisms are compared. Runs that the database has already are not repeated: an interrupted command goes on.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from lakatos.agent import RunConfig, investigate, resume
from lakatos.agent.watch import RichWatcher
from lakatos.experiments_db import open_store
from lakatos.experiments_db.log import resumable
from lakatos.experiments_db.mechanism import Mechanism, run_mechanism
from lakatos.experiments_db.report import standalone_svg
from lakatos.experiments_db.store import Store
from lakatos.tools.component import Component

DOCS = Path(__file__).resolve().parent.parent / "docs"
BEHAVIOURS = ("ioi", "induction", "greater_than", "capital_of", "subject_verb")
COLUMNS = ("behaviour", "tested", "confirmed", "nodes", "paths", "roles", "backups", "circuits")
MORE = ("explained", "ablated", "forwards", "seconds")
HEAD = f"""# What `drill` finds

Written by `python benchmarks/mechanisms.py`: SmolLM2-135M, one run each of `lakatos run NAME --seed 1` in a study of
its own. Sentences and pictures are those of `lakatos mechanism`; numbers in brackets are claims of the run. Confirmed
means confirmed on fresh prompts, under error control over everything that was tried in the study
([evidence.md](evidence.md)); [drill.md](drill.md) has the rule. "explained" is the share of the gap that all confirmed
nodes restore when they are patched together, "ablated" what their ablation costs. Where the first MLP at the token
that differs is among them, a share near 100 % says that the difference enters there, and not that all is understood.

| {" | ".join(COLUMNS + MORE)} |
|{"---|" * len(COLUMNS + MORE)}
"""


def main() -> None:
    """Run what is not there yet, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--db", default="mechanisms.db")
    parser.add_argument("--behaviours", default=",".join(BEHAVIOURS))
    asked = parser.parse_args()
    names = asked.behaviours.split(",")
    stores = {name: _run(asked.db, name, 1) for name in names}
    pages = {name: run_mechanism(store, store.run_ids()[0]) for name, store in stores.items()}
    text = HEAD + "".join(_row(pages[name], store) for name, store in stores.items())
    for name, store in stores.items():
        picture = DOCS / f"mechanism-{name}.svg"
        picture.write_text(standalone_svg(pages[name]))
        text += "\n" + "\n".join(_section(pages[name], store, picture.name))
    if "ioi" in names:
        again = _run(asked.db, "ioi", 2)
        text += "\n" + "\n".join(_compared(pages["ioi"], run_mechanism(again, again.run_ids()[0])))
    (DOCS / "mechanisms.md").write_text(text)
    print(f"wrote {DOCS / 'mechanisms.md'}")


def _run(db: str, behaviour: str, seed: int) -> Store:
    """The study of a finished run, which is made or gone on with where it is not there."""
    study, watcher = f"{behaviour}-{seed}", RichWatcher(console())
    try:
        known = open_store(db, study=study)
        if not known.run_ids():
            investigate(behaviour, RunConfig(seed=seed), db=db, study=study, watcher=watcher)
        elif waiting := resumable(known):
            resume(waiting[-1], db=db, watcher=watcher)
    finally:
        watcher.close()
    return open_store(db, study=study, create=False)


def console() -> object:
    """Where progress is shown."""
    from rich.console import Console

    return Console(file=sys.stderr)


def _row(found: Mechanism, store: Store) -> str:
    run, told = store.run(found.runs[0]), found.explained
    parts = (found.nodes, found.paths, found.looks, found.backups, found.circuits)
    shares = [
        f"{share.mean:.0%} [{share.low:.0%}, {share.high:.0%}]"
        for share in ((told.restored, told.lost) if told else ())
    ]
    cells = [found.behaviour, found.tested, found.confirmed, *map(len, parts), *(shares or ["-", "-"])]
    cells += [f"{run.forwards:,.0f}", f"{run.seconds:,.0f}"]
    return f"| {' | '.join(map(str, cells))} |\n"


def _section(found: Mechanism, store: Store, picture: str) -> Iterator[str]:
    yield f"## {found.behaviour}\n"
    yield f"{found.question}\n"
    yield f"![the mechanism of {found.behaviour}]({picture})\n"
    yield from (f"* {sentence}" for sentence in found.sentences)
    yield "\n| stage of the search | proposed | passed, beyond the budget |\n|---|---|---|"
    for stage in store.stages(found.runs[0]):
        yield f"| {stage['stage']} | {len(stage['proposals'])} | {len(stage['left'])} |"
    yield "\n| claim | verdict | effect, of the gap | e-value | pairs |\n|---|---|---|---|---|"
    for line in found.lines:
        fraction = "-" if line["fraction"] is None else f"{line['fraction']:+.0%}"
        text = (
            line["text"]
            if len(line["text"]) < 160
            else f"{line['text'][:120]}... ({len(line['components'])} components)"
        )
        yield f"| {line['id']}: {text} | {line['state']} | {fraction} | {line['e']:.3g} | {line['n']} |"
    yield ""


def _compared(first: Mechanism, second: Mechanism) -> Iterator[str]:
    """Two seeds of one behaviour: what both confirm."""
    yield "## ioi, with two seeds\n"
    atoms = [{Component.parse(node.component).atom() for node in found.nodes} for found in (first, second)]
    both, either = atoms[0] & atoms[1], atoms[0] | atoms[1]
    index = len(both) / len(either) if either else 1.0
    yield (
        f"Seed 1 confirms {', '.join(sorted(atoms[0]))}; seed 2 {', '.join(sorted(atoms[1]))}. "
        f"They share {len(both)} of {len(either)}: a Jaccard index of {index:.2f}.\n"
    )
    yield "In words, seed 2:\n"
    yield from (f"* {sentence}" for sentence in second.sentences)
    yield ""


if __name__ == "__main__":
    main()
