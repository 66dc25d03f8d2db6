"""How long corrections take over a large log: a synthetic database of tests, and every method over all of it.

    python benchmarks/corrections.py                 100,000 tests
    python benchmarks/corrections.py --tests 10000

A fifth of the claims are true. They are about one to three of the 1,200 heads of a model, a tenth the other way round,
so that claims overlap and some are refuted. Rows pass every constraint, but only what these and `lakatos correct` read
is filled in, triggers are off, and batches belong to no draw, as in logs from before claims shared streams. Nothing is
cached between methods: each document reads the log again.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import sqlalchemy as sa

from lakatos.experiments_db import Store, open_store
from lakatos.experiments_db.documents import correction_document
from lakatos.experiments_db.log import now
from lakatos.experiments_db.log import tables as models
from lakatos.tools.claim import NodeEffect, atoms, claim_fields
from lakatos.tools.multiplicity import METHODS, slot_weights
from lakatos.tools.records import content_hash
from lakatos.tools.statistics import BATCH

LAYERS, HEADS = 48, 25
CHUNK = 10_000  # claims in one insert
BATCHES = 4


def main() -> None:
    """Build the database, and print processor seconds by method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tests", type=int, default=100_000)
    options = parser.parse_args()
    store = open_store("sqlite://", secret_seed="corrections")
    seconds = timed(lambda: fill(store, options.tests))[0]
    print(f"{options.tests:,} tests, {BATCHES} batches each, written in {seconds:.1f} s\n")
    print("| method | processor seconds | confirmed | groups |\n|---|---|---|---|")
    for method in METHODS:
        seconds, document = timed(lambda method=method: correction_document(store, method, None, "study"))
        judged = store.judgements() if method == "online-ebh" else {}
        groups = len({j.group for j in judged.values()}) if judged else "-"
        print(f"| {method} | {seconds:.2f} | {document['confirmed']:,} | {groups} |")
    parts = {"slots": store.slots, "judgements": store.judgements, "counts": store.counts}
    print("\n| part | processor seconds |\n|---|---|")
    for name, part in parts.items():
        print(f"| {name} | {timed(part)[0]:.2f} |")


def timed(call: Any) -> tuple[float, Any]:
    """Processor seconds that a call took, and what it returned: nothing here waits for a disk."""
    began = time.process_time()
    result = call()
    return time.process_time() - began, result


def fill(store: Store, tests: int) -> None:
    """Write a run and its tests, in bulk: constraints hold, triggers and the ledger are left out."""
    with store.engine.begin() as connection:
        for name in connection.scalars(sa.text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).all():
            connection.execute(sa.text(f"DROP TRIGGER {name}"))
    rng = np.random.default_rng(0)
    run = _run(store)
    weights = slot_weights(tests)
    before = now()
    for start in range(1, tests + 1, CHUNK):
        rows: dict[type[models.Row], list[dict[str, Any]]] = {
            table: [] for table in (models.Proposal, models.HypothesisRow, models.Batch, models.EvidenceRow)
        }
        for number in range(start, min(start + CHUNK, tests + 1)):
            for table, values in _test(rng, run, number, float(weights[number - 1]), before).items():
                rows[table] += values
        with store.engine.begin() as connection:
            for table, values in rows.items():
                connection.execute(sa.insert(table), values)


def _run(store: Store) -> models.Run:
    """The run that all claims are of."""
    return store.add(
        models.Run(
            study_id=store.study.id,
            behaviour="synthetic",
            behaviour_hash="sha256:b",
            behaviour_definition={},
            controls={},
            model="synthetic",
            weights="sha256:w",
            proposer="synthetic",
            seed="0",
            config={},
            environment={},
        )
    )


def _test(
    rng: np.random.Generator, run: models.Run, number: int, weight: float, before: Any
) -> dict[type[models.Row], list[dict[str, Any]]]:
    """The rows of one test, by table: its proposal, its hypothesis, its batches and its evidence."""
    claim, true = _claim(rng), number % 5 == 0
    e = float(np.exp(rng.normal(12, 4) if true else rng.normal(-2, 1)))
    p = float(rng.beta(0.05, 50) if true else rng.random())
    common = {"at": before, "digest": "sha256:none"}
    proposal = {"id": number, "run_id": run.id, "round": 1, "place": number, "proposal": {}}
    batch = {"hypothesis_id": number, "seed": "0", "e_after": e, "engine": "synthetic", "forwards": 0.0, "seconds": 0.0}
    evidence = {"id": number, "hypothesis_id": number, "e": e, "p": p, "stop": "exhausted", "record": {}}
    batches = [
        {"id": BATCHES * (number - 1) + k + 1, "number": k, "drawn_at": now(), **batch, **common}
        for k in range(BATCHES)
    ]
    return {
        models.Proposal: [proposal | common],
        models.HypothesisRow: [_hypothesis(run, number, claim, weight, before) | common],
        models.Batch: batches,
        models.EvidenceRow: [evidence | common],
    }


def _hypothesis(run: models.Run, number: int, claim: NodeEffect, weight: float, before: Any) -> dict[str, Any]:
    """A registered claim: what `lakatos correct` reads, the rest empty."""
    return {
        "id": number,
        "proposal_id": number,
        "study_id": run.study_id,
        "run_id": run.id,
        "claim_hash": content_hash([number]),
        "slot": number,
        "registered_at": before,
        "kind": claim.kind,
        "behaviour": run.behaviour,
        "behaviour_hash": run.behaviour_hash,
        "weights": run.weights,
        "subject": "+".join(claim.components),
        "atoms": list(atoms(claim, HEADS)),
        "record": {"claim": claim_fields(claim), "weight": weight, "battery": {"n_max": BATCHES * BATCH}},
        "rationale": "",
        "calibration": {},
        "forwards": 0.0,
        "seconds": 0.0,
    }


def _claim(rng: np.random.Generator) -> NodeEffect:
    """One to three heads of a model of gpt2-xl's shape, in either direction, with one of two thresholds."""
    heads = rng.choice(LAYERS * HEADS, int(rng.integers(1, 4)), replace=False)
    return NodeEffect(
        components=tuple(f"a{head // HEADS}.h{head % HEADS}" for head in heads),
        direction="opposes" if rng.random() < 0.1 else "supports",
        threshold=0.1 if rng.random() < 0.5 else 0.2,
    )


if __name__ == "__main__":
    main()
