"""What the product promises, run on the real model; each part prints its figures and fails loudly.

    python benchmarks/acceptance.py null         random weights: nothing may be confirmed but that there is no effect
    python benchmarks/acceptance.py behaviours   the other behaviours end with a report
    python benchmarks/acceptance.py seed         one seed twice gives one story; a random proposer too
    python benchmarks/acceptance.py kill         kill -9 at ten moments, resumed: an undisturbed run's story
    python benchmarks/acceptance.py claims DB    plain pytest in a project with `tools` and `agent` of its own: what was
                                                 confirmed of SmolLM2 holds, fails on random weights, and fails
                                                 where its head is ablated
    python benchmarks/acceptance.py tamper DB    one stored effect altered with raw SQL: verify names its row

Everything is written to a temporary folder that is printed first. About 40 minutes for all on two cores.
`make accept` also runs the tests marked `accept`: kill -9 at fifty moments among them.
"""

from __future__ import annotations

import json
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from lakatos.experiments_db import open_store
from lakatos.tools.behaviour import builtin_behaviours

LAKATOS = Path(sys.executable).with_name("lakatos")
BEHAVIOURS = tuple(name for name in builtin_behaviours() if name not in ("ioi", "plain_text"))
SMALL = ["--seed", "7", "--hypotheses", "4", "--attribution-pairs", "4", "--max-pairs", "64"]


def run(*args: str) -> dict[str, Any]:
    """A `lakatos run`, as a user types it; its JSON document."""
    began = time.monotonic()
    done = subprocess.run([LAKATOS, "run", *args, "--quiet", "--json"], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"lakatos run {' '.join(args)} exited with {done.returncode}:\n{done.stderr}")
    document: dict[str, Any] = json.loads(done.stdout)
    counts = document["counts"]
    print(
        f"{document['behaviour']:<17} {document['model'][:24]:<24} {document['proposer']:<12}"
        f" {counts['tested']:>2} tested {counts['confirmed']:>2} confirmed {document['forwards']:>6,.0f} forwards"
        f" {time.monotonic() - began:>4.0f} s  verify: {'ok' if verified(document['database']) else 'LIES'}",
        flush=True,
    )
    return document


def verified(db: str) -> bool:
    """Whether `lakatos verify` finds nothing."""
    return subprocess.run([LAKATOS, "verify", "--db", db], capture_output=True, check=False).returncode == 0


def story(db: Path) -> list[Any]:
    """What a seed must fix: claims, prompts, evidence, verdicts."""
    store = open_store(str(db))
    return [
        (e.slot, e.text, e.state, e.evidence and e.evidence.model_dump(), [x.uid for x in store.prompts(e.id)])
        for e in store.hypotheses()
    ]


def null(folder: Path) -> None:
    """Random weights."""
    document = run("ioi", "--model", "null:smollm2-135m", "--allow-absent", "--db", str(folder / "null.db"))
    found = {h["kind"] for h in document["hypotheses"] if h["state"] == "confirmed"}
    assert found <= {"no_effect"}, f"{found} was confirmed on random weights"


def behaviours(folder: Path) -> None:
    """The other behaviours, with half of the default hypotheses."""
    for name in BEHAVIOURS:
        document = run(name, "--hypotheses", "8", "--db", str(folder / f"{name}.db"))
        assert Path(document["report"]).stat().st_size > 10_000, document["report"]


def seed(folder: Path) -> None:
    """One seed twice; a random proposer."""
    for copy in ("a", "b"):
        run("ioi", *SMALL, "--db", str(folder / f"seed-{copy}.db"))
    assert story(folder / "seed-a.db") == story(folder / "seed-b.db"), "the same seed told two stories"
    print("the same seed gave the same claims, prompts, e-values and verdicts")
    run("ioi", *SMALL, "--proposer", "random", "--db", str(folder / "random.db"))


def kill(folder: Path) -> None:
    """Ten kills at random moments, and the same end."""
    run("ioi", *SMALL, "--db", str(folder / "undisturbed.db"))
    db, moments = folder / "killed.db", random.Random(0)
    for number in range(1, 11):
        began = db.exists() and bool(open_store(str(db)).runs())
        args = ["--resume"] if began else ["ioi", *SMALL]
        process = subprocess.Popen([LAKATOS, "run", *args, "--quiet", "--db", str(db)], stdout=subprocess.DEVNULL)
        time.sleep(moments.uniform(10, 45))
        process.send_signal(signal.SIGKILL)
        process.wait()
        store = open_store(str(db)) if db.exists() else None
        state = f"{store.counts().tested} tested, {'ok' if verified(str(db)) else 'LIES'}" if store else "no log yet"
        print(f"kill {number:>2}: {state}", flush=True)
    if open_store(str(db)).run(1).status != "finished":
        run("--resume", "--db", str(db))
    assert story(db) == story(folder / "undisturbed.db"), "the killed run ended otherwise"
    print("the run that was killed ten times ended like the undisturbed one")


def tamper(source: Path, folder: Path) -> None:
    """One effect altered, with the triggers dropped."""
    db = folder / "tampered.db"
    with sqlite3.connect(source) as original, sqlite3.connect(db) as copy:
        original.backup(copy)
    with sqlite3.connect(db) as raw:
        raw.execute("DROP TRIGGER batches_no_update")
        raw.execute("UPDATE batches SET own = json_set(own, '$.intervened[4]', 9.75) WHERE id = 1")
    done = subprocess.run([LAKATOS, "verify", "--db", str(db)], capture_output=True, text=True, check=False)
    print(done.stdout.strip())
    assert done.returncode == 1
    assert "batches row 1:" in done.stdout


def claims(source: Path, folder: Path) -> None:
    """Confirmed claims as tests of somebody's own project."""
    from regression_errors import weakened

    from lakatos.experiments_db.regression import read
    from lakatos.tools.model import EMBEDDED

    project = folder / "project"
    for name in ("tools", "agent"):
        (project / name).mkdir(parents=True)
        (project / name / "__init__.py").write_text("MINE = True\n")
    (project / "test_own.py").write_text(
        "import agent, tools\n\ndef test_own():\n    assert agent.MINE and tools.MINE\n"
    )
    subprocess.run([LAKATOS, "export", "--tests", project / "claims", "--db", source], check=True, capture_output=True)
    for path in (project / "claims").iterdir():
        if read(path).model.name != EMBEDDED:
            path.unlink()
    files = [read(path) for path in sorted((project / "claims").iterdir())]
    head = next(f for f in files if f.typed.kind == "node_effect" and f.typed.components[0].startswith("a"))
    ablated = weakened(head, folder / "ablated", share=0.0)

    def tested(held: int, failed: int, *options: str) -> None:
        command = [sys.executable, "-m", "pytest", "-q", *options]
        done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
        print(" ".join(["$ pytest", *options]), done.stdout, done.stderr, sep="\n", flush=True)
        assert f"{held} held, {failed} failed, 0 undecided" in done.stdout
        assert done.returncode == bool(failed)

    tested(len(files), 0)
    tested(0, len(files), "-m", "lakatos", "--lakatos-model", "null:smollm2-135m")
    tested(0, 1, f"claims/{head.file_name}", "--lakatos-model", ablated)


def main() -> None:
    """Run one part."""
    parts = {"null": null, "behaviours": behaviours, "seed": seed, "kill": kill}
    folder = Path(tempfile.mkdtemp(prefix="lakatos-acceptance-"))
    print(folder)
    match sys.argv[1:]:
        case ["claims", db]:
            claims(Path(db).absolute(), folder)
        case ["tamper", db]:
            tamper(Path(db), folder)
        case [part] if part in parts:
            parts[part](folder)
        case _:
            shutil.rmtree(folder)
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
