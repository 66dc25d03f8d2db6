"""Forged numbers in a copy of a log, and how many of them `lakatos verify --remeasure` finds.

    python benchmarks/planted.py lakatos.db [--forged 100] [--remeasure 5%] [--audit-seed 1]

So many stored prompts, drawn at random, get a number that is a tenth of the claim's gap off; every digest and the chain
are computed anew. Printed are how many of them the audit drew, found, and named, and what it took. Exit 1 where it
missed one that it drew, or named one that is honest.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from tampering import copied, rechain, unguarded

from lakatos.experiments_db import open_store
from lakatos.experiments_db.audit.measured import numbers_of
from lakatos.experiments_db.audit.remeasure import remeasure


def main() -> int:
    """Plant, audit, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log", type=Path)
    parser.add_argument("--forged", type=int, default=100)
    parser.add_argument("--remeasure", default="5%")
    parser.add_argument("--audit-seed", default="1")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        db = copied(asked.log, Path(folder) / "forged.db")
        store = open_store(str(db), create=False)
        gaps = {h.id: h.battery.gap for h in store.hypotheses()}
        forged = set(Random(0).sample([number for number in numbers_of(store) if number.tests], asked.forged))
        with unguarded(db) as raw:
            for hypothesis, _, batch, place in sorted(forged):
                path = f'$."{min(store.batches(hypothesis)[batch].own)}"[{place}]'
                raw.execute(
                    "UPDATE batches SET own = json_set(own, ?1, json_extract(own, ?1) + ?2) "
                    "WHERE hypothesis_id = ?3 AND number = ?4",
                    (path, gaps[hypothesis] / 10, hypothesis, batch),
                )
        rechain(db)
        began = time.monotonic()
        found = remeasure(open_store(str(db), create=False), asked.remeasure, seed=asked.audit_seed)
        took = time.monotonic() - began
    named = {d.number for d in found.differ}
    print(
        f"{len(forged)} of {found.stored:,} stored prompts forged; {found.measured} measured again in {took:.0f} s "
        f"({found.forwards:.0f} forward passes): {len(named & forged)} forgeries named, {len(named - forged)} honest "
        f"prompts accused; {found.detectable} or more are met with a probability of 95 %"
    )
    return 0 if named and named <= forged else 1


if __name__ == "__main__":
    sys.exit(main())
