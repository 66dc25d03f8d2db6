"""How long readers of a very large log wait: lists, search and one hypothesis, at 100,000 hypotheses and 10 million
effects.

    python benchmarks/review.py                      builds the log once (see --keep), then times every question
    python benchmarks/review.py --tests 10000
    python benchmarks/review.py --keep FILE --json

Figures are wall-clock milliseconds of whole pages over HTTP from `lakatos review` in a process of its own, over
`--requests` requests of each kind, no two alike where the kind allows it; the first of each is reported by itself.
Nothing is warmed up but what the command warms up when it starts: the index.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from synthetic import write

from lakatos.experiments_db import open_store
from lakatos.experiments_db.index import Index

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

Request = Callable[[int], str]  # from a number to an address


def main() -> None:
    """Build the log if it is not there, serve it, print the figures; exit status 1 if a promise is broken."""
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
    index = Index(open_store(str(path), create=False))
    first, _ = timed(index.refresh)
    total = index.counts().registered
    with served(path) as site:
        figures = {name: measure(site, ask, options.requests) for name, ask in requests(total).items()}
    document = {"tests": total, "index_seconds": first, "milliseconds": figures}
    if options.json:
        print(json.dumps(document, indent=2))
    else:
        print(f"{total:,} hypotheses; index read in {first:.1f} s\n")
        print("| request | median ms | slowest ms | the first ms | kB |\n|---|---|---|---|---|")
        for name, row in figures.items():
            rest = f"{row['slowest']:.0f} | {row['first']:.0f} | {row['kilobytes']:.0f}"
            print(f"| {name} | {row['median']:.0f} | {rest} |")
    sys.exit(any(row["median"] > PROMISED for row in figures.values()))


@contextlib.contextmanager
def served(path: Path) -> Iterator[http.client.HTTPConnection]:
    """`lakatos review` in a process of its own."""
    command = [str(Path(sys.executable).with_name("lakatos")), "review", "--db", str(path), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as site:
        assert site.stderr is not None
        address = next(line for line in site.stderr if "http://" in line).partition("http://")[2].strip().rstrip("/")
        try:
            yield http.client.HTTPConnection(address)
        finally:
            site.terminate()


def requests(total: int) -> dict[str, Request]:
    """The addresses that are asked for, by name of what is asked."""
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

    def table(**asked: Any) -> str:
        return "/hypotheses?" + urlencode(asked)

    return {
        "first page": lambda _: "/",
        "table, any page and order": lambda k: table(sort=sorts[k % 8], page=1 + k * 61 % max(total // 50, 1)),
        "table, filtered": lambda k: table(**turns[k % len(turns)][0], sort=turns[k % len(turns)][1]),
        "table, confirmed": lambda k: table(state="confirmed", page=1 + k),
        "search": lambda k: table(q=f"{WORDS[k % len(WORDS)]} {WORDS[k // 10 % 10][:3]}"),
        "search for one word": lambda k: table(q=WORDS[k % len(WORDS)]),
        "search for what all have": lambda k: table(q="gap"[: 1 + k % 3], sort=sorts[k % 8]),
        "search, filtered": lambda k: table(q="gap", **filters[k % len(filters)], sort="-e"),
        "one hypothesis": lambda k: f"/hypotheses/{1 + k * 7919 % total}",
        "one run": lambda k: f"/runs/{1 + k * 7}",
    }


def measure(site: http.client.HTTPConnection, ask: Request, n: int) -> dict[str, float]:
    """Milliseconds of n requests, from asking to the last byte."""
    taken, size = [], 0
    for number in range(n):
        seconds, size = timed(partial(fetch, site, ask(number)))
        taken.append(1000 * seconds)
    middle = statistics.median(taken)
    return {"median": middle, "slowest": max(taken), "first": taken[0], "kilobytes": size / 1000}


def fetch(site: http.client.HTTPConnection, path: str) -> int:
    """The length of a page, which must be there."""
    site.request("GET", path)
    answer = site.getresponse()
    body = answer.read()
    assert answer.status == 200, (path, answer.status)
    return len(body)


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
