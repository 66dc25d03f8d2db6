"""What each way in which a language model fails does to a run: writes docs/language_model_failures.md.

    python benchmarks/language_model_failures.py [--out docs/language_model_failures.md]      (about 2 minutes)

The ways, and what must come of each, are those of `tests/failing_runs.py`; where something else comes of one, this ends
with an error and writes nothing.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"  # as the tests have it: the same small model
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from failing_runs import BUDGET, FATES, GROWTH, Laboratory, Row, line

MEANING = {0: "the run finished", 1: "no usable answer", 2: "wrong usage", 3: "a limit was reached"}


def page_of(rows: list[Row]) -> str:
    """The page."""
    statuses = Counter(row.status for row in rows)
    ended = "; ".join(f"{count} with {status} ({MEANING[status]})" for status, count in sorted(statuses.items()))
    costs = Counter(row.cost for row in rows)
    known = "; ".join(f"{cost} in {count}" for cost, count in sorted(costs.items()))
    again = sum(row.resumed == "finished" for row in rows)
    lines = "\n".join(line(row) for row in rows)
    return f"""# When a language model fails

Written by `python benchmarks/language_model_failures.py`, which runs `lakatos run --resume` on a small model against a
server on loopback that fails in each of these {len(rows)} ways. Do not edit it.

Exit status: {ended}. Tokens: {known}.

In every row this holds, or the page is not written:

* Each request is an event before it is sent, and a row when it has ended; no request is sent for which `--max-tokens`
  ({BUDGET:,}) leaves too little. What an answer costs is known when it is there.
* `lakatos verify` finds nothing; the verdicts of the run before stay; nobody's word confirms a claim.
* The key is nowhere in the database, the report or what is printed; nothing that is printed moves the cursor.
* The database grows by less than {GROWTH / 1e6:g} MB.
* A run that did not finish ({again} of them) finishes by `lakatos run --resume` with a server that behaves, which is
  asked twice: for proposals and for prose.

| mode | server | the user sees | exit | requests | tokens | proposed | refused | registered | events | resumed |
|---|---|---|---|---|---|---|---|---|---|---|
{lines}
"""


def main() -> int:
    """Run every mode and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/language_model_failures.md"))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        laboratory = Laboratory(Path(folder))
        rows = []
        for number, name in enumerate(FATES, 1):
            print(f"\r{number} of {len(FATES)}: {name:<40}", end="", file=sys.stderr, flush=True)
            rows.append(laboratory.row(name))
        print(file=sys.stderr)
    asked.out.write_text(page_of(rows))
    print(f"{asked.out}: {len(rows)} modes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
