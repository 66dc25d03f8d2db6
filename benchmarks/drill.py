"""What `drill` finds where the answer is known, beside `attribution` and `random` with as many hypotheses.

    python benchmarks/drill.py [--seeds 20] [--hypotheses 24]       planted models, and their null twin
    python benchmarks/drill.py --null [--seeds 20]                  random weights: the whole loop confirms no effect

Each seed builds its own noise into the models and draws its own prompts. Found is what a study of that one run
confirms. Component: head or MLP of a confirmed node effect or necessity. Path: sender and receivers of a confirmed
mediation. True is what the model was built with (`lakatos.tools.model.planted`); everything else is false. Intervals
are of the mean over seeds: 1.96 standard errors.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from lakatos.agent import RunConfig, investigate
from lakatos.experiments_db import open_store
from lakatos.experiments_db.mechanism import Mechanism
from lakatos.tools.component import Component
from lakatos.tools.model.planted import BEHAVIOUR, MECHANISMS
from lakatos.tools.model.planted import Mechanism as Truth

ARMS = ("drill", "attribution", "random")
Found = dict[str, set[Any]]


def main() -> None:
    """Run what was asked for, and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--hypotheses", type=int, default=24)
    parser.add_argument("--null", action="store_true")
    asked = parser.parse_args()
    if asked.null:
        _null(asked.seeds, asked.hypotheses)
        return
    print(f"{asked.seeds} seeds, {asked.hypotheses} hypotheses; mean over seeds +- 1.96 s.e.")
    for planted in ("induction", "backup", "none"):
        for arm in ARMS:
            rows = [_row(planted, arm, seed, asked.hypotheses) for seed in range(1, asked.seeds + 1)]
            told = "  ".join(f"{name} {_mean([row[name] for row in rows])}" for name in rows[0])
            print(f"{planted:<10} {arm:<12} {told}", flush=True)


def _row(planted: str, arm: str, seed: int, hypotheses: int) -> dict[str, float]:
    """Shares of what is there that were found, and how much was found that is not there."""
    found, forwards = _found(f"planted:{planted}#{seed}", arm, seed, hypotheses)
    truth = _truth(MECHANISMS[planted])
    row: dict[str, float] = {}
    for kind, there in truth.items():
        right = found[kind] & there if kind != "circuits" else {c for c in found[kind] if _is_circuit(c, planted)}
        if there:
            wanted = len(there) if kind != "circuits" else 1
            row[kind] = min(1.0, len(right) / wanted)
        row[f"false {kind}"] = float(len(found[kind] - right))
    return {**row, "forwards": forwards}


def _found(model: str, arm: str, seed: int, hypotheses: int) -> tuple[Found, float]:
    with tempfile.TemporaryDirectory() as folder:
        db = str(Path(folder) / "run.db")
        config = RunConfig(model=model, proposer=arm, hypotheses=hypotheses, seed=seed, allow_absent=True)
        mechanism = investigate(BEHAVIOUR, config, db=db)
        if problems := open_store(db).verify():
            raise SystemExit(f"{model}, {arm}, seed {seed}: {problems[0]}")
    return _parts(mechanism), mechanism.run.forwards


def _parts(found: Mechanism) -> Found:
    parts: Found = defaultdict(set)
    parts["components"] = {Component.parse(node.component).atom() for node in found.nodes}
    parts["components"] |= {spare for backup in found.backups for spare in backup.components}
    parts["paths"] = {(Component.parse(s).atom(), r) for p in found.paths for s in p.senders for r in p.receivers}
    parts["backups"] = {(of, spare) for backup in found.backups for of in backup.of for spare in backup.components}
    parts["circuits"] = {c.components for c in found.circuits if c.kind == "sufficiency"}
    return parts


def _truth(truth: Truth) -> Found:
    writes = {c for pair in truth.backed_up for c in pair} | ({"a1.h0"} & set(truth.circuit))
    return {
        "components": {*truth.necessary, *(c for c, _ in truth.backed_up), *truth.backups},
        "paths": {*truth.composition, *((c, "logits") for c in writes)},
        "backups": set(truth.backed_up),
        "circuits": {truth.circuit} if truth.circuit else set(),
    }


def _is_circuit(found: tuple[str, ...], planted: str) -> bool:
    """Whether it is a smallest circuit, or one with a backup in the place of what it backs up."""
    truth = MECHANISMS[planted]
    allowed = [set(truth.circuit)]
    allowed += [set(truth.circuit) - {of} | {spare} for of, spare in truth.backed_up]
    return set(found) in allowed


def _null(seeds: int, hypotheses: int) -> None:
    """Models of random weights, and the null twin: confirmed claims other than that there is no effect."""
    wrong, tested = [], 0
    for seed, model in _nulls(seeds):
        with tempfile.TemporaryDirectory() as folder:
            db = str(Path(folder) / "run.db")
            config = RunConfig(model=model, hypotheses=hypotheses, seed=seed, allow_absent=True)
            found = investigate(BEHAVIOUR if model.startswith("planted") else "induction", config, db=db)
        tested += found.tested
        wrong += [line["text"] for line in found.lines if line["state"] == "confirmed" and line["kind"] != "no_effect"]
        print(f"{model:<24} {found.tested:>3} tested, {found.confirmed} confirmed", flush=True)
    print(f"{2 * seeds} investigations, {tested} claims tested, {len(wrong)} effects confirmed {wrong or ''}")


def _nulls(seeds: int) -> Iterator[tuple[int, str]]:
    for seed in range(1, seeds + 1):
        yield seed, f"planted:none#{seed}"
        yield seed, "null:smollm2-135m"


def _mean(values: list[float]) -> str:
    x = np.array(values, float)
    error = 1.96 * x.std(ddof=1) / len(x) ** 0.5 if len(x) > 1 else 0.0
    digits = 0 if x.mean() >= 100 else 2
    return f"{x.mean():.{digits}f}+-{error:.{digits}f}"


if __name__ == "__main__":
    main()
