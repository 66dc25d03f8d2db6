"""What `drill` finds where the answer is known, beside `attribution` and `random` with as many hypotheses.

    python benchmarks/drill.py [--seeds 20] [--hypotheses 24]       planted models, and their null twin
    python benchmarks/drill.py --null [--seeds 20]                  random weights: the whole loop confirms no effect

Each seed builds its own noise into the models and draws its own prompts. Found is what a study of that one run
confirms. Component: head or MLP of a confirmed node effect or necessity. Path: sender and receivers of a confirmed
mediation. True is what the model was built with (`lakatos.tools.model.planted`); everything else is false. The paths of
a backup itself are true, and not among those to be found: patched alone it does nothing, and a mediation is a share of
what its sender does. Circuit: a smallest one, with the backup in the place of what it backs up or not. Intervals are of
the mean over seeds: 1.96 standard errors.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from toy import write_toy_behaviours, write_trained_model

from lakatos.agent import RunConfig, investigate
from lakatos.experiments_db import open_store
from lakatos.experiments_db.mechanism import Mechanism
from lakatos.tools.component import Component
from lakatos.tools.model.planted import MECHANISMS, Truth
from lakatos.tools.model.planted import RECALL as BEHAVIOUR

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
    row: dict[str, float] = {}
    for kind, (wanted, true) in _truth(MECHANISMS[planted]).items():
        if wanted:
            hits = len(found[kind] & wanted) / len(wanted)
            row[kind] = float(bool(found[kind] & true)) if kind == "circuits" else hits
        row[f"false {kind}"] = float(len(found[kind] - true))
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
    parts["circuits"] = {tuple(sorted(c.components)) for c in found.circuits if c.kind == "sufficiency"}
    return parts


def _truth(truth: Truth) -> dict[str, tuple[set[Any], set[Any]]]:
    """By kind, what is to be found, and all that is true."""
    backups = set(truth.backed_up)
    return {
        "components": (set(truth.sought), set(truth.used)),
        "paths": (set(truth.edges), {*truth.edges, *truth.silent}),
        "backups": (backups, backups),
        "circuits": (set(truth.circuits[:1]), set(truth.circuits)),
    }


def _null(seeds: int, hypotheses: int) -> None:
    """The null twin of the planted models, and the tests' toy model with random weights: effects that are confirmed."""
    wrong, tested = list[str](), 0
    with tempfile.TemporaryDirectory() as folder:
        toy, model = str(write_toy_behaviours(Path(folder))), str(write_trained_model(Path(folder) / "model"))
        asked = [(BEHAVIOUR, f"planted:none#{seed}", seed) for seed in range(1, seeds + 1)]
        asked += [(toy, f"null:{model}#{seed}", seed) for seed in range(1, seeds + 1)]
        for behaviour, null, seed in asked:
            config = RunConfig(model=null, hypotheses=hypotheses, seed=seed, allow_absent=True)
            found = investigate(behaviour, config, db=str(Path(folder) / f"{Path(null).name}.db"))
            tested += found.tested
            effects = [line for line in found.lines if line["state"] == "confirmed" and line["kind"] != "no_effect"]
            wrong += [f"{Path(null).name}: {line['text']}" for line in effects]
            print(f"{Path(null).name:<20} {found.tested:>3} tested, {found.confirmed} confirmed", flush=True)
    print(f"{len(asked)} investigations, {tested} claims tested, {len(wrong)} effects confirmed")
    print("\n".join(wrong))


def _mean(values: list[float]) -> str:
    x = np.array(values, float)
    error = 1.96 * x.std(ddof=1) / len(x) ** 0.5 if len(x) > 1 else 0.0
    digits = 0 if x.mean() >= 100 else 2
    return f"{x.mean():.{digits}f}+-{error:.{digits}f}"


if __name__ == "__main__":
    main()
