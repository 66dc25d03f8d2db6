"""Small faults put into the code on purpose: the tests that `make test` runs must catch every one.

    python benchmarks/mutations.py                 all of them (about five minutes); writes docs/mutations.md
    python benchmarks/mutations.py --only holm     those with this in their name; writes nothing
    python benchmarks/mutations.py --json          the results as JSON on standard output

A mutation is a text that occurs once in the packages, what takes its place, and the tests that should fail then. Each
is made in a temporary copy of the tree; the working tree is never changed. First the tests must pass in a copy without
a fault. A fault is caught where a test fails. It survives where all pass, or where they take longer than allowed. A
text that is not there, or more than once, is an error, and so are tests that cannot be run. The exit status is 1 if a
fault survives and 2 after an error.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from faults import MUTATIONS, Mutation

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("agent", "tools", "prompts", "experiments_db")
LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", "__pycache__", ".*_cache", ".hypothesis", "*.db", "*.egg-info", "*.png"
)
FROZEN = ("guards_before_streams.py",)  # what databases had before; nothing is put in there
SECONDS = 400  # that the tests of one mutation may take


class Result(NamedTuple):
    """What became of it."""

    name: str
    file: str
    caught: bool
    by: str  # the first test that failed, or why none did
    seconds: float
    tests: str


def place_of(old: str) -> Path:
    """The file of the packages that has this text, relative to the tree. Exactly one must have it, once."""
    files = [path for name in PACKAGES for path in sorted((ROOT / name).rglob("*.py")) if path.name not in FROZEN]
    counts = {path: path.read_text().count(old) for path in files}
    found = [path for path, count in counts.items() if count]
    if sum(counts.values()) != 1:
        sys.exit(_fault(f"{old!r} occurs {sum(counts.values())} times in the packages: {[str(p) for p in found]}"))
    return found[0].relative_to(ROOT)


def _fault(text: str) -> int:
    print(f"error: {text}", file=sys.stderr)
    return 2


@contextmanager
def copied_tree() -> Iterator[Path]:
    """A copy of the tree; with its folder `.typing` on the path, its packages are what `import lakatos` finds."""
    with tempfile.TemporaryDirectory(prefix="lakatos-mutation-") as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(ROOT, tree, symlinks=True, ignore=LEFT_OUT)
        yield tree


def ask(tree: Path, tests: Sequence[str], seconds: float = SECONDS) -> tuple[int | None, str]:
    """The status of pytest in a copy (None: it took too long), and what it said."""
    env = {**os.environ, "PYTHONPATH": str(tree / ".typing"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", "--tb=short", *tests]
    try:
        done = subprocess.run(command, cwd=tree, env=env, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return None, ""
    return done.returncode, done.stdout + done.stderr


def run(mutation: Mutation) -> Result:
    """Make the fault in a copy, and ask the tests."""
    began, file = time.monotonic(), place_of(mutation.old)
    with copied_tree() as tree:
        text = (tree / file).read_text()
        (tree / file).write_text(text.replace(mutation.old, mutation.new))
        status, said = ask(tree, mutation.tests)
    failed = [line.split()[1] for line in said.splitlines() if line.startswith(("FAILED ", "ERROR "))]
    if status not in (0, 1, None) or (status == 1 and not failed):
        sys.exit(_fault(f"{mutation.name}: its tests could not be run\n{said[-2000:]}"))
    by = {0: "nothing", None: f"nothing in {SECONDS} s"}.get(status) or failed[0].rpartition("/")[2]
    seconds = round(time.monotonic() - began, 1)
    return Result(mutation.name, str(file), status == 1, by, seconds, " ".join(mutation.tests))


def check_honest(mutations: Sequence[Mutation]) -> None:
    """The tests pass where nothing is wrong."""
    with copied_tree() as tree:
        env, code = {"PYTHONPATH": str(tree / ".typing")}, "import lakatos.tools.errors as e; print(e.__file__)"
        where = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
        if not where.stdout.startswith(str(tree)):
            sys.exit(_fault(f"the copy would test {where.stdout.strip()}"))
        status, said = ask(tree, list(dict.fromkeys(name for m in mutations for name in m.tests)), 5 * SECONDS)
        if status != 0:
            sys.exit(_fault(f"the tests do not pass without a fault\n{said[-2000:]}"))


def page(results: Sequence[Result]) -> str:
    """The table of the docs."""
    caught = sum(result.caught for result in results)
    lines = [
        "# Faults put in on purpose",
        "",
        f"Written by `python benchmarks/mutations.py`: {caught} of {len(results)} small faults are caught by the tests",
        "that `make test` runs. Each was made in a copy of the tree, in which these tests were run.",
        "",
        "| fault | in | caught by |",
        "| --- | --- | --- |",
        *(f"| {r.name} | `{r.file}` | {f'`{r.by}`' if r.caught else '**' + r.by + '**'} |" for r in results),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run them, and say how many survived."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="a part of the names of those to run")
    parser.add_argument("--json", action="store_true", help="results as JSON on standard output")
    parser.add_argument("--workers", type=int, default=2, help="how many are tried at once")
    given = parser.parse_args()
    chosen = [m for m in MUTATIONS if given.only in m.name]
    for mutation in chosen:
        place_of(mutation.old)
    check_honest(chosen)
    results: list[Result] = []
    with ThreadPoolExecutor(given.workers) as workers:
        for found in workers.map(run, chosen):
            results.append(found)
            number, word = f"{len(results):>2}/{len(chosen)}", "caught  " if found.caught else "SURVIVED"
            print(f"{number} {word} {found.seconds:>5.1f} s  {found.name}  ({found.by})", file=sys.stderr, flush=True)
    if not given.only:
        (ROOT / "docs" / "mutations.md").write_text(page(results))
    if given.json:
        print(json.dumps([result._asdict() for result in results], indent=1))
    survived = [result.name for result in results if not result.caught]
    print(f"{len(results) - len(survived)} of {len(results)} caught", file=sys.stderr)
    sys.exit(1 if survived or not results else 0)


if __name__ == "__main__":
    main()
