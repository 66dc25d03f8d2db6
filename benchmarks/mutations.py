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

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("agent", "tools", "prompts", "experiments_db")
LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", "__pycache__", ".*_cache", ".hypothesis", "*.db", "*.egg-info", "*.png"
)
SECONDS = 400  # that the tests of one mutation may take

STATISTICS = ("tests/tools/test_statistics.py",)
MULTIPLICITY = ("tests/tools/test_multiplicity.py",)
STORE = "tests/experiments_db/test_store.py::"
VERIFY = "tests/experiments_db/test_verify.py::"
_EVERY_KIND = "tests/tools/intervention/test_intervention.py::TestEqualsTheReference::test_every_kind_at_every_position"
ENGINE = tuple(f"{_EVERY_KIND}[llama-{source}-clean]" for source in ("corrupted", "resample"))
_VALUES = "tests/tools/intervention/test_engine_limits.py::TestValues::"
ELSEWHERE = (_VALUES + "test_what_a_donor_shares_is_put_back_after_something_upstream",)
_LIE = "test_each_lie_is_found_as_told_and_after_everything_was_computed_anew_and_by_a_seal"
LIE = f"tests/experiments_db/test_lies.py::{_LIE}[{{}}]"
CLAIMS = ("tests/tools/claim/test_hypothesis.py",)


class Mutation(NamedTuple):
    """One fault."""

    name: str
    old: str  # occurs once in the packages
    new: str
    tests: tuple[str, ...]  # arguments of pytest


class Result(NamedTuple):
    """What became of it."""

    name: str
    file: str
    caught: bool
    by: str  # the first test that failed, or why none did
    seconds: float
    tests: str


MUTATIONS = (
    Mutation(
        "statistics: stakes are not divided by 1 + d",
        "/ (1 + threshold)\n    capital",
        "/ 1.0\n    capital",
        STATISTICS,
    ),
    Mutation(
        "statistics: the best stake in hindsight",
        "path: Floats = best + np.log(np.exp(capital - best[..., None, :]).mean(axis=-2))",
        "path: Floats = best",
        STATISTICS,
    ),
    Mutation("statistics: one line of a claim is enough", "values.min(axis=0)", "values.max(axis=0)", STATISTICS),
    Mutation("statistics: a narrower clip range", "s = max(3 * float(values", "s = max(2 * float(values", STATISTICS),
    Mutation("statistics: a one-sided interval", "math.log(2 / (1 - level))", "math.log(1 / (1 - level))", STATISTICS),
    Mutation("statistics: a p-value of zero", "return (1 + hits) / (1 + flips)", "return hits / flips", STATISTICS),
    Mutation(
        "stopping rule: futility at once",
        "e < FUTILE_BELOW and n >= MIN_FOR_FUTILITY",
        "e < FUTILE_BELOW or n >= MIN_FOR_FUTILITY",
        STATISTICS,
    ),
    Mutation("stopping rule: a batch too many", '"exhausted" if n >= n_max', '"exhausted" if n > n_max', STATISTICS),
    Mutation("multiplicity: later slots cost nothing", "1 - 2 * block", "1 - block", MULTIPLICITY),
    Mutation("multiplicity: the bar falls with the weight", "1 / (alpha * weight)\n", "weight / alpha\n", MULTIPLICITY),
    Mutation("multiplicity: e-BH forgets m", "* descending >= m / alpha", "* descending >= 1 / alpha", MULTIPLICITY),
    Mutation(
        "multiplicity: Holm upside down", "np.arange(values.size, 0, -1)", "np.arange(1, values.size + 1)", MULTIPLICITY
    ),
    Mutation(
        "multiplicity: wordings of one truth count apart",
        "_, member = np.unique(labels, return_inverse=True)\n    counted",
        "member = np.arange(labels.size)\n    counted",
        MULTIPLICITY,
    ),
    Mutation(
        "guards: a slot can be left out",
        '"NEW.slot <> 1 + COALESCE',
        '"NEW.slot < 1 + COALESCE',
        (STORE + "test_a_slot_cannot_be_left_out_or_taken_twice",),
    ),
    Mutation(
        "guards: drawn before registration",
        "NEW.drawn_at > registered_at",
        "NEW.drawn_at > ''",
        (STORE + "test_a_batch_cannot_be_drawn_before_registration",),
    ),
    Mutation(
        "guards: any e-value is evidence",
        "<= 1e-9 * ABS(NEW.e)",
        "<= 1e9 * ABS(NEW.e)",
        (STORE + "test_evidence_is_what_its_last_batch_says",),
    ),
    Mutation(
        "guards: a part of the battery is enough",
        'f"EXISTS ({_LACKS[dialect]})"',
        '"1 = 0"',
        (STORE + "test_a_prompt_without_its_whole_battery_is_refused",),
    ),
    Mutation(
        "engine: a block too many is read at the answer's position only",
        "component.layer == self.n_layers - (not component.known.read_later)",
        "component.layer >= self.n_layers - 1 - (not component.known.read_later)",
        ENGINE,
    ),
    Mutation(
        "engine: what differs begins a position later",
        "np.where(other.any(1), other.argmax(1), self.length)",
        "np.where(other.any(1), other.argmax(1) + 1, self.length)",
        ENGINE,
    ),
    Mutation(
        "engine: a thousandth too much is written",
        "= tensor(values, view.device).to(view.dtype)",
        "= tensor(values, view.device).to(view.dtype) * 1.001",
        ENGINE,
    ),
    Mutation(
        "engine: what a donor has at another place is taken for the prompt's own",
        "(at < differ) & (at == there)",
        "at < differ",
        ELSEWHERE,
    ),
    Mutation(
        "engine: a donor's token at the prompt's own place",
        'component.position is not None and source == "resample":',
        'component.position is not None and source == "clean":',
        ELSEWHERE,
    ),
    Mutation(
        "engine: keys and values of the base run stay",
        "found[cell, :, self.window.positions] = part.transpose(1, 2)",
        "found[cell, :, self.window.positions] += 0 * part.transpose(1, 2)",
        # numbers stay right: the trials of a model notice, and prompts run again as a whole
        (_VALUES + "test_keys_of_a_window_take_the_place_of_the_base_runs",),
    ),
    Mutation(
        "engine: nothing is amiss in an audit",
        "np.allclose(found, expected, rtol=0.0, atol=allowed",
        "np.allclose(found, expected, rtol=0.0, atol=1e9",
        ("tests/tools/intervention/test_audit.py",),
    ),
    Mutation(
        "metric: the wrong answer minus the right one",
        "values[rows, answer] - values[rows, wrong]",
        "values[rows, wrong] - values[rows, answer]",
        ("tests/tools/test_metric.py",),
    ),
    Mutation(
        "verify: e-values are believed",
        "if not same(e, batch.e_after):",
        "if not same(e, e):",
        (LIE.format("an-e-value-was-higher"),),
    ),
    Mutation(
        "verify: stopped early is evidence",
        'again.stop == "interrupted"',
        'again.stop == "never"',
        (VERIFY + "test_evidence_of_a_test_that_was_stopped_early_is_named",),
    ),
    Mutation(
        "verify: entries of the ledger may have any hash",
        "entry.previous != previous or entry.compute_hash() != entry.entry_hash",
        "entry.previous != previous",
        (VERIFY + "test_a_lie_that_the_digests_follow_is_told_by_the_hash_of_its_entry",),
    ),
    Mutation("claim hash: of any weights", 'facts = {"weights": weights,', 'facts = {"weights": "",', CLAIMS),
    Mutation(
        "claim hash: controls do not count", '"controls": dict(controls), "claim"', '"controls": {}, "claim"', CLAIMS
    ),
    Mutation(
        "seeds: one for every purpose",
        'f"{key}|{purpose}".encode()',
        "key.encode()",
        (STORE + "test_seeds_depend_on_secret_claim_and_purpose",),
    ),
    Mutation(
        "seeds: one for every claim",
        'f"{key}|{purpose}".encode()',
        "purpose.encode()",
        (STORE + "test_seeds_depend_on_secret_claim_and_purpose",),
    ),
)


def place_of(old: str) -> Path:
    """The file of the packages that has this text, relative to the tree. Exactly one must have it, once."""
    counts = {path: path.read_text().count(old) for name in PACKAGES for path in sorted((ROOT / name).rglob("*.py"))}
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
