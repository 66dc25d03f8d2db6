"""How long readers of a very large log wait: lists, search and one hypothesis, at 100,000 hypotheses and 10 million
effects.

    python benchmarks/review.py                      builds the log once (see --keep), then times every question
    python benchmarks/review.py --tests 10000
    python benchmarks/review.py --keep FILE --json

Figures are wall-clock milliseconds over `--requests` requests of each kind, no two alike where the kind allows it; the
first of each is reported by itself. Nothing is warmed up but what `lakatos review` warms up when it starts: the index.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from synthetic import write

from lakatos.experiments_db import Store, open_store
from lakatos.experiments_db.documents import hypothesis_document
from lakatos.experiments_db.index import Index, Query

PROMISED = 150  # milliseconds at the median
WORDS = (
    "inhibition",
    "name mover",
    "a9.h6",
    "necessary for ioi",
    "backup",
    "subject",
    "capital",
    "llama",
    "rival",
    "m5",
)

Request = Callable[[int], Any]  # by number


def main() -> None:
    """Build the log if it is not there, refresh the index, print the figures; exit status 1 if a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tests", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--requests", type=int, default=30)
    parser.add_argument("--keep", type=Path, help="where the log is kept; by default in the folder for temporary files")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    path = options.keep or Path(tempfile.gettempdir()) / f"lakatos-review-{options.tests}.db"
    if not path.exists():
        began = time.perf_counter()
        write(path, options.tests, min(options.runs, options.tests), show("hypotheses written"))
        print(f"built in {time.perf_counter() - began:.0f} s, {path.stat().st_size / 1e9:.1f} GB", file=sys.stderr)
    store = open_store(str(path))
    index = Index(store)
    first, _ = timed(lambda: index.refresh())
    again, _ = timed(lambda: index.refresh())
    figures = {name: measure(ask, options.requests) for name, ask in requests(store, index).items()}
    document = {"tests": options.tests, "index": {"first": first, "again": again}, "milliseconds": figures}
    if options.json:
        print(json.dumps(document, indent=2))
    else:
        print(f"{options.tests:,} hypotheses; index read in {first:.1f} s, found up to date in {again * 1000:.1f} ms\n")
        print("| request | median ms | slowest ms | the first ms |\n|---|---|---|---|")
        for name, row in figures.items():
            print(f"| {name} | {row['median']:.1f} | {row['slowest']:.1f} | {row['first']:.1f} |")
    sys.exit(any(row["median"] > PROMISED for row in figures.values()))


def requests(store: Store, index: Index) -> dict[str, Request]:
    """What is asked, by name: the one place to turn into requests over HTTP."""
    total = index.counts().registered
    sorts = ("slot", "-e", "p", "-effect", "state", "-fraction", "registered_at", "review")
    filters: list[dict[str, Any]] = [
        {"state": "confirmed"},
        {"state": "inconclusive", "kind": "necessity"},
        {"behaviour": "ioi", "model": "gpt2-xl"},
        {"component": "a9.h6"},
        {"component": "m5"},
        {"run": 7},
        {"reviewer": "Ada"},
        {"review": "disputed"},
        {"component": "12", "state": "confirmed"},
    ]
    turns = list(itertools.product(filters, sorts))

    def first_page(_: int) -> Any:
        index.refresh(wait=False)
        return index.counts(), index.facets(), index.cells(Query()), index.page(Query(sort="-registered_at"))

    def one(number: int) -> Any:
        index.refresh(wait=False)
        return hypothesis_document(store, index.entry(str(1 + number * 7919 % total)))

    def page(query: Query) -> Any:
        index.refresh(wait=False)
        return index.page(query)

    return {
        "first page": first_page,
        "table, any page and order": lambda k: page(Query(sort=sorts[k % 8], page=1 + k * 61 % max(total // 50, 1))),
        "table, filtered": lambda k: page(Query(**turns[k % len(turns)][0], sort=turns[k % len(turns)][1])),
        "table, confirmed": lambda k: page(Query(state="confirmed", page=1 + k)),
        "search": lambda k: page(Query(text=f"{WORDS[k % len(WORDS)]} {WORDS[k // 10 % 10][:3]}")),
        "search for one word": lambda k: page(Query(text=WORDS[k % len(WORDS)])),
        "search for what all have": lambda k: page(Query(text="gap"[: 1 + k % 3], sort=sorts[k % 8])),
        "search, filtered": lambda k: page(Query(text="gap", **filters[k % len(filters)], sort="-e")),
        "heat map of what is filtered": lambda k: index.cells(Query(**filters[k % len(filters)])),
        "one hypothesis": one,
    }


def measure(ask: Request, n: int) -> dict[str, float]:
    """Milliseconds of n requests."""
    taken = [1000 * timed(lambda number=number: ask(number))[0] for number in range(n)]
    return {"median": statistics.median(taken), "slowest": max(taken), "first": taken[0]}


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds that a call took, and what it returned."""
    began = time.perf_counter()
    result = call()
    return time.perf_counter() - began, result


def show(what: str) -> Callable[[int, int], None]:
    """A progress line on standard error."""

    def progress(done: int, of: int) -> None:
        bar = "#" * (30 * done // of)
        print(f"\r[{bar:<30}] {done:,} of {of:,} {what}", end="\n" if done == of else "", file=sys.stderr, flush=True)

    return progress


if __name__ == "__main__":
    main()
